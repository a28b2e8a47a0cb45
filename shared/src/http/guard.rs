//! Stands between an invocation and `lambda_http`, so that nothing in an event can stop a function or change who is calling.
//!
//! It writes each event anew, with no more than the functions read, which `lambda_http` 1.3 makes a request of without fail.
//! Without it, `lambda_http` (`request.rs`, `into_proxy_request` and `build_request_uri`) would
//!
//! - keep one of several headers of a name: `headers` is laid over `multiValueHeaders` with `Extend`, which replaces. A repeated
//!   `authToken` could then not be told from a single one. Here all go into `multiValueHeaders`;
//! - refuse the whole event for one header whose name or value HTTP does not allow. Here the name is left out, or the
//!   character replaced;
//! - panic on a body that is not the base64 it says, `Body::from_maybe_encoded` (here [`Refusal::Base64`]);
//! - panic on a `Host`, an `X-Forwarded-Proto` or a domain name that makes no URL, and on a path that makes none without them.
//!   Nothing here reads the URL, so they are left out;
//! - refuse an event whose `requestContext.identity` is mistyped. Here only its `sourceIp` is read, and left out if it is no
//!   address;
//! - panic on an empty list in `multiValueQueryStringParameters`, `QueryMapIter::next`. It is no parameter;
//! - panic on a query that makes a URI of over 65,534 bytes, more than API Gateway lets through (here [`Refusal::Event`]);
//! - refuse an event without `requestContext.httpMethod`, or with a method that is none. Here it is called `UNKNOWN`: so an event
//!   `{}` is a request without headers and body.
//!
//! It may go when upstream does none of this, which the tests below would show without it.

use base64::{Engine, engine::general_purpose::STANDARD};
use lambda_http::{
    Request, RequestExt,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    lambda_runtime::LambdaInvocation,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{borrow::Cow, collections::HashMap, net::IpAddr};

/// Most headers. API Gateway takes 10,240 bytes for all of them; HTTP libraries stop at 24,576.
const MAX_HEADERS: usize = 10_000;
/// Longest query, in bytes once it is encoded. API Gateway takes 10,240 bytes for the request line and all headers.
const MAX_QUERY_BYTES: usize = 60_000;
/// Where a request says why it is refused: among the stage variables, which only API Gateway and this module can write.
const REFUSAL: &str = "refusal";

/// Why an event cannot be read as API Gateway means it. API Gateway sends none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a proxy request.
    Event,
    /// Its body is not the base64 that it says.
    Base64,
}

impl Refusal {
    fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Base64 => "base64",
        }
    }

    /// Why a request is refused that went through the guard, if it is.
    #[must_use]
    pub fn of(request: &Request) -> Option<Self> {
        let word = request.stage_variables_ref()?.first(REFUSAL)?;
        [Self::Event, Self::Base64].into_iter().find(|refusal| refusal.word() == word)
    }
}

/// The invocation, with an event that can be read. What is not JSON stays as it is, for the runtime to report.
#[must_use]
pub fn invocation(invocation: LambdaInvocation) -> LambdaInvocation {
    match event(&invocation.body) {
        Some(event) => LambdaInvocation { body: event.into(), ..invocation },
        None => invocation,
    }
}

/// The request that an event of API Gateway makes; none if it is not JSON.
#[must_use]
pub fn request(bytes: &[u8]) -> Option<Request> {
    lambda_http::request::from_str(&event(bytes)?).ok()
}

/// The headers of any event of API Gateway, one that asks an authorizer too; none if it is not JSON, or if they cannot be headers.
#[must_use]
pub fn event_headers(event: &[u8]) -> Option<HeaderMap> {
    let members: Members<'_> = serde_json::from_slice(event).ok()?;
    let mut map = HeaderMap::new();
    for (name, values) in headers(pairs(&members, "multiValueHeaders", "headers")?)? {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        for value in values {
            map.append(&name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
    }
    Some(map)
}

/// The event as it can be read; none if it is not JSON.
fn event(bytes: &[u8]) -> Option<String> {
    let event = match serde_json::from_slice::<Members<'_>>(bytes) {
        Ok(members) => sound_event(&members).unwrap_or_else(|| refused(Refusal::Event)),
        Err(error) if error.is_data() => refused(Refusal::Event),
        Err(_) => return None,
    };
    Some(event.to_string())
}

/// The members of a JSON object, each as its text: what is not read may be of any form and depth.
type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// The values of each name.
type Pairs = HashMap<String, Vec<String>>;

fn refused(refusal: Refusal) -> Value {
    json!({
        "httpMethod": "UNKNOWN",
        "path": "/",
        "stageVariables": {REFUSAL: refusal.word()},
        "requestContext": {"httpMethod": "UNKNOWN"},
    })
}

/// The event anew, none if it is not a proxy request: if a member that is read is of another type.
///
/// Source: API Gateway developer guide, "Input format of a Lambda function for proxy integration".
fn sound_event(members: &Members<'_>) -> Option<Value> {
    let context: Members<'_> = member(members, "requestContext")?;
    let method: String = member(members, "httpMethod")?;
    let method = Method::from_bytes(method.as_bytes()).map_or("UNKNOWN".to_owned(), |method| method.to_string());
    let resource: String = member(members, "resource")?;
    let request_id: String = member(&context, "requestId")?;
    let identity: Members<'_> = member(&context, "identity").unwrap_or_default();
    // An address of another form is none; whoever counts callers takes those without one together.
    let source_ip: Option<IpAddr> = member(&identity, "sourceIp").unwrap_or_default();
    let headers = headers(pairs(members, "multiValueHeaders", "headers")?)?;
    let query = query(pairs(members, "multiValueQueryStringParameters", "queryStringParameters")?)?;
    let body: Option<String> = member(members, "body")?;
    let is_base64: bool = member(members, "isBase64Encoded")?;
    let is_bad_base64 = is_base64 && body.as_ref().is_some_and(|body| STANDARD.decode(body).is_err());
    Some(json!({
        "httpMethod": method,
        "path": "/",
        "multiValueHeaders": headers,
        "multiValueQueryStringParameters": query,
        "stageVariables": if is_bad_base64 { json!({REFUSAL: Refusal::Base64.word()}) } else { json!({}) },
        "requestContext": {
            "httpMethod": method,
            "requestId": request_id,
            "resourcePath": resource,
            "identity": {"sourceIp": source_ip},
        },
        "body": if is_bad_base64 { None } else { body },
        "isBase64Encoded": is_base64,
    }))
}

/// A member; the default where it is absent or `null`; none if it is of another type.
fn member<'a, T: Deserialize<'a> + Default>(members: &Members<'a>, name: &str) -> Option<T> {
    match members.get(name) {
        Some(text) => serde_json::from_str::<Option<T>>(text.get()).ok().map(Option::unwrap_or_default),
        None => Some(T::default()),
    }
}

/// The entries of a map of lists, then what only its single-value twin has. `null` is an empty list there and a string here.
fn pairs(members: &Members<'_>, multi: &str, single: &str) -> Option<Vec<(String, Vec<String>)>> {
    let multi: HashMap<String, Option<Vec<String>>> = member(members, multi)?;
    let mut single: HashMap<String, Option<String>> = member(members, single)?;
    single.retain(|name, _| !multi.contains_key(name));
    let single = single.into_iter().map(|(name, value)| (name, vec![value.unwrap_or_default()]));
    Some(multi.into_iter().map(|(name, values)| (name, values.unwrap_or_default())).chain(single).collect())
}

/// The headers, names in lower case; none if there are too many.
fn headers(pairs: Vec<(String, Vec<String>)>) -> Option<Pairs> {
    let mut headers = Pairs::new();
    for (name, values) in pairs {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if name == header::HOST || name == "x-forwarded-proto" {
            continue;
        }
        headers.entry(name.to_string()).or_default().extend(values.iter().map(|value| header_value(value)));
    }
    (headers.values().map(Vec::len).sum::<usize>() <= MAX_HEADERS).then_some(headers)
}

/// The value of a header, without what HTTP does not allow in one (RFC 9110, section 5.5).
fn header_value(value: &str) -> String {
    if value.trim_ascii().is_empty() { String::new() } else { value.replace(is_forbidden, "\u{fffd}") }
}

fn is_forbidden(c: char) -> bool {
    c.is_ascii_control() && c != '\t'
}

/// The query; none if it is too long.
fn query(pairs: Vec<(String, Vec<String>)>) -> Option<Pairs> {
    // A byte that is not a letter or digit may take three.
    let encoded = |text: &str| text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { 1 } else { 3 }).sum::<usize>();
    let bytes = |(name, values): (&String, &Vec<String>)| {
        values.iter().map(|value| encoded(name) + encoded(value) + 2).sum::<usize>()
    };
    let pairs: Pairs = pairs.into_iter().filter(|(_, values)| !values.is_empty()).collect();
    (pairs.iter().map(bytes).sum::<usize>() <= MAX_QUERY_BYTES).then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    fn guarded(event: &Value) -> Request {
        request(event.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn an_event_of_nulls_is_an_empty_request() {
        let request = guarded(&json!({
            "httpMethod": null, "headers": null, "multiValueHeaders": null, "queryStringParameters": null,
            "multiValueQueryStringParameters": null, "requestContext": null, "body": null, "isBase64Encoded": null,
        }));
        assert_eq!(Refusal::of(&request), None);
        assert!(request.headers().is_empty() && request.query_string_parameters().is_empty());
        assert!(request.body().is_empty());
    }

    #[test]
    fn what_cannot_be_a_proxy_event_is_refused() {
        for event in ["null", "7", "[]", r#"{"headers": 7}"#, r#"{"headers": {"a": []}}"#, r#"{"body": {}}"#] {
            assert_eq!(Refusal::of(&request(event.as_bytes()).unwrap()), Some(Refusal::Event), "{event}");
        }
        for not_json in ["", "{", "\u{0}"] {
            assert!(request(not_json.as_bytes()).is_none(), "{not_json}");
        }
    }

    #[test]
    fn only_the_guard_says_that_a_request_is_refused() {
        let request = guarded(&json!({"stageVariables": {REFUSAL: "event"}, "headers": {REFUSAL: "event"}}));
        assert_eq!(Refusal::of(&request), None);
    }

    #[test]
    fn headers_of_a_name_are_kept_in_any_case_and_from_both_maps() {
        for (event, name, count) in [
            (json!({"headers": {"authToken": "a"}, "multiValueHeaders": {"authToken": ["a"]}}), "authtoken", 1),
            (json!({"headers": {"authToken": "a"}}), "authtoken", 1),
            (json!({"multiValueHeaders": {"authToken": ["a", "a"]}}), "authtoken", 2),
            (json!({"multiValueHeaders": {"authToken": ["a"], "AUTHTOKEN": ["a"]}}), "authtoken", 2),
            (json!({"headers": {"authToken": "a", "authtoken": "a"}}), "authtoken", 2),
            (
                json!({"headers": {"x-auth-token": "a"}, "multiValueHeaders": {"X-Auth-Token": ["b"]}}),
                "x-auth-token",
                2,
            ),
            (json!({"multiValueHeaders": {"X-Store-Hash": ["a", "b"]}}), "x-store-hash", 2),
        ] {
            assert_eq!(guarded(&event).headers().get_all(name).iter().count(), count, "{event}");
        }
    }

    #[test]
    fn a_header_that_http_does_not_allow_never_looks_like_another() {
        let request = guarded(&json!({"headers": {
            "authToken": "a\u{0}\r\nb", "X-Store-Hash": "d\u{e9}\u{85}", "X-Auth-Token": "\r\n", "bad name": "c", "": "d",
            "\u{0}": "e",
        }}));
        assert_eq!(request.headers()["authtoken"].as_bytes(), "a\u{fffd}\u{fffd}\u{fffd}b".as_bytes());
        assert_eq!(request.headers()["x-store-hash"].as_bytes(), "d\u{e9}\u{85}".as_bytes());
        assert_eq!(request.headers()["x-auth-token"].as_bytes(), b"");
        assert_eq!(request.headers().len(), 3);
    }

    /// What `lambda_http` makes of an event by itself; none if it refuses it or panics.
    fn unguarded(event: &Value) -> Option<Request> {
        std::panic::catch_unwind(|| lambda_http::request::from_str(&event.to_string()).ok()).ok().flatten()
    }

    /// When this fails upstream is mended, and a part of the guard may go.
    #[test]
    fn what_upstream_does_not_take_is_a_request() {
        let good = json!({"httpMethod": "GET", "requestContext": {"httpMethod": "GET"}});
        assert!(unguarded(&good).is_some());
        let with = |name: &str, value: Value| {
            let mut event = good.clone();
            event[name] = value;
            event
        };
        let in_context = |name: &str, value: Value| {
            let mut event = good.clone();
            event["requestContext"][name] = value;
            event
        };
        let mut bad_base64 = with("body", json!("not base64!"));
        bad_base64["isBase64Encoded"] = json!(true);
        let mut no_path = in_context("stage", Value::Null);
        no_path["path"] = json!("@:x");
        let long = "%".repeat(30_000);
        let many: Map<String, Value> = (0..24_577).map(|n| (format!("h{n}"), "".into())).collect();
        for (event, refusal) in [
            (bad_base64, Some(Refusal::Base64)),
            (with("headers", json!({"Host": "a b"})), None),
            (with("headers", json!({"Host": "h", "X-Forwarded-Proto": "1 2"})), None),
            (with("headers", json!({"bad name": "a"})), None),
            (with("headers", json!({"a": "\r\n"})), None),
            (with("headers", Value::Object(many)), Some(Refusal::Event)),
            (in_context("domainName", json!("a b")), None),
            (no_path, None),
            (in_context("identity", json!(7)), None),
            (in_context("identity", json!({"sourceIp": 7})), None),
            (with("multiValueQueryStringParameters", json!({"a": []})), None),
            (with("multiValueQueryStringParameters", json!({"a": [long, long]})), Some(Refusal::Event)),
            (with("httpMethod", json!("\n")), None),
            (in_context("httpMethod", Value::Null), None),
            (json!({}), None),
        ] {
            let said = event.to_string();
            let said = &said[..said.len().min(200)];
            assert!(unguarded(&event).is_none(), "upstream takes {said}");
            assert_eq!(Refusal::of(&guarded(&event)), refusal, "{said}");
        }
        let twice = with("multiValueHeaders", json!({"authToken": ["a", "b"]}));
        let mut twice_in_both = twice.clone();
        twice_in_both["headers"] = json!({"authToken": "b"});
        for (event, count) in [(twice, 2), (twice_in_both, 1)] {
            let count_of = |request: Request| request.headers().get_all("authToken").iter().count();
            assert_eq!(count_of(unguarded(&event).unwrap()), count);
            assert_eq!(count_of(guarded(&event)), 2);
        }
    }

    #[test]
    fn no_event_of_json_is_left_without_a_request() {
        let good = json!({
            "resource": "/io/auth/backend", "path": "/io/auth/backend", "httpMethod": "POST",
            "headers": {"Host": "h", "authToken": "t"}, "multiValueHeaders": {"Host": ["h"], "authToken": ["t"]},
            "queryStringParameters": {"id": "7"}, "multiValueQueryStringParameters": {"id": ["7", "8"]},
            "pathParameters": null, "stageVariables": {"a": "b"},
            "requestContext": {
                "stage": "api", "requestId": "id", "httpMethod": "POST", "domainName": "d",
                "identity": {"sourceIp": "192.0.2.1", "userAgent": "u"},
            },
            "body": "e30=", "isBase64Encoded": true,
        });
        let odd = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1e300),
            json!(""),
            json!("\u{0}\u{e9}\u{1f600} %zz"),
            json!([]),
            json!([[]]),
            json!([null]),
            json!(["\r\n", "a"]),
            json!({}),
            json!({"": [""]}),
            json!({"a": [], "A": ["\u{7f}"]}),
            json!({"a": null}),
            serde_json::from_str(&format!("{}{}", "[".repeat(120), "]".repeat(120))).unwrap(),
        ];
        let mut random = fastrand::Rng::with_seed(7);
        let names: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
        for _ in 0..20_000 {
            let mut event = good.clone();
            for _ in 0..=random.usize(0..3) {
                let name = &names[random.usize(0..names.len())];
                let value = odd[random.usize(0..odd.len())].clone();
                match event[name].as_object_mut().filter(|members| !members.is_empty() && random.bool()) {
                    Some(members) => {
                        let member = members.keys().nth(random.usize(0..members.len())).unwrap().clone();
                        members.insert(member, value);
                    }
                    None => event[name] = value,
                }
            }
            assert!(request(event.to_string().as_bytes()).is_some(), "{event}");
        }
    }
}
