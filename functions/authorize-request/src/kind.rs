//! The kinds of credentials, as the backend of an API is told of them.

use shared::auth::{genuine_token::GenuineToken, principal::Principal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Storefront,
    Server,
    ApiAccount,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Storefront, Self::Server, Self::ApiAccount];

    pub fn of(principal: &Principal) -> Self {
        match principal {
            Principal::Token(GenuineToken::Storefront(_)) => Self::Storefront,
            Principal::Token(GenuineToken::Server(_)) => Self::Server,
            Principal::ApiAccount { .. } => Self::ApiAccount,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Storefront => "storefront",
            Self::Server => "server",
            Self::ApiAccount => "apiAccount",
        }
    }
}
