//! What BigCommerce's answers say. Members that are not needed are ignored; of those that are needed, none may be of another type.
//! One that may be null may be left out: that is how the documentation uses `channel_ids`.

use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// Longest e-mail, in bytes (RFC 5321, section 4.5.3.1, and its erratum 1690).
const MAX_EMAIL: usize = 254;

/// An answer is not of the form that is documented.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// A customer, as BigCommerce knows him.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Customer {
    pub id: u64,
    pub email: String,
    /// Ids of the only channels in which he may log in; none for every channel that allows global logins.
    pub channel_ids: Option<Vec<u64>>,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Validity {
    is_valid: bool,
    customer_id: Option<u64>,
}

#[derive(Deserialize)]
struct ChannelSettings {
    allow_global_logins: Option<bool>,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct GraphQl {
    data: Option<CurrentCustomer>,
    #[serde(default)]
    errors: Vec<Value>,
}

#[derive(Deserialize)]
struct CurrentCustomer {
    customer: Option<Entity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entity {
    entity_id: u64,
}

/// What a GraphQL API says of a customer access token.
#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    /// The id of the customer whose it is.
    Customer(u64),
    /// It is nobody's, or not any more.
    Nobody,
    /// Our own token is not good for the question.
    ScopeMissing,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|_| Malformed("the answer is not JSON of the documented form"))
}

/// The id of the customer whose e-mail and password they are, if they are anyone's.
pub fn credentials_of(body: &[u8]) -> Result<Option<u64>, Malformed> {
    match read(body)? {
        Validity { is_valid: false, .. } => Ok(None),
        Validity { is_valid: true, customer_id: Some(id) } if id > 0 => Ok(Some(id)),
        Validity { .. } => Err(Malformed("the credentials are said to be valid, but not whose they are")),
    }
}

/// The customer of this id, if there is one.
pub fn customer(body: &[u8], id: u64) -> Result<Option<Customer>, Malformed> {
    let mut customers = read::<Data<Vec<Customer>>>(body)?.data;
    match customers.pop() {
        None => Ok(None),
        Some(customer) if customer.id != id || !customers.is_empty() => {
            Err(Malformed("another customer than asked for"))
        }
        Some(customer) if !(1..=MAX_EMAIL).contains(&customer.email.len()) => Err(Malformed("the e-mail can be none")),
        customer => Ok(customer),
    }
}

/// Whether a channel lets in customers who are limited to no channels. Where the channel does not say, only the default storefront
/// does ("on by default only for the default storefront", customers.v3.yml).
pub fn allows_global_logins(body: &[u8], is_default_channel: bool) -> Result<bool, Malformed> {
    let settings = read::<Data<ChannelSettings>>(body)?.data;
    Ok(settings.allow_global_logins.unwrap_or(is_default_channel))
}

/// The token that was asked for.
pub fn token(body: &[u8]) -> Result<SecretString, Malformed> {
    Ok(read::<Data<Token>>(body)?.data.token.into())
}

/// The customer whose access token it is.
pub fn owner(body: &[u8]) -> Result<Owner, Malformed> {
    let GraphQl { data, errors } = read(body)?;
    let codes: Vec<_> = errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or_default()).collect();
    let is_any_of = |known: &[&str]| codes.iter().any(|code| known.contains(code));
    if is_any_of(&["INVALID_CUSTOMER_ACCESS_TOKEN", "MISSING_CUSTOMER_ACCESS_TOKEN"]) {
        return Ok(Owner::Nobody);
    }
    if is_any_of(&["INSUFFICIENT_ACCESS_SCOPE"]) {
        return Ok(Owner::ScopeMissing);
    }
    match data {
        Some(CurrentCustomer { customer }) if errors.is_empty() => {
            Ok(customer.map_or(Owner::Nobody, |customer| Owner::Customer(customer.entity_id)))
        }
        _ => Err(Malformed("the query was answered with an error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_somebodys_only_where_the_answer_says_whose() {
        for (body, expected) in [
            (r#"{"is_valid": true, "customer_id": 7}"#, Some(Some(7))),
            (r#"{"is_valid": true, "customer_id": 7, "more": []}"#, Some(Some(7))),
            (r#"{"is_valid": false, "customer_id": null}"#, Some(None)),
            (r#"{"is_valid": false, "customer_id": 7}"#, Some(None)),
            (r#"{"is_valid": false}"#, Some(None)),
            (r#"{"is_valid": true, "customer_id": null}"#, None),
            (r#"{"is_valid": true, "customer_id": 0}"#, None),
            (r#"{"is_valid": true}"#, None),
            (r#"{"is_valid": true, "customer_id": "7"}"#, None),
            (r#"{"is_valid": true, "customer_id": -7}"#, None),
            (r#"{"is_valid": "true", "customer_id": 7}"#, None),
            (r#"{"is_valid": 1, "customer_id": 7}"#, None),
            (r#"{"is_valid": true, "is_valid": false, "customer_id": 7}"#, None),
            (r#"{"data": {"is_valid": true, "customer_id": 7}}"#, None),
            ("[]", None),
            ("<html>", None),
            ("", None),
            (r#"{"is_valid": true, "customer_id": 7"#, None),
        ] {
            assert_eq!(credentials_of(body.as_bytes()).ok(), expected, "{body}");
        }
    }

    #[test]
    fn a_customer_is_the_one_who_was_asked_for() {
        let customer_of = |channel_ids| Customer { id: 7, email: "a@b.c".into(), channel_ids };
        for (body, expected) in [
            (
                r#"{"data": [{"id": 7, "email": "a@b.c", "channel_ids": null}], "meta": {}}"#,
                Some(Some(customer_of(None))),
            ),
            (r#"{"data": [{"id": 7, "email": "a@b.c"}]}"#, Some(Some(customer_of(None)))),
            (
                r#"{"data": [{"id": 7, "email": "a@b.c", "channel_ids": [1, 2]}]}"#,
                Some(Some(customer_of(Some(vec![1, 2])))),
            ),
            (r#"{"data": [{"id": 7, "email": "a@b.c", "channel_ids": []}]}"#, Some(Some(customer_of(Some(vec![]))))),
            (r#"{"data": [], "meta": {}}"#, Some(None)),
            (r#"{"data": [{"id": 8, "email": "a@b.c"}]}"#, None),
            (r#"{"data": [{"id": 7, "email": "a@b.c"}, {"id": 8, "email": "a@b.c"}]}"#, None),
            (r#"{"data": [{"id": 7, "email": ""}]}"#, None),
            (r#"{"data": [{"id": 7, "email": null}]}"#, None),
            (r#"{"data": [{"id": 7}]}"#, None),
            (r#"{"data": [{"id": "7", "email": "a@b.c"}]}"#, None),
            (r#"{"data": [{"id": 7, "email": "a@b.c", "channel_ids": 1}]}"#, None),
            (r#"{"data": {"id": 7, "email": "a@b.c"}}"#, None),
            (r#"{"data": null}"#, None),
            (r#"{"meta": {}}"#, None),
            ("[]", None),
        ] {
            assert_eq!(customer(body.as_bytes(), 7).ok(), expected, "{body}");
        }
    }

    #[test]
    fn a_channel_that_does_not_say_lets_in_everybody_only_where_it_is_the_default_one() {
        for (body, default_channel, other_channel) in [
            (r#"{"data": {"allow_global_logins": true}}"#, Some(true), Some(true)),
            (r#"{"data": {"allow_global_logins": false}}"#, Some(false), Some(false)),
            (r#"{"data": {"allow_global_logins": null}}"#, Some(true), Some(false)),
            (r#"{"data": {}}"#, Some(true), Some(false)),
            (r#"{"data": {"allow_global_logins": "true"}}"#, None, None),
            (r#"{"allow_global_logins": true}"#, None, None),
        ] {
            assert_eq!(allows_global_logins(body.as_bytes(), true).ok(), default_channel, "{body}");
            assert_eq!(allows_global_logins(body.as_bytes(), false).ok(), other_channel, "{body}");
        }
    }

    #[test]
    fn an_access_token_is_somebodys_only_where_the_answer_has_no_errors() {
        for (body, expected) in [
            (r#"{"data": {"customer": {"entityId": 7}}}"#, Some(Owner::Customer(7))),
            (r#"{"data": {"customer": {"entityId": 7}}, "errors": []}"#, Some(Owner::Customer(7))),
            (r#"{"data": {"customer": null}}"#, Some(Owner::Nobody)),
            (r#"{"data": {}}"#, Some(Owner::Nobody)),
            (
                r#"{"data": {"customer": {"entityId": 7}}, "errors": [{"extensions": {"code": "INVALID_CUSTOMER_ACCESS_TOKEN"}}]}"#,
                Some(Owner::Nobody),
            ),
            (r#"{"errors": [{"extensions": {"code": "MISSING_CUSTOMER_ACCESS_TOKEN"}}]}"#, Some(Owner::Nobody)),
            (
                r#"{"data": null, "errors": [{"extensions": {"code": "INSUFFICIENT_ACCESS_SCOPE"}}]}"#,
                Some(Owner::ScopeMissing),
            ),
            (r#"{"data": {"customer": {"entityId": 7}}, "errors": [{"message": "late"}]}"#, None),
            (r#"{"errors": [{"extensions": "INVALID_CUSTOMER_ACCESS_TOKEN"}]}"#, None),
            (r#"{"data": {"customer": {"entityId": "7"}}}"#, None),
            (r#"{"data": {"customer": []}}"#, None),
            (r#"{"data": null}"#, None),
            ("[]", None),
            ("7", None),
        ] {
            assert_eq!(owner(body.as_bytes()).ok(), expected, "{body}");
        }
    }
}
