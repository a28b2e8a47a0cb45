//! Reading items by their keys, strongly consistent: one, or several of any tables with one request.

use crate::{
    fault::Fault,
    tables::{
        items::{Item, built, from_item, key},
        retries::{PATIENCE, Retries},
    },
};
use aws_sdk_dynamodb::{Client, types::KeysAndAttributes};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::de::DeserializeOwned;
use std::{collections::HashMap, future::IntoFuture, iter, marker::PhantomData, mem, pin::Pin, time::Duration};

/// What a batch comes to of which DynamoDB leaves some over every time.
pub const LEFT_OVER: &str = "some were left over again and again";

/// Keys that one `BatchGetItem` takes.
const KEYS: usize = 100;

/// Batches that are asked for at the same time. If AWS takes 20 ms for one, these are 20,000 reads a second, half of what a table
/// takes.
const BATCHES_AT_ONCE: usize = 4;

/// An item that may be there, and what it is read as. Awaited alone it is one `GetItem`; with others it goes to [`together`].
#[must_use = "nothing is read yet"]
pub struct Read<T> {
    client: Client,
    table: String,
    key: Item,
    kind: PhantomData<fn() -> T>,
}

impl<T> Read<T> {
    /// The item of a store under this sort key.
    pub fn new(client: &Client, table: &str, store_hash: &str, sk: String) -> Self {
        Self { client: client.clone(), table: table.into(), key: key(store_hash, sk), kind: PhantomData }
    }
}

impl<T: DeserializeOwned> IntoFuture for Read<T> {
    type Output = Result<Option<T>, Fault>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { client, table, key, .. } = self;
        Box::pin(async move {
            let request = client.get_item().table_name(table).set_key(Some(key)).consistent_read(true);
            let answer = request.send().await.map_err(|error| Fault::of_aws("GetItem", error))?;
            answer.item.map(from_item).transpose()
        })
    }
}

/// Reads that can be sent together: one, a pair, a list.
pub trait Reads {
    /// What is found, each in its place.
    type Found;

    /// Adds the keys to a request.
    fn ask(&self, batch: &mut Batch);

    /// Takes what was asked for from what was found.
    ///
    /// # Errors
    /// If an item is not as it should be.
    fn take(self, batch: &mut Batch) -> Result<Self::Found, Fault>;
}

/// Keys to be read, then the items found.
#[derive(Default)]
pub struct Batch {
    client: Option<Client>,
    keys: HashMap<String, Vec<Item>>,
    found: Vec<(String, Item)>,
}

impl<T: DeserializeOwned> Reads for Read<T> {
    type Found = Option<T>;

    fn ask(&self, batch: &mut Batch) {
        batch.client.get_or_insert_with(|| self.client.clone());
        let keys = batch.keys.entry(self.table.clone()).or_default();
        // DynamoDB refuses a request that names an item twice.
        if !keys.contains(&self.key) {
            keys.push(self.key.clone());
        }
    }

    fn take(self, batch: &mut Batch) -> Result<Option<T>, Fault> {
        let is_wanted = |(table, item): &(String, Item)| {
            *table == self.table && self.key.iter().all(|(name, value)| item.get(name) == Some(value))
        };
        batch.found.iter().find(|found| is_wanted(found)).map(|(_, item)| from_item(item.clone())).transpose()
    }
}

impl Reads for () {
    type Found = ();

    fn ask(&self, _: &mut Batch) {}

    fn take(self, _: &mut Batch) -> Result<(), Fault> {
        Ok(())
    }
}

impl<A: Reads, B: Reads> Reads for (A, B) {
    type Found = (A::Found, B::Found);

    fn ask(&self, batch: &mut Batch) {
        self.0.ask(batch);
        self.1.ask(batch);
    }

    fn take(self, batch: &mut Batch) -> Result<Self::Found, Fault> {
        Ok((self.0.take(batch)?, self.1.take(batch)?))
    }
}

impl<R: Reads> Reads for Option<R> {
    type Found = Option<R::Found>;

    fn ask(&self, batch: &mut Batch) {
        if let Some(reads) = self {
            reads.ask(batch);
        }
    }

    fn take(self, batch: &mut Batch) -> Result<Self::Found, Fault> {
        self.map(|reads| reads.take(batch)).transpose()
    }
}

impl<R: Reads> Reads for Vec<R> {
    type Found = Vec<R::Found>;

    fn ask(&self, batch: &mut Batch) {
        for read in self {
            read.ask(batch);
        }
    }

    fn take(self, batch: &mut Batch) -> Result<Self::Found, Fault> {
        self.into_iter().map(|read| read.take(batch)).collect()
    }
}

/// Reads all with one request: it opens one connection where several at once would each open their own, and pays its way to the
/// database once.
///
/// # Errors
/// If DynamoDB fails, or an item is not as it should be.
pub async fn together<R: Reads>(reads: R) -> Result<R::Found, Fault> {
    let mut batch = Batch::default();
    reads.ask(&mut batch);
    if let Some(client) = &batch.client {
        let mut asked = Vec::new();
        for (table, keys) in mem::take(&mut batch.keys) {
            let keys = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys));
            asked.push((table, built(keys.build())?));
        }
        batch.found = batch_get(client, asked, PATIENCE).await?;
    }
    reads.take(&mut batch)
}

/// Reads any number of items, in batches of which some go side by side. Gives what is found, each in its place.
///
/// # Errors
/// As [`together`].
pub async fn in_batches<T: DeserializeOwned>(reads: Vec<Read<T>>) -> Result<Vec<Option<T>>, Fault> {
    let mut reads = reads.into_iter();
    let batches = iter::from_fn(|| {
        let batch: Vec<_> = reads.by_ref().take(KEYS).collect();
        (!batch.is_empty()).then(|| together(batch))
    });
    stream::iter(batches).buffered(BATCHES_AT_ONCE).try_concat().await
}

/// Reads what there is under these keys of each table, at most 100, each with its table. What DynamoDB leaves over is asked for
/// again while `patience` lasts.
///
/// # Errors
/// If DynamoDB fails.
pub async fn batch_get(
    client: &Client,
    keys: Vec<(String, KeysAndAttributes)>,
    patience: Duration,
) -> Result<Vec<(String, Item)>, Fault> {
    let (mut left, mut found) = (keys.into_iter().collect(), Vec::new());
    let mut retries = Retries::within(patience);
    loop {
        let request = client.batch_get_item().set_request_items(Some(left));
        let answer = request.send().await.map_err(|error| Fault::of_aws("BatchGetItem", error))?;
        for (table, items) in answer.responses.unwrap_or_default() {
            found.extend(items.into_iter().map(|item| (table.clone(), item)));
        }
        left = answer.unprocessed_keys.unwrap_or_default();
        if left.is_empty() {
            return Ok(found);
        }
        retries.wait(Fault::of_contention("BatchGetItem", LEFT_OVER, None)).await?;
    }
}
