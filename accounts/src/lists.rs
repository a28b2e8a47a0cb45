//! Reading what a partition or a table holds, page by page.

use crate::Accounts;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{
        query::{QueryError, builders::QueryFluentBuilder},
        scan::{ScanError, builders::ScanFluentBuilder},
    },
    types::Select,
};
use aws_smithy_async::future::pagination_stream::PaginationStream;
use serde::de::DeserializeOwned;
use shared::{
    fault::Fault,
    tables::items::{Item, from_item, string},
};
use std::marker::PhantomData;

/// Items of a partition in the order of their sort keys, or of a table, partition after partition; read as they are needed.
pub struct Items<T> {
    items: Pages,
    of: PhantomData<T>,
}

enum Pages {
    OfPartition(PaginationStream<Result<Item, SdkError<QueryError>>>),
    OfTable(PaginationStream<Result<Item, SdkError<ScanError>>>),
}

impl<T: DeserializeOwned> Items<T> {
    /// The next one, as what it holds.
    ///
    /// # Errors
    /// If DynamoDB fails, or the item is not of this form.
    pub async fn next(&mut self) -> Result<Option<T>, Fault> {
        let next = match &mut self.items {
            Pages::OfPartition(items) => items.next().await.transpose().map_err(|error| Fault::of_aws("Query", error)),
            Pages::OfTable(items) => items.next().await.transpose().map_err(|error| Fault::of_aws("Scan", error)),
        };
        next?.map(from_item).transpose()
    }

    /// All that are left.
    ///
    /// # Errors
    /// As [`Items::next`].
    pub async fn all(mut self) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        while let Some(item) = self.next().await? {
            all.push(item);
        }
        Ok(all)
    }

    /// What a scan finds.
    pub(crate) fn scanned(scan: ScanFluentBuilder) -> Self {
        Self { items: Pages::OfTable(scan.into_paginator().items().send()), of: PhantomData }
    }
}

impl Accounts {
    /// The items of a partition whose sort keys begin with `prefix`.
    pub(crate) fn items<T: DeserializeOwned>(&self, table: &str, pk: &str, prefix: &str) -> Items<T> {
        let query = query(&self.client, table, pk, prefix).consistent_read(true);
        Items { items: Pages::OfPartition(query.into_paginator().items().send()), of: PhantomData }
    }

    /// How many there are.
    pub(crate) async fn count(&self, table: &str, pk: &str, prefix: &str) -> Result<u64, Fault> {
        let mut pages = query(&self.client, table, pk, prefix).select(Select::Count).into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Fault::of_aws("Query", error))?;
            count += u64::try_from(page.count).unwrap_or(0);
        }
        Ok(count)
    }
}

fn query(client: &Client, table: &str, pk: &str, prefix: &str) -> QueryFluentBuilder {
    let query = client.query().table_name(table).expression_attribute_values(":pk", string(pk));
    if prefix.is_empty() {
        return query.key_condition_expression("pk = :pk");
    }
    query
        .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
        .expression_attribute_values(":prefix", string(prefix))
}
