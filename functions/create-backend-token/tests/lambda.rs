//! The real binary under a Runtime API: no event, however malformed, ends it or leaves it without an answer.

use serde_json::{Value, json};
use tests::{Lambda, Outcome, TestStack, admin_login, with};

fn good_event() -> Value {
    json!({
        "resource": "/io/auth/backend",
        "path": "/io/auth/backend",
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {"stage": "api", "requestId": "id", "httpMethod": "POST", "path": "/api/io/auth/backend"},
        "body": admin_login("n").to_string(),
        "isBase64Encoded": false,
    })
}

/// Events, and the statuses of their answers.
fn malformed_events() -> Vec<(Value, u16)> {
    let changed = |name: &str, value: Value| with(good_event(), name, value);
    let base64_body = |body: &str| with(changed("isBase64Encoded", json!(true)), "body", body);
    let odd_headers = json!({"Content-Type": ["application/json"], "\u{0}": ["\r\n", ""], "é": null});
    vec![
        // These two end in a panic of lambda_http's reader.
        (base64_body("not base64!"), 400),
        (changed("headers", json!({"Content-Type": "application/json", "Host": "a b\u{7f}"})), 200),
        (changed("path", json!("/\u{0} \u{fffd}^`{}")), 200),
        (base64_body("/////w=="), 400),
        (base64_body("e30="), 422),
        (changed("body", Value::Null), 400),
        (changed("httpMethod", json!("\n")), 200),
        (changed("multiValueHeaders", odd_headers), 200),
        (changed("multiValueHeaders", json!({"content-type": ["text/plain"]})), 415),
        (changed("requestContext", Value::Null), 200),
        (changed("requestContext", json!({"requestId": null, "authorizer": {"claims": 7}})), 200),
        (changed("requestContext", json!({"identity": 7})), 200),
        (changed("requestContext", json!({"identity": {"sourceIp": {"a": []}, "cognitoIdentityId": 7}})), 200),
        (changed("requestContext", json!(7)), 400),
        (changed("headers", json!([])), 400),
        (changed("body", json!({})), 400),
        (changed("isBase64Encoded", json!("yes")), 400),
        (json!({}), 415),
        (json!([]), 400),
        (json!(null), 400),
        (json!("event"), 400),
        (json!({"Records": [{"eventSource": "aws:sqs"}]}), 415),
        (json!({"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "POST"}}}), 415),
    ]
}

#[tokio::test]
async fn malformed_events_are_answered_and_the_function_lives_on() {
    let stack = TestStack::start_in_real_time().await;
    let mut lambda = Lambda::start(env!("CARGO_BIN_EXE_create-backend-token"), stack.aws_url()).await;
    for (event, status) in malformed_events() {
        assert_eq!(lambda.answer(&event).await.0, status, "{event}");
        assert_eq!(lambda.answer(&good_event()).await.0, 200, "after {event}");
    }
    // What is not JSON cannot come through the Invoke API; the runtime reports it.
    for event in ["", "{", "\u{0}"] {
        assert!(matches!(lambda.invoke(event).await, Outcome::Error(_)), "{event}");
        assert_eq!(lambda.answer(&good_event()).await.0, 200, "after {event:?}");
    }
    assert!(lambda.is_running());
}
