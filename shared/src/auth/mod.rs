//! Who is calling, and what they may do: one room for it, which stands on the keys and the tables.
//!
//! A request shows credentials in its headers ([`credentials`]). Whoever shows good ones is an
//! [`UnconfirmedCaller`](caller::UnconfirmedCaller): the signature is ours and the times fit, but the token may have been
//! deleted since, or the API account revoked. To know that costs a wait for the database, which is spent together with the
//! endpoint's own reads and work: [`confirm_beside`](caller::UnconfirmedCaller::confirm_beside) does all at once and gives the
//! [`Caller`](caller::Caller) together with what was read and what the work came to. An `UnconfirmedCaller` names its store to nobody else, and only
//! a `Caller` gets a storefront token, so an endpoint that forgets to confirm does not compile:
//!
//! ```compile_fail,E0308
//! # use shared::{auth::{Auth, caller::UnconfirmedCaller}, fault::Fault, keys::claims::StorefrontClaims};
//! async fn issue(auth: &Auth, caller: UnconfirmedCaller<'_>, claims: &StorefrontClaims<'_>) -> Result<String, Fault> {
//!     auth.issue_storefront_token(&caller, claims).await
//! }
//! ```
//!
//! ```
//! # use shared::{auth::{Auth, caller::{Refused, UnconfirmedCaller}}, http::error::Error, keys::claims::StorefrontClaims};
//! async fn issue(auth: &Auth, caller: UnconfirmedCaller<'_>, claims: &StorefrontClaims<'_>) -> Result<String, Error> {
//!     let (caller, (), ()) = caller.confirm_beside(|_| (), async |_| ()).await?;
//!     Ok(auth.issue_storefront_token(&caller, claims).await?)
//! }
//! ```

pub mod access_token;
pub mod caller;
pub mod credentials;
pub mod denial;
pub mod genuine_token;
pub mod last_uses;
pub mod principal;
pub mod server_token;
pub mod storefront_token;

use crate::{
    after_answer::AfterAnswer,
    auth::{credentials::Credential, denial::Denial, last_uses::LastUses},
    clock::Clock,
    configuration::StorefrontAccess,
    keys::{jwt, keyring::Keyring, secret_cache::SecretCache},
    tables::{directory::Directory, tokens::TokenTable},
};
use serde_json::Value;
use std::sync::Arc;

/// Knows callers and tokens.
pub struct Auth {
    /// Who may call without credentials.
    pub(crate) storefront_access: StorefrontAccess,
    /// The keys that tokens are signed with.
    pub(crate) keyring: Arc<SecretCache<Keyring>>,
    /// The records of server-to-server tokens.
    pub(crate) tokens: TokenTable,
    /// API accounts, stores and customers.
    pub(crate) directory: Directory,
    /// When credentials were last used; written after the answer.
    pub last_uses: Arc<LastUses>,
    pub(crate) after_answer: Arc<AfterAnswer>,
    pub(crate) clock: Clock,
}

impl Auth {
    /// The id of the key of ours that has signed a token, and the claims, whatever they say.
    ///
    /// # Errors
    /// [`Denial::Invalid`], or a fault.
    pub async fn signed_claims(&self, token: &str) -> Result<(String, Value), Denial> {
        let kid = jwt::kid(token).map_err(Denial::Invalid)?;
        let keyring = self.keyring.with_keys([kid.as_str()].into_iter()).await?;
        let claims = jwt::signed_claims(token, &kid, &keyring).map_err(Denial::Invalid)?;
        Ok((kid, claims))
    }

    /// Has it written, after the answer, that these were used.
    fn note_use(&self, store_hash: &str, credentials: &[Credential]) {
        let last_uses = Arc::clone(&self.last_uses);
        last_uses.note(store_hash, credentials);
        self.after_answer.push(async move { last_uses.write().await });
    }
}
