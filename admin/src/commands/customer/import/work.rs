//! What is done with a batch: who is there already is left out, all others are added.

use super::{
    batches::{BadRow, Batch},
    counts::{Counts, add},
    row::{Row, Secret},
};
use crate::{
    audit::Steps,
    failure::{Failure, Kind},
};
use accounts::{Accounts, Addition, Place, passwords::Hashing};
use futures_util::future::try_join_all;
use shared::tables::{
    directory::{Customer, CustomerLogin},
    items::email_key,
};
use tokio::sync::oneshot;

/// How often a batch is looked at and written: again if an earlier batch, or somebody else, has written one of its customers
/// meanwhile.
const ATTEMPTS: usize = 3;

/// What became of a batch.
pub struct Done {
    pub bad: Vec<BadRow>,
    pub last_line: u64,
    pub bytes: u64,
}

/// What all batches have in common.
pub struct Work<'a> {
    accounts: &'a Accounts,
    store: &'a str,
    counts: &'a Counts,
    is_dry_run: bool,
    steps: &'a Steps,
    hashing: Hashing,
}

impl<'a> Work<'a> {
    pub fn new(accounts: &'a Accounts, store: &'a str, counts: &'a Counts, is_dry_run: bool, steps: &'a Steps) -> Self {
        Self { accounts, store, counts, is_dry_run, steps, hashing: Hashing::default() }
    }

    /// Batches are looked at side by side and written one after the other. Two at a time would get into each other's way,
    /// because all check the same store, and would not be faster: a store begins as one partition, which takes 1,000 write
    /// units a second, and a customer needs four. It also lets the first of two rows that repeat each other win.
    pub async fn on(&self, batch: Batch) -> Result<Done, Failure> {
        let Batch { mut rows, mut bad, last_line, bytes, mut previous, done } = batch;
        for _ in 0..ATTEMPTS {
            rows = self.free(rows, &mut bad).await?;
            if !self.is_dry_run {
                self.hash_passwords(&mut rows).await?;
            }
            until_done(&mut previous).await;
            self.steps.go_on()?;
            if rows.is_empty() || self.is_dry_run || self.write(&rows).await? {
                add(&self.counts.other_cost, rows.iter().filter(|row| row.has_other_cost()).count());
                add(&self.counts.added, rows.len());
                bad.sort_unstable_by_key(|(line, _)| *line);
                // Nobody waits for the last one.
                let _ = done.send(());
                return Ok(Done { bad, last_line, bytes });
            }
        }
        Err(Failure::new(Kind::Unavailable, "Somebody else is adding or changing the same customers at the same time."))
    }

    /// Those whose e-mail and id are free.
    async fn free(&self, rows: Vec<Row>, bad: &mut Vec<BadRow>) -> Result<Vec<Row>, Failure> {
        let wanted: Vec<_> = rows.iter().map(|row| (row.email.as_str(), row.customer_id)).collect();
        let places = self.accounts.places(self.store, &wanted).await?;
        let mut free = Vec::new();
        for (mut row, place) in rows.into_iter().zip(places) {
            match taken(&row, &place) {
                Taken::No => {
                    row.tokens_valid_after = place.tokens_valid_after;
                    free.push(row);
                }
                Taken::ByItself => add(&self.counts.already_there, 1),
                Taken::ByAnother(reason) => bad.push((row.line, reason)),
            }
        }
        Ok(free)
    }

    async fn hash_passwords(&self, rows: &mut [Row]) -> Result<(), Failure> {
        let hashed = try_join_all(rows.iter_mut().map(async |row| {
            if let Secret::Password(password) = &row.secret {
                row.secret = Secret::Hash(self.hashing.hash(password.clone()).await?);
                // A batch of hashes takes seconds.
                self.steps.go_on()?;
            }
            Ok(())
        }));
        hashed.await.map(drop)
    }

    /// Writes all or nothing. Gives false if one is not free any more.
    async fn write(&self, rows: &[Row]) -> Result<bool, Failure> {
        let logins: Vec<_> = rows.iter().filter_map(login).collect();
        match self.accounts.add_customers(self.store, &logins).await? {
            Addition::Added => {
                self.steps.did(rows.len() as u64);
                Ok(true)
            }
            Addition::Taken(_) => Ok(false),
            Addition::NoStore => {
                let problem = format!("The store {} has been removed meanwhile.", self.store);
                Err(Failure::new(Kind::NotFound, problem))
            }
        }
    }
}

/// Waits for the batch before, once.
async fn until_done(previous: &mut Option<oneshot::Receiver<()>>) {
    let Some(previous) = previous.take() else { return };
    if previous.await.is_err() {
        // It has failed, and the import ends with it.
        std::future::pending::<()>().await;
    }
}

/// None if the password has not been hashed.
fn login(row: &Row) -> Option<CustomerLogin> {
    let Secret::Hash(password_hash) = &row.secret else { return None };
    let customer = Customer {
        customer_id: row.customer_id,
        email: row.email.clone(),
        channels: row.channels.clone(),
        active: row.active,
        tokens_valid_after: row.tokens_valid_after,
    };
    Some(CustomerLogin { customer, password_hash: password_hash.clone() })
}

/// Whether a row's e-mail or id is taken.
enum Taken {
    No,
    /// The same customer is there already.
    ByItself,
    /// The row cannot be added, and why.
    ByAnother(String),
}

fn taken(row: &Row, Place { by_email, by_id, .. }: &Place) -> Taken {
    let (same_id, same_email) = (
        by_email.as_ref().is_some_and(|customer| customer.customer_id == row.customer_id),
        by_id.as_ref().is_some_and(|customer| email_key(&customer.email) == email_key(&row.email)),
    );
    let by_email = by_email.as_ref().filter(|_| !same_id).map(|customer| {
        format!("The e-mail {} belongs to the customer {} already.", customer.email, customer.customer_id)
    });
    let by_id = by_id
        .as_ref()
        .filter(|_| !same_email)
        .map(|customer| format!("The id {} belongs to the customer {} already.", customer.customer_id, customer.email));
    let reasons: Vec<String> = by_email.into_iter().chain(by_id).collect();
    match (same_id, same_email) {
        (true, true) => Taken::ByItself,
        (false, false) if reasons.is_empty() => Taken::No,
        _ if reasons.is_empty() => Taken::ByAnother("Only half of this customer is in the store.".into()),
        _ => Taken::ByAnother(reasons.join(" ")),
    }
}
