//! Reading the fields of a request.

use crate::{
    http::{error::Error, fields::Fields, guard::Refusal},
    json::{self, Unreadable},
};
use lambda_http::{Request, RequestExt, http::header::CONTENT_TYPE};
use serde_json::{Map, Value};

/// Largest accepted body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The fields of the query.
#[must_use]
pub fn query_fields(request: &Request) -> Fields {
    with_query(Fields::default(), request)
}

/// The fields of the body.
///
/// # Errors
/// [`Error::UnsupportedMediaType`], [`Error::TooLarge`], [`Error::BadRequest`] or [`Error::MemberNamedTwice`].
pub fn body_fields(request: &Request) -> Result<Fields, Error> {
    Ok(Fields::new(body_object(request)?))
}

/// The fields of the body, where there is one, and of the query.
///
/// # Errors
/// As [`body_fields`].
pub fn body_and_query_fields(request: &Request) -> Result<Fields, Error> {
    let has_body = !request.body().is_empty() || Refusal::of(request).is_some();
    let body = if has_body { body_object(request)? } else { Map::new() };
    Ok(with_query(Fields::new(body), request))
}

fn with_query(fields: Fields, request: &Request) -> Fields {
    match request.query_string_parameters_ref() {
        Some(query) => fields.with_query(query.iter()),
        None => fields,
    }
}

fn body_object(request: &Request) -> Result<Map<String, Value>, Error> {
    let content_type = request.headers().get(CONTENT_TYPE).map_or("".into(), |value| {
        // Parameters are not looked at, whatever is in them.
        String::from_utf8_lossy(value.as_bytes())
    });
    let media_type = content_type.split(';').next().unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(Error::UnsupportedMediaType);
    }
    if Refusal::of(request) == Some(Refusal::Base64) {
        return Err(Error::BadRequest("The body is not valid base64."));
    }
    let body = request.body().as_ref();
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::TooLarge("The body is larger than 64 KiB."));
    }
    let body = str::from_utf8(body).map_err(|_| Error::BadRequest("The body is not valid UTF-8."))?;
    match json::parse(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::BadRequest("The body must be a JSON object.")),
        Err(Unreadable::NotJson) => Err(Error::BadRequest("The body is not valid JSON.")),
        Err(Unreadable::NamedTwice(name)) => Err(Error::MemberNamedTwice(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::guard;
    use serde_json::json;

    fn json_request(body: &Value, is_base64_encoded: bool) -> Request {
        let event = json!({
            "headers": {"content-type": "Application/JSON; charset=utf-8"},
            "body": body, "isBase64Encoded": is_base64_encoded,
        });
        guard::request(event.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn parameters_of_the_content_type_do_not_matter() {
        for (content_type, is_json) in [
            ("application/json", true),
            ("application/json; charset=utf\u{2011}8", true),
            ("application/json\u{a0}", true),
            ("application/json\u{e9}", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let event = json!({"headers": {"content-type": content_type}, "body": "{}"});
            let request = guard::request(event.to_string().as_bytes()).unwrap();
            assert_eq!(body_fields(&request).is_ok(), is_json, "{content_type}");
        }
    }

    #[test]
    fn without_a_content_type_only_the_query_is_read() {
        let request = guard::request(b"{}").unwrap();
        assert!(matches!(body_fields(&request), Err(Error::UnsupportedMediaType)));
        assert!(body_and_query_fields(&request).is_ok());
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
            match body_fields(&json_request(&body, is_base64_encoded)) {
                Err(Error::BadRequest(said)) => assert_eq!(said, message, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        assert!(body_fields(&json_request(&json!("e30="), true)).is_ok());
    }

    #[test]
    fn the_largest_body_is_64_kib() {
        let body = |bytes: usize| json!(format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8)));
        assert!(body_fields(&json_request(&body(65_536), false)).is_ok());
        assert!(matches!(body_fields(&json_request(&body(65_537), false)), Err(Error::TooLarge(_))));
    }
}
