//! Deleting a token, together with checking who asks for it.

use super::{
    blocks::Remaining,
    record::TokenIdentity,
    table::{TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::{
        items::{Item, email_key, from_item, key, string},
        retries::Retries,
        transactions::{Outcome, Part, transact, was_refused},
    },
};
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem,
};

/// Which token to delete.
#[derive(Debug)]
pub struct Wanted {
    /// Its id.
    pub id: u64,
    /// Where given, must be its name.
    pub name: Option<String>,
    /// Where given, must be its e-mail in any case.
    pub email: Option<String>,
}

impl Wanted {
    /// The token of this id, whatever its name and e-mail.
    #[must_use]
    pub fn by_id(id: u64) -> Self {
        Self { id, name: None, email: None }
    }
}

/// What became of a deletion. Only after the first is anything deleted.
#[derive(Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The token is gone.
    Deleted,
    /// There is no token as described.
    NoSuchToken,
    /// The token was to delete itself, and is not the one that the table knows.
    NotItself,
    /// The check at this position did not hold; whether its item is there all the same.
    CheckFailed {
        /// Position in the checks that were given.
        position: usize,
        /// Whether there is an item, which is not as it should be.
        is_present: bool,
    },
}

impl TokenTable {
    /// Deletes a token, if at the same moment all `checks` hold. `itself` is what it must be by `now`, in Unix seconds, where it
    /// deletes itself.
    pub async fn delete(
        &self,
        store_hash: &str,
        wanted: &Wanted,
        itself: Option<&TokenIdentity>,
        now: u64,
        checks: Vec<TransactWriteItem>,
    ) -> Result<Deletion, Fault> {
        let mut retries = Retries::within(self.patience);
        // Whether it is the last one of its block only the transaction can tell; mostly it is not.
        let mut remaining = Remaining::Some;
        loop {
            let mut items = vec![
                self.deletion(store_hash, wanted, itself, now)?,
                self.discount_in_block(store_hash, &[wanted.id], remaining)?,
            ];
            items.extend(checks.iter().cloned());
            let fault = match transact(&self.client, items).await? {
                Outcome::Done => return Ok(Deletion::Deleted),
                Outcome::Refused(reasons) => {
                    if let Some(refusal) = refusal(&reasons, itself, now) {
                        return Ok(refusal);
                    }
                    match remaining.refused() {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    }
                }
                Outcome::Crossed(fault) => fault,
            };
            retries.wait(fault).await?;
        }
    }

    /// In a transaction, that a token has not been deleted, nor replaced and ended by `now`.
    pub fn identity_check(
        &self,
        store_hash: &str,
        token: &TokenIdentity,
        now: u64,
    ) -> Result<TransactWriteItem, Fault> {
        let mut check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, token_key(token.id))))
            .condition_expression(token.condition());
        for (name, value) in token.values(now) {
            check = check.expression_attribute_values(name, value);
        }
        check.build().part()
    }

    /// In a transaction, that the token is deleted.
    fn deletion(
        &self,
        store_hash: &str,
        wanted: &Wanted,
        itself: Option<&TokenIdentity>,
        now: u64,
    ) -> Result<TransactWriteItem, Fault> {
        let mut condition = vec!["attribute_exists(pk)".to_owned()];
        let mut delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, token_key(wanted.id))))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        if let Some(name) = &wanted.name {
            condition.push("#name = :name".into());
            delete =
                delete.expression_attribute_names("#name", "name").expression_attribute_values(":name", string(name));
        }
        if let Some(email) = &wanted.email {
            condition.push("email_key = :email_key".into());
            delete = delete.expression_attribute_values(":email_key", string(email_key(email)));
        }
        if let Some(itself) = itself {
            condition.push(itself.condition());
            for (name, value) in itself.values(now) {
                delete = delete.expression_attribute_values(name, value);
            }
        }
        delete.condition_expression(condition.join(" AND ")).build().part()
    }
}

/// Why nothing was deleted, of the reasons for the token, for its block and for each check; none if it was only that of the block.
fn refusal(reasons: &[CancellationReason], itself: Option<&TokenIdentity>, now: u64) -> Option<Deletion> {
    let (of_token, of_checks) = (reasons.first()?, reasons.get(2..)?);
    let is_good = |itself: &TokenIdentity, item: Option<&Item>| {
        itself.check(item.and_then(|item| from_item(item.clone()).ok()), now).is_ok()
    };
    if itself.is_some_and(|itself| was_refused(of_token) && !is_good(itself, of_token.item.as_ref())) {
        return Some(Deletion::NotItself);
    }
    let failed = of_checks.iter().enumerate().find(|(_, reason)| was_refused(reason));
    let failed = failed.map(|(position, reason)| Deletion::CheckFailed { position, is_present: reason.item.is_some() });
    failed.or_else(|| was_refused(of_token).then_some(Deletion::NoSuchToken))
}
