//! Who is let in: which kinds of credentials, and which of those that are limited to scopes.
//!
//! The alias by which an API's authorizer names the function says which kinds: each route of an API names its own authorizer, so
//! that no answer depends on the route, and none that is kept for one route lets anybody into another.

use crate::kind::Kind;
use shared::{auth::principal::Principal, scopes::Scope};
use std::collections::HashMap;

/// The stage variable that names the scopes of which a token or account must have one, if it is limited to some.
pub const SCOPES_VARIABLE: &str = "b2bAuthScopes";

/// Who is let in.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    kinds: &'static [Kind],
    /// None where only those are let in that are not limited: what a scope allows is named by the API that wants it.
    scopes: Vec<Scope>,
}

impl Rule {
    /// The rule of an API that calls the function by this ARN, and has these stage variables.
    ///
    /// # Errors
    /// Says what its owner has to mend.
    pub fn of(function_arn: &str, stage_variables: &HashMap<String, Option<String>>) -> Result<Self, &'static str> {
        let kinds = match alias(function_arn) {
            Some("live") => Kind::ALL.as_slice(),
            Some("storefront") => &[Kind::Storefront],
            Some("server") => &[Kind::Server, Kind::ApiAccount],
            // Whoever attaches the function itself, as the console proposes, has not said who is to be let in.
            _ => return Err("the authorizer must be attached by one of its aliases live, storefront and server"),
        };
        let scopes = match stage_variables.get(SCOPES_VARIABLE) {
            None => Vec::new(),
            Some(names) => {
                let scopes = names.as_deref().unwrap_or_default().split(',').map(Scope::named).collect::<Option<_>>();
                scopes.ok_or("the stage variable b2bAuthScopes is not made of names of scopes and commas")?
            }
        };
        Ok(Self { kinds, scopes })
    }

    /// Whether somebody whose credentials are good is let in.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self, principal: &Principal) -> Result<(), &'static str> {
        if !self.kinds.contains(&Kind::of(principal)) {
            return Err("not of a kind that is let in");
        }
        match principal.scopes() {
            Some(scopes) if !scopes.are_all() && !self.scopes.iter().any(|scope| scopes.allow(*scope)) => {
                Err("limited to scopes that are not let in")
            }
            _ => Ok(()),
        }
    }
}

/// The alias of an `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME:ALIAS`.
fn alias(function_arn: &str) -> Option<&str> {
    match function_arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "lambda", _, _, "function", _, alias] => Some(alias),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "arn:aws:lambda:us-east-1:123456789012:function:b2b-auth-authorize-request:live";
    const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:b2b-auth-authorize-request";

    fn rule(function_arn: &str, scopes: Option<&str>) -> Result<Rule, &'static str> {
        let stage_variables = scopes.map(|scopes| (SCOPES_VARIABLE.to_owned(), Some(scopes.to_owned())));
        Rule::of(function_arn, &stage_variables.into_iter().collect())
    }

    #[test]
    fn the_alias_says_which_kinds_are_let_in() {
        for (alias, kinds) in [
            (":live", Kind::ALL.as_slice()),
            (":storefront", &[Kind::Storefront]),
            (":server", &[Kind::Server, Kind::ApiAccount]),
        ] {
            assert_eq!(rule(&format!("{FUNCTION}{alias}"), None).unwrap().kinds, kinds, "{alias}");
        }
        for alias in ["", ":", ":1", ":$LATEST", ":Server", ":server:1", ":storefront-2"] {
            assert!(rule(&format!("{FUNCTION}{alias}"), None).is_err(), "{alias}");
        }
        for not_an_arn in ["", "b2b-auth-authorize-request", "arn:aws:lambda:us-east-1:123456789012:layer:x"] {
            assert!(rule(not_an_arn, None).is_err(), "{not_an_arn}");
        }
    }

    #[test]
    fn scopes_are_named_or_the_rule_is_none() {
        assert_eq!(rule(LIVE, None).unwrap().scopes, []);
        let two = rule(LIVE, Some("storefront,tokens:read")).unwrap();
        assert_eq!(two.scopes, [Scope::Storefront, Scope::TokensRead]);
        for misspelt in ["", ",", "storefront,", "orders", "storefront tokens:read", "Storefront"] {
            assert!(rule(LIVE, Some(misspelt)).is_err(), "{misspelt}");
        }
        assert!(Rule::of(LIVE, &[(SCOPES_VARIABLE.to_owned(), None)].into()).is_err());
    }
}
