//! What a server-to-server token or an API account may do.

use serde::{Deserialize, Serialize};

/// One thing that may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To list the server-to-server tokens, without the tokens themselves.
    TokensRead,
    /// To list them with the tokens, to delete and to rotate them.
    TokensWrite,
    /// The three storefront endpoints.
    Storefront,
    /// Introspection.
    Introspect,
}

/// What each endpoint needs.
pub mod needed {
    use super::Scope;

    pub const TO_LIST_TOKENS: Scope = Scope::TokensRead;
    /// To delete and to rotate them, and to see the tokens in the list. A token may always delete and rotate itself.
    pub const TO_WRITE_TOKENS: Scope = Scope::TokensWrite;
    /// By all three storefront endpoints.
    pub const TO_ISSUE_STOREFRONT_TOKENS: Scope = Scope::Storefront;
    pub const TO_INTROSPECT_TOKENS: Scope = Scope::Introspect;
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::TokensRead, Self::TokensWrite, Self::Storefront, Self::Introspect];

    /// As callers and tokens name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TokensRead => "tokens:read",
            Self::TokensWrite => "tokens:write",
            Self::Storefront => "storefront",
            Self::Introspect => "introspect",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// Each of these alone allows it.
    #[must_use]
    pub fn allowed_by(self) -> &'static [Self] {
        match self {
            Self::TokensRead => &[Self::TokensRead, Self::TokensWrite],
            Self::TokensWrite => &[Self::TokensWrite],
            Self::Storefront => &[Self::Storefront],
            Self::Introspect => &[Self::Introspect],
        }
    }
}

/// What a token or an account is limited to: the names of its scopes, separated by spaces (RFC 8693, section 4.2). Where there
/// are none, it may do everything. A name that is not known allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Option<String>);

impl Scopes {
    /// No limit.
    pub const ALL: Self = Self(None);

    /// These alone, in whatever order they come, and however often.
    #[must_use]
    pub fn only(scopes: &[Scope]) -> Self {
        let names = Scope::ALL.iter().filter(|scope| scopes.contains(scope)).map(|scope| scope.name());
        Self(Some(names.collect::<Vec<_>>().join(" ")))
    }

    /// Those of these names, separated by spaces.
    #[must_use]
    pub fn of_names(names: &str) -> Self {
        Self(Some(names.into()))
    }

    #[must_use]
    pub fn are_all(&self) -> bool {
        self.0.is_none()
    }

    /// Their names, separated by spaces; none where there is no limit.
    #[must_use]
    pub fn joined(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Their names, separated by spaces; all names where there is no limit: whoever looks for the scope that it needs must find it.
    #[must_use]
    pub fn names_or_all(&self) -> String {
        self.joined().map_or_else(|| Scope::ALL.map(Scope::name).join(" "), Into::into)
    }

    /// Their names; none where there is no limit.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&str>> {
        Some(self.joined()?.split_whitespace().collect())
    }

    /// Whether they allow what needs this scope.
    #[must_use]
    pub fn allow(&self, needed: Scope) -> bool {
        self.names().is_none_or(|names| needed.allowed_by().iter().any(|scope| names.contains(&scope.name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_allow_what_they_name_and_no_scopes_allow_everything() {
        for needed in Scope::ALL {
            assert!(Scopes::ALL.allow(needed), "{needed:?}");
            assert!(Scopes::only(&[needed]).allow(needed), "{needed:?}");
            assert!(!Scopes::only(&[]).allow(needed), "{needed:?}");
            assert_eq!(Scope::named(needed.name()), Some(needed));
            for unknown in ["", "all", "read", "modify", "tokens", "Storefront", "tokens:readstorefront", "*"] {
                assert!(!Scopes::of_names(unknown).allow(needed), "{unknown} {needed:?}");
            }
        }
        assert!(Scopes::only(&[Scope::TokensWrite]).allow(Scope::TokensRead));
        assert!(!Scopes::only(&[Scope::TokensRead, Scope::Storefront, Scope::Introspect]).allow(Scope::TokensWrite));
    }

    #[test]
    fn the_same_scopes_are_always_written_the_same() {
        let given = [Scope::Introspect, Scope::TokensRead, Scope::Introspect];
        assert_eq!(Scopes::only(&given).joined(), Some("tokens:read introspect"));
        assert_eq!(Scopes::only(&given).names(), Some(vec!["tokens:read", "introspect"]));
    }
}
