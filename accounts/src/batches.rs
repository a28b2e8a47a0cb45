//! Deleting many items of the directory at once.

use crate::{Accounts, PATIENCE};
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use serde::Deserialize;
use shared::{
    fault::Fault,
    tables::{
        items::{Item, built, key},
        reads::LEFT_OVER,
        retries::Retries,
    },
};
use std::collections::HashMap;

/// Items that one `BatchWriteItem` takes.
const DELETIONS: usize = 25;

#[derive(Deserialize)]
pub(crate) struct SortKey {
    pub(crate) sk: String,
}

impl Accounts {
    /// Deletes the items of a partition whose sort keys begin with `prefix`, one batch after the other.
    /// `removed` is told of each how many items it had, and may end it there.
    pub(crate) async fn delete_all<E: From<Fault>>(
        &self,
        pk: &str,
        prefix: &str,
        removed: &impl Fn(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut items = self.items::<SortKey>(&self.directory_table, pk, prefix);
        loop {
            let mut batch = Vec::new();
            while batch.len() < DELETIONS
                && let Some(SortKey { sk }) = items.next().await?
            {
                batch.push(key(pk, sk));
            }
            if batch.is_empty() {
                return Ok(());
            }
            let count = batch.len() as u64;
            self.batch_delete(batch).await?;
            removed(count)?;
        }
    }

    /// Deletes what there is under these keys, at most 25.
    pub(crate) async fn batch_delete(&self, keys: Vec<Item>) -> Result<(), Fault> {
        let mut requests = Vec::new();
        for key in keys {
            let delete = built(DeleteRequest::builder().set_key(Some(key)).build())?;
            requests.push(WriteRequest::builder().delete_request(delete).build());
        }
        let mut left = HashMap::from([(self.directory_table.clone(), requests)]);
        let mut retries = Retries::within(PATIENCE);
        loop {
            let request = self.client.batch_write_item().set_request_items(Some(left));
            let answer = request.send().await.map_err(|error| Fault::of_aws("BatchWriteItem", error))?;
            left = answer.unprocessed_items.unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            retries.wait(Fault::of_contention("BatchWriteItem", LEFT_OVER, None)).await?;
        }
    }
}
