//! The real binary under a Runtime API: no event, however malformed, ends it or leaves it without an answer.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

use local::{
    Options, Stack, demo,
    runtime_api::{Outcome, RuntimeApi},
};
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
};
use std::{path::Path, process::Child, time::Duration};

struct Lambda {
    runtime_api: RuntimeApi,
    process: Child,
    _stack: Stack,
}

impl Lambda {
    async fn start() -> Self {
        let configuration = Configuration::local(StorefrontAccess::AuthToken);
        let options = Options::on_free_ports(configuration, Clock::system());
        let stack = Stack::start(options).await.unwrap();
        let runtime_api = RuntimeApi::start().await.unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_create-backend-token"));
        let process = runtime_api.command(binary, &stack.aws.server.url).spawn().unwrap();
        Self { runtime_api, process, _stack: stack }
    }

    async fn invoke(&self, event: &str) -> Outcome {
        let outcome = self.runtime_api.invoke(event.into());
        tokio::time::timeout(Duration::from_secs(20), outcome).await.unwrap().unwrap()
    }

    async fn status(&self, event: &Value) -> Value {
        match self.invoke(&event.to_string()).await {
            Outcome::Response(response) => {
                let response: Value = serde_json::from_str(&response).unwrap();
                let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
                assert_eq!(body["code"], response["statusCode"], "{response}");
                response["statusCode"].clone()
            }
            Outcome::Error(error) => panic!("{event}: {error}"),
        }
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn good_event() -> Value {
    let body = json!({
        "storeHash": demo::STORE, "email": demo::ADMIN_EMAIL, "password": demo::ADMIN_PASSWORD, "name": "n",
    });
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
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn malformed_events_are_answered_and_the_function_lives_on() {
    let mut lambda = Lambda::start().await;
    let changed = |name: &str, value: Value| {
        let mut event = good_event();
        event[name] = value;
        event
    };
    let base64_body = |body: &str| {
        let mut event = changed("isBase64Encoded", json!(true));
        event["body"] = json!(body);
        event
    };
    for (event, status) in [
        // These two end in a panic of lambda_http's reader.
        (base64_body("not base64!"), 400),
        (changed("headers", json!({"Content-Type": "application/json", "Host": "a b\u{7f}"})), 200),
        (changed("path", json!("/\u{0} \u{fffd}^`{}")), 200),
        (base64_body("/////w=="), 400),
        (base64_body("e30="), 422),
        (changed("body", Value::Null), 400),
        (changed("httpMethod", json!("\n")), 200),
        (
            changed(
                "multiValueHeaders",
                json!({"Content-Type": ["application/json"], "\u{0}": ["\r\n", ""], "é": null}),
            ),
            200,
        ),
        (changed("multiValueHeaders", json!({"content-type": ["text/plain"]})), 415),
        (changed("requestContext", Value::Null), 200),
        (changed("requestContext", json!({"requestId": null, "authorizer": {"claims": 7}})), 200),
        (changed("requestContext", json!(7)), 400),
        (changed("headers", json!([])), 400),
        (changed("body", json!({})), 400),
        (changed("isBase64Encoded", json!("yes")), 400),
        (json!({}), 415),
        (json!([]), 415),
        (json!(null), 400),
        (json!("event"), 400),
        (json!({"Records": [{"eventSource": "aws:sqs"}]}), 415),
        (json!({"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "POST"}}}), 415),
    ] {
        assert_eq!(lambda.status(&event).await, status, "{event}");
        assert_eq!(lambda.status(&good_event()).await, 200, "after {event}");
    }
    // What is not JSON cannot come through the Invoke API; the runtime reports it.
    for event in ["", "{", "\u{0}"] {
        assert!(matches!(lambda.invoke(event).await, Outcome::Error(_)), "{event}");
        assert_eq!(lambda.status(&good_event()).await, 200, "after {event:?}");
    }
    assert!(lambda.process.try_wait().unwrap().is_none());
}
