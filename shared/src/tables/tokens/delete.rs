//! Deleting a token, together with checking who asks for it.

use super::{
    record::TokenIdentity,
    table::{COUNTER, TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::{
        items::{email_key, key, string},
        transactions::{CONFLICT_RETRIES, Outcome, Part, transact, was_refused},
    },
};
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update,
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
    /// Deletes a token, if at the same moment all `checks` hold. `itself` is what it must be where it deletes itself.
    pub async fn delete(
        &self,
        store_hash: &str,
        wanted: &Wanted,
        itself: Option<&TokenIdentity>,
        checks: Vec<TransactWriteItem>,
    ) -> Result<Deletion, Fault> {
        let mut items = self.deletion(store_hash, wanted, itself)?;
        let first_check = items.len();
        items.extend(checks);
        let reasons = match transact(&self.client, items, CONFLICT_RETRIES).await? {
            Outcome::Done => return Ok(Deletion::Deleted),
            Outcome::Refused(reasons) => reasons,
        };
        if itself.is_some_and(|itself| was_refused(&reasons[0]) && !itself.is_of_item(reasons[0].item.as_ref())) {
            return Ok(Deletion::NotItself);
        }
        let failed = reasons[first_check..].iter().enumerate().find(|(_, reason)| was_refused(reason));
        Ok(failed.map_or(Deletion::NoSuchToken, |(position, reason)| Deletion::CheckFailed {
            position,
            is_present: reason.item.is_some(),
        }))
    }

    /// In a transaction, that a token has not been deleted.
    pub fn identity_check(&self, store_hash: &str, token: &TokenIdentity) -> Result<TransactWriteItem, Fault> {
        let mut check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, token_key(token.id))))
            .condition_expression(token.condition());
        for (name, value) in token.values() {
            check = check.expression_attribute_values(name, value);
        }
        check.build().part()
    }

    /// The items of a transaction that deletes a token, first the token.
    fn deletion(
        &self,
        store_hash: &str,
        wanted: &Wanted,
        itself: Option<&TokenIdentity>,
    ) -> Result<Vec<TransactWriteItem>, Fault> {
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
            for (name, value) in itself.values() {
                delete = delete.expression_attribute_values(name, value);
            }
        }
        let delete = delete.condition_expression(condition.join(" AND "));
        let one_less = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, COUNTER.into())))
            .update_expression("ADD live :minus_one")
            .expression_attribute_values(":minus_one", AttributeValue::N("-1".into()));
        Ok(vec![delete.build().part()?, self.count_in_block(store_hash, wanted.id, "-1")?, one_less.build().part()?])
    }
}
