//! What API Gateway hands to introspection. An input is the event.

#![no_main]

use fuzz::{FUZZED, body_of, members};
use introspect_token::IntrospectToken;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};
use shared::{http::guard, lambda::answer};

fuzz_target!(|input: &[u8]| -> Corpus {
    let event = FUZZED.with_credentials(input);
    // The runtime reports what is not JSON.
    let Some(request) = guard::request(event.as_bytes()) else { return Corpus::Reject };
    let (response, line) = FUZZED.run(answer::<IntrospectToken>(&FUZZED.services, &request));
    let (status, body) = (response.status().as_u16(), body_of(&response));
    assert_eq!(line["function"], "introspect-token");
    assert_eq!(line["status"], status, "{line}");
    for (name, value) in
        [("content-type", "application/json"), ("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
    {
        assert_eq!(response.headers()[name], value);
    }

    match status {
        200 => assert_is_answer(&body, &event),
        400 | 401 | 403 | 404 | 413 | 415 | 422 => assert_is_error(status, &body),
        _ => panic!("{line}"),
    }
    Corpus::Keep
});

/// Whoever asked had to show a server-to-server token or an API account, neither limited to other scopes; and what is good has to
/// stand in the body, and be of the same store.
fn assert_is_answer(body: &Value, event: &str) {
    let headers = members(event, &["headers", "multiValueHeaders"]);
    let stores: Vec<_> = FUZZED
        .good_in(&headers)
        .filter(|shown| shown.context["kind"] != "storefront" && !shown.is_limited())
        .map(|shown| &shown.context["storeHash"])
        .collect();
    assert!(!stores.is_empty(), "nobody is answered: {body}");
    if *body == json!({"active": false}) {
        return;
    }
    assert_eq!(body["active"], true);
    assert_eq!(body["token_type"], "Bearer");
    assert!(stores.contains(&&body["store_hash"]), "a store is told of another: {body}");
    let sent = members(event, &["body"]);
    let is_described = FUZZED.good_in(&sent).any(|token| {
        let of = &token.context;
        let kind = if of["kind"] == "server" { "server" } else { "storefront" };
        body["aud"] == kind
            && body["store_hash"] == of["storeHash"]
            && body["email"] == of["email"]
            && body["jti"] == of["tokenId"]
            && body["scope"] == of["scope"]
    });
    assert!(is_described, "nobody has sent the token of {body}");
}

/// An error is in the envelope, and says nothing of the token.
fn assert_is_error(status: u16, body: &Value) {
    let text = &body["data"]["errMsg"];
    assert!(text.is_string() && body["meta"]["message"].is_string(), "{body}");
    let mut data = json!({"errMsg": text});
    if status == 422 {
        assert!(body["data"]["errors"].is_object());
        data["errors"] = body["data"]["errors"].clone();
    }
    let envelope = json!({"code": status, "data": data, "meta": {"message": body["meta"]["message"]}, "detail": text});
    assert_eq!(*body, envelope);
}
