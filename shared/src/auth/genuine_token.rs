//! Tokens of either kind, as somebody shows them elsewhere who was given them here.

use crate::{
    auth::{Auth, credentials::Credential, denial::Denial, server_token::ServerToken, storefront_token},
    fault::Fault,
    keys::claims::{SERVER, STOREFRONT, StorefrontTokenClaims},
    tables::{
        directory::{Customer, Store},
        reads::{Batch, Read, Reads},
        tokens::TokenRecord,
    },
};

/// A token that this service has signed, and whose time has come and is not over. It may have been taken back since.
#[derive(Debug)]
pub enum GenuineToken {
    Server(ServerToken),
    Storefront(StorefrontTokenClaims),
}

impl GenuineToken {
    #[must_use]
    pub fn store_hash(&self) -> &str {
        match self {
            Self::Server(token) => &token.store_hash,
            Self::Storefront(claims) => &claims.store_hash,
        }
    }
}

/// What says whether a genuine token has been taken back.
pub enum Standing<'a> {
    Server {
        token: &'a ServerToken,
        record: Read<TokenRecord>,
        /// In Unix seconds.
        now: u64,
    },
    Storefront(&'a StorefrontTokenClaims, (Read<Store>, Read<Customer>)),
}

impl Reads for Standing<'_> {
    /// When it ends, in Unix seconds, if it does; or why it is not good.
    type Found = Result<Option<u64>, &'static str>;

    fn ask(&self, batch: &mut Batch) {
        match self {
            Self::Server { record, .. } => record.ask(batch),
            Self::Storefront(_, store_and_customer) => store_and_customer.ask(batch),
        }
    }

    fn take(self, batch: &mut Batch) -> Result<Self::Found, Fault> {
        Ok(match self {
            Self::Server { token, record, now } => {
                token.identity.check(record.take(batch)?, now).map(|record| record.ends_at)
            }
            Self::Storefront(claims, store_and_customer) => {
                let (store, customer) = store_and_customer.take(batch)?;
                storefront_token::check(claims, store.as_ref(), customer.as_ref()).map(|()| Some(claims.exp))
            }
        })
    }
}

impl Auth {
    /// Reads a token of either kind: that it is this service's, and that its time has come and is not over.
    ///
    /// # Errors
    /// [`Denial::Invalid`], or a fault.
    pub async fn genuine_token(&self, token: &str) -> Result<GenuineToken, Denial> {
        let (kid, claims) = self.signed_claims(token).await?;
        let now = self.clock.now();
        // Its own word for what it is: the signature says that the word is ours.
        match claims["aud"].as_str() {
            Some(SERVER) => Ok(GenuineToken::Server(ServerToken::read(claims, kid, now)?)),
            Some(STOREFRONT) => Ok(GenuineToken::Storefront(storefront_token::read(claims, now)?)),
            _ => Err(Denial::Invalid("its aud is neither server nor storefront")),
        }
    }

    /// What has to be read to know whether a genuine token is good.
    #[must_use]
    pub fn standing<'a>(&self, token: &'a GenuineToken) -> Standing<'a> {
        match token {
            GenuineToken::Server(token) => {
                let record = self.tokens.record(&token.store_hash, token.identity.id);
                Standing::Server { token, record, now: self.clock.now() }
            }
            GenuineToken::Storefront(claims) => self.standing_of_storefront_token(claims),
        }
    }

    pub(super) fn standing_of_storefront_token<'a>(&self, claims: &'a StorefrontTokenClaims) -> Standing<'a> {
        let store = self.directory.store(&claims.store_hash);
        let customer = self.directory.customer(&claims.store_hash, claims.bc_customer_id);
        Standing::Storefront(claims, (store, customer))
    }

    /// Notes that a token was used, for somebody who has asked whether it is good.
    pub fn note_use_of(&self, token: &GenuineToken) {
        if let GenuineToken::Server(token) = token {
            self.note_use(&token.store_hash, &[Credential::Token(token.identity.clone())]);
        }
    }
}
