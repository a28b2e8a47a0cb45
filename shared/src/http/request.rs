//! A REST-API proxy event, read so that nothing in it can stop the function.
//!
//! `lambda_http` 1.3 has a reader of its own. It panics on a body that is not the base64 it says and on a `Host` that is no
//! host, refuses the whole event for one odd header, and keeps only one of several headers of the same name, so that a
//! repeated `authToken` could not be told from a single one.

use crate::http::{error::Error, fields::Fields};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::HashMap};

/// Largest accepted body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The headers that say who is calling.
const IDENTITY_HEADERS: [&str; 3] = ["authToken", "X-Auth-Token", "X-Store-Hash"];

/// What API Gateway sends, as far as it is used; everything may be absent or `null`.
///
/// Source: API Gateway developer guide, "Input format of a Lambda function for proxy integration".
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    http_method: Option<String>,
    resource: Option<String>,
    headers: Option<HashMap<String, Option<String>>>,
    multi_value_headers: Option<HashMap<String, Option<Vec<String>>>>,
    query_string_parameters: Option<HashMap<String, Option<String>>>,
    multi_value_query_string_parameters: Option<HashMap<String, Option<Vec<String>>>>,
    request_context: Option<RequestContext>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestContext {
    request_id: Option<String>,
}

/// A request as the functions see it.
pub struct Request {
    /// API Gateway's id of the request, for the log.
    pub id: String,
    /// HTTP method and resource of the template, for the log.
    pub route: String,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: String,
    is_base64_encoded: bool,
}

impl Request {
    /// Reads an event; none if it cannot be a proxy event.
    #[must_use]
    pub fn from_event(event: &str) -> Option<Self> {
        let event: Event = serde_json::from_str(event).ok()?;
        Some(Self {
            id: event.request_context.and_then(|context| context.request_id).unwrap_or_default(),
            route: format!("{} {}", event.http_method.unwrap_or_default(), event.resource.unwrap_or_default()),
            headers: pairs(event.multi_value_headers, event.headers),
            query: pairs(event.multi_value_query_string_parameters, event.query_string_parameters),
            body: event.body.unwrap_or_default(),
            is_base64_encoded: event.is_base64_encoded.unwrap_or_default(),
        })
    }

    /// The value of a header whose name is `name` in any case; of several, the first.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    /// Whether a header that says who is calling is there more than once, in whatever case.
    #[must_use]
    pub fn repeats_identity(&self) -> bool {
        IDENTITY_HEADERS.iter().any(|name| self.header_values(name).nth(1).is_some())
    }

    /// The fields of the query.
    #[must_use]
    pub fn query_fields(&self) -> Fields {
        Fields::default().with_query(self.query_pairs())
    }

    /// The fields of the body.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`], [`Error::TooLarge`] or [`Error::BadRequest`].
    pub fn body_fields(&self) -> Result<Fields, Error> {
        Ok(Fields::new(self.body_object()?))
    }

    /// The fields of the body, where there is one, and of the query.
    ///
    /// # Errors
    /// As [`Request::body_fields`].
    pub fn body_and_query_fields(&self) -> Result<Fields, Error> {
        let body = if self.body.is_empty() { Map::new() } else { self.body_object()? };
        Ok(Fields::new(body).with_query(self.query_pairs()))
    }

    fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn query_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn body_object(&self) -> Result<Map<String, Value>, Error> {
        let media_type = self.header("Content-Type").and_then(|value| value.split(';').next()).unwrap_or_default();
        if !media_type.trim().eq_ignore_ascii_case("application/json") {
            return Err(Error::UnsupportedMediaType);
        }
        let body: Cow<'_, [u8]> = if self.is_base64_encoded {
            let decoded = STANDARD.decode(&self.body);
            decoded.map_err(|_| Error::BadRequest("The body is not valid base64."))?.into()
        } else {
            self.body.as_bytes().into()
        };
        if body.len() > MAX_BODY_BYTES {
            return Err(Error::TooLarge("The body is larger than 64 KiB."));
        }
        let body = str::from_utf8(&body).map_err(|_| Error::BadRequest("The body is not valid UTF-8."))?;
        match serde_json::from_str(body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Error::BadRequest("The body must be a JSON object.")),
            Err(_) => Err(Error::BadRequest("The body is not valid JSON.")),
        }
    }
}

/// The multi-value map, and what only the single-value map has.
fn pairs(
    multi: Option<HashMap<String, Option<Vec<String>>>>,
    single: Option<HashMap<String, Option<String>>>,
) -> Vec<(String, String)> {
    let multi = multi.unwrap_or_default();
    let only_single: Vec<_> = single
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, _)| !multi.contains_key(name))
        .map(|(name, value)| (name, value.unwrap_or_default()))
        .collect();
    let multi = multi
        .into_iter()
        .flat_map(|(name, values)| values.unwrap_or_default().into_iter().map(move |value| (name.clone(), value)));
    multi.chain(only_single).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(event: &Value) -> Request {
        Request::from_event(&event.to_string()).unwrap()
    }

    fn json_request(body: &Value, is_base64_encoded: bool) -> Request {
        request(&json!({
            "headers": {"content-type": "Application/JSON; charset=utf-8"},
            "body": body, "isBase64Encoded": is_base64_encoded,
        }))
    }

    #[test]
    fn an_event_of_nulls_is_an_empty_request() {
        let request = request(&json!({
            "httpMethod": null, "headers": null, "multiValueHeaders": null, "queryStringParameters": null,
            "multiValueQueryStringParameters": null, "requestContext": null, "body": null, "isBase64Encoded": null,
        }));
        assert_eq!(request.header("authToken"), None);
        assert!(matches!(request.body_fields(), Err(Error::UnsupportedMediaType)));
        assert!(request.body_and_query_fields().is_ok());
    }

    #[test]
    fn what_cannot_be_a_proxy_event_is_no_request() {
        for event in ["", "null", "7", r#"{"headers": 7}"#, r#"{"headers": {"a": []}}"#, r#"{"body": {}}"#] {
            assert!(Request::from_event(event).is_none(), "{event}");
        }
    }

    #[test]
    fn identity_headers_are_counted_in_any_case_and_in_both_maps() {
        for (event, repeated) in [
            (json!({"headers": {"authToken": "a"}, "multiValueHeaders": {"authToken": ["a"]}}), false),
            (json!({"headers": {"authToken": "a"}}), false),
            (json!({"multiValueHeaders": {"authToken": ["a", "a"]}}), true),
            (json!({"multiValueHeaders": {"authToken": ["a"], "AUTHTOKEN": ["a"]}}), true),
            (json!({"headers": {"authToken": "a", "authtoken": "a"}}), true),
            (json!({"headers": {"x-auth-token": "a"}, "multiValueHeaders": {"X-Auth-Token": ["b"]}}), true),
            (json!({"multiValueHeaders": {"X-Store-Hash": ["a", "b"]}}), true),
            (json!({"multiValueHeaders": {"Accept": ["a", "b"]}}), false),
        ] {
            assert_eq!(request(&event).repeats_identity(), repeated, "{event}");
        }
    }

    #[test]
    fn bodies_that_cannot_be_read_are_bad_requests() {
        for (body, is_base64_encoded, message) in [
            (json!("{"), false, "The body is not valid JSON."),
            (json!(""), false, "The body is not valid JSON."),
            (json!("{} x"), false, "The body is not valid JSON."),
            (json!(r#"{"a": "\ud800"}"#), false, "The body is not valid JSON."),
            (json!("[".repeat(60_000)), false, "The body is not valid JSON."),
            (json!("[]"), false, "The body must be a JSON object."),
            (json!("null"), false, "The body must be a JSON object."),
            (json!("not base64!"), true, "The body is not valid base64."),
            (json!("/w=="), true, "The body is not valid UTF-8."),
        ] {
            match json_request(&body, is_base64_encoded).body_fields() {
                Err(Error::BadRequest(said)) => assert_eq!(said, message, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        assert!(json_request(&json!("e30="), true).body_fields().is_ok());
    }

    #[test]
    fn the_largest_body_is_64_kib() {
        let body = |bytes: usize| json!(format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8)));
        assert!(json_request(&body(65_536), false).body_fields().is_ok());
        assert!(matches!(json_request(&body(65_537), false).body_fields(), Err(Error::TooLarge(_))));
    }
}
