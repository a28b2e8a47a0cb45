//! Reading and deleting many items at once. DynamoDB may leave some of a batch to its caller; they are sent again.

use crate::{Accounts, PATIENCE};
use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, WriteRequest};
use serde::Deserialize;
use shared::{
    fault::Fault,
    tables::{
        items::{Item, built, key},
        transactions::{Attempt, retry_crossed},
    },
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

/// Items that one `BatchWriteItem` takes.
const DELETIONS: usize = 25;

#[derive(Deserialize)]
struct SortKey {
    sk: String,
}

impl Accounts {
    /// Reads what there is under these keys of the directory, at most 100.
    pub(crate) async fn batch_get(&self, keys: KeysAndAttributes) -> Result<Vec<Item>, Fault> {
        let found: RefCell<Vec<Item>> = RefCell::default();
        send_until_none_are_left("BatchGetItem", HashMap::from([(self.directory_table.clone(), keys)]), async |keys| {
            let request = self.client.batch_get_item().set_request_items(Some(keys));
            let answer = request.send().await.map_err(|error| Fault::of_aws("BatchGetItem", error))?;
            let items = answer.responses.into_iter().flatten().flat_map(|(_, items)| items);
            found.borrow_mut().extend(items);
            Ok(answer.unprocessed_keys.unwrap_or_default())
        })
        .await?;
        Ok(found.into_inner())
    }

    /// Deletes the items of a partition whose sort keys begin with `prefix`, one batch after the other.
    pub(crate) async fn delete_all(&self, table: &str, pk: &str, prefix: &str) -> Result<(), Fault> {
        let mut items = self.items::<SortKey>(table, pk, prefix);
        let mut batch = Vec::new();
        while let Some(SortKey { sk }) = items.next().await? {
            batch.push(key(pk, sk));
            if batch.len() == DELETIONS {
                self.batch_delete(table, std::mem::take(&mut batch)).await?;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.batch_delete(table, batch).await }
    }

    /// Deletes what there is under these keys, at most 25.
    pub(crate) async fn batch_delete(&self, table: &str, keys: Vec<Item>) -> Result<(), Fault> {
        let mut requests = Vec::new();
        for key in keys {
            let delete = built(DeleteRequest::builder().set_key(Some(key)).build())?;
            requests.push(WriteRequest::builder().delete_request(delete).build());
        }
        send_until_none_are_left("BatchWriteItem", HashMap::from([(table.to_owned(), requests)]), async |requests| {
            let request = self.client.batch_write_item().set_request_items(Some(requests));
            let answer = request.send().await.map_err(|error| Fault::of_aws("BatchWriteItem", error))?;
            Ok(answer.unprocessed_items.unwrap_or_default())
        })
        .await
    }
}

/// Sends a batch, and what is left over of it again and again. `send` gives what is left.
async fn send_until_none_are_left<T>(
    operation: &'static str,
    batch: HashMap<String, T>,
    send: impl AsyncFn(HashMap<String, T>) -> Result<HashMap<String, T>, Fault>,
) -> Result<(), Fault> {
    let left = Cell::new(batch);
    retry_crossed(PATIENCE, || async {
        let still_left = send(left.take()).await?;
        if still_left.is_empty() {
            return Ok(Attempt::Ended(()));
        }
        left.set(still_left);
        Ok(Attempt::Crossed(Fault::of_contention(operation, "some were left over again and again", None)))
    })
    .await
}
