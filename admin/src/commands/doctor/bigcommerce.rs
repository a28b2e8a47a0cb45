//! The stores whose customers are at BigCommerce: whether their API accounts there may do what the functions ask.

use super::{finding::Finding, secrets::secret_value};
use crate::{bigcommerce, commands::key::keyring::CURRENT, tool::Tool, waiting::patiently};
use futures_util::{StreamExt, stream};
use shared::{bigcommerce::AccountSecret, tables::directory::Store};

const BIGCOMMERCE: &str = "BigCommerce";
/// Stores that are looked at side by side.
const STORES: usize = 4;

/// Why it is left out.
pub fn skipped(because: &str) -> Vec<Finding> {
    vec![Finding::skipped(BIGCOMMERCE, because)]
}

/// One finding for each such store.
pub async fn check(tool: &Tool) -> Vec<Finding> {
    match tool.stores().await {
        Ok(stores) => {
            let there = |(hash, store): (String, Option<Store>)| Some((hash, store.filter(Store::is_at_bigcommerce)?));
            let stores = stream::iter(stores.into_iter().filter_map(there));
            let findings = stores.map(async |(hash, store)| of_store(tool, &hash, &store).await);
            findings.buffered(STORES).collect().await
        }
        Err(failure) => vec![Finding::failed(BIGCOMMERCE, &failure)],
    }
}

async fn of_store(tool: &Tool, hash: &str, store: &Store) -> Finding {
    let check = format!("{BIGCOMMERCE}: {hash}");
    let give = format!("`b2b-auth store set-directory {hash} bigcommerce` asks for it.");
    let secret = match secret_value(tool, &tool.stack.configuration().bigcommerce.secret_id(hash), CURRENT).await {
        Ok(Some(value)) => AccountSecret::parse(value.secret_string().unwrap_or_default()),
        Ok(None) => {
            let says = "The access token of its API account is missing, so none of its customers can log in.";
            return Finding::bad(check, says, give);
        }
        Err(fault) => return Finding::failed(check, &fault.into()),
    };
    let secret = match secret {
        Ok(secret) => secret,
        Err(problem) => {
            let says = format!("The access token cannot be used, so none of its customers can log in: {problem}.");
            return Finding::bad(check, says, give);
        }
    };
    match patiently("BigCommerce", bigcommerce::check(&tool.stack, hash, store, &secret)).await {
        Ok(()) => Finding::good(check, "Its API account may do what is needed."),
        Err(problem) => Finding::bad(check, problem.says, problem.mend),
    }
}
