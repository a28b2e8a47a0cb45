//! Reading the fields of a request.

use crate::{
    http::{error::Error, fields::Fields, guard::Refusal},
    json::{self, Unreadable},
};
use lambda_http::{Request, RequestExt, http::header::CONTENT_TYPE, request::RequestContext};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv6Addr};

/// Largest accepted body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
const JSON: &str = "application/json";
/// Names a request that its caller may repeat (RFC draft httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Longest [`IDEMPOTENCY_KEY`], in characters.
const MAX_IDEMPOTENCY_KEY: usize = 255;
const FORM: &str = "application/x-www-form-urlencoded";
/// Stands for the address of those who have none.
const UNKNOWN_ADDRESS: &str = "unknown";

/// Where a request comes from, as callers are counted: an IPv4 address, or the /64 of an IPv6 address, since whoever has one
/// address of it has all. Those without an address are one.
///
/// It is what API Gateway saw. A header such as `X-Forwarded-For` is the caller's own word.
#[must_use]
pub fn caller_address(request: &Request) -> String {
    let Some(RequestContext::ApiGatewayV1(context)) = request.request_context_ref() else {
        return UNKNOWN_ADDRESS.into();
    };
    let address = context.identity.source_ip.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        None => UNKNOWN_ADDRESS.into(),
    }
}

/// The key by which the caller may repeat the request. It is read with the fields, so that its mistakes are named with theirs.
pub fn idempotency_key(request: &Request, fields: &mut Fields) -> Option<String> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let value = values.next()?;
    if values.next().is_some() {
        fields.reject(IDEMPOTENCY_KEY, "must not be given twice.");
        return None;
    }
    let key = value.to_str().ok().filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    let key = key.filter(|key| (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()));
    if key.is_none() {
        fields.reject(IDEMPOTENCY_KEY, "must be 1 to 255 visible ASCII characters.");
    }
    key.map(Into::into)
}

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
        Some(query) => fields.with_pairs(query.iter()),
        None => fields,
    }
}

/// The fields of a body that is a form or JSON.
///
/// # Errors
/// As [`body_fields`].
pub fn form_or_json_fields(request: &Request) -> Result<Fields, Error> {
    match media_type(request).as_str() {
        FORM => {
            let pairs: Vec<_> = url::form_urlencoded::parse(body_text(request)?.as_bytes()).collect();
            Ok(Fields::default().with_pairs(pairs.iter().map(|(name, value)| (&**name, &**value))))
        }
        JSON => Ok(Fields::new(json_object(body_text(request)?)?)),
        _ => Err(Error::UnsupportedMediaType("application/x-www-form-urlencoded or application/json")),
    }
}

fn body_object(request: &Request) -> Result<Map<String, Value>, Error> {
    if media_type(request) != JSON {
        return Err(Error::UnsupportedMediaType(JSON));
    }
    json_object(body_text(request)?)
}

/// In lower case, and without parameters, whatever is in them.
fn media_type(request: &Request) -> String {
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type.map_or("".into(), |value| String::from_utf8_lossy(value.as_bytes()));
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn body_text(request: &Request) -> Result<&str, Error> {
    if Refusal::of(request) == Some(Refusal::Base64) {
        return Err(Error::BadRequest("The body is not valid base64."));
    }
    let body = request.body().as_ref();
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::TooLarge("The body is larger than 64 KiB."));
    }
    str::from_utf8(body).map_err(|_| Error::BadRequest("The body is not valid UTF-8."))
}

fn json_object(body: &str) -> Result<Map<String, Value>, Error> {
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
    fn callers_are_told_apart_by_ipv4_address_and_by_the_64_of_ipv6() {
        for (source_ip, address) in [
            (json!("192.0.2.1"), "192.0.2.1"),
            (json!("::ffff:192.0.2.1"), "192.0.2.1"),
            (json!("::ffff:c000:201"), "192.0.2.1"),
            (json!("2001:DB8::1:2:3:4:5"), "2001:db8:0:1::/64"),
            (json!("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64"),
            (json!("::1"), "::/64"),
            (json!("fe80::1%eth0"), "unknown"),
            (json!("192.0.2.1:80"), "unknown"),
            (json!("192.0.2.01"), "unknown"),
            (json!(" 192.0.2.1"), "unknown"),
            (json!("test-invoke-source-ip"), "unknown"),
            (json!(3_221_225_985_u32), "unknown"),
            (json!(["192.0.2.1"]), "unknown"),
            (json!({"V4": "192.0.2.1"}), "unknown"),
            (json!(null), "unknown"),
        ] {
            let event = json!({
                "headers": {"X-Forwarded-For": "203.0.113.1"},
                "requestContext": {"identity": {"sourceIp": source_ip, "userAgent": 7}},
            });
            let request = guard::request(event.to_string().as_bytes()).unwrap();
            assert_eq!(caller_address(&request), address, "{source_ip}");
        }
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
        assert!(matches!(body_fields(&request), Err(Error::UnsupportedMediaType(_))));
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
