//! The authorizer, asked as API Gateway asks it, and its answer taken as API Gateway takes it.

use crate::{TestStack, stack::cold_clients};
use authorize_request::{UNAUTHORIZED, answer};
use serde_json::{Value, json};
use shared::services::Services;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The API's backend gets it, with this context.
    LetIn(Value),
    /// The caller gets this status.
    Refused(u16),
}

impl Entry {
    pub fn status(&self) -> u16 {
        match self {
            Self::LetIn(_) => 200,
            Self::Refused(status) => *status,
        }
    }
}

/// The function, warm once it was asked.
pub struct Authorizer(Services);

const API: &str = "arn:aws:execute-api:us-east-1:123456789012:abc123";

impl Authorizer {
    pub fn of(stack: &TestStack) -> Self {
        Self(stack.services())
    }

    /// As after a cold start in production, with the AWS at this address.
    pub async fn cold(stack: &TestStack, aws_url: &str) -> Self {
        let (dynamodb, secrets) = cold_clients(aws_url).await;
        Self(stack.services_with(&dynamodb, &secrets))
    }

    /// Asks it by an alias, or by its own name where that is empty.
    pub async fn ask(&self, alias: &str, event: &Value) -> Entry {
        let qualifier = if alias.is_empty() { String::new() } else { format!(":{alias}") };
        self.ask_by_arn(&format!("arn:aws:lambda:us-east-1:123456789012:function:authorize{qualifier}"), event).await
    }

    pub async fn ask_by_arn(&self, function_arn: &str, event: &Value) -> Entry {
        let answer = Box::pin(answer(&self.0, function_arn, &event.to_string())).await;
        self.0.after_answer.finish().await;
        let wants_policy = event["version"] != "2.0";
        match answer {
            Ok(answer) if wants_policy => by_policy(event, answer),
            Ok(answer) => by_boolean(answer),
            // API Gateway knows this word from where it wants a policy.
            Err(error) if wants_policy && error.error_message == UNAUTHORIZED => Entry::Refused(401),
            Err(error) => {
                assert!(!error.error_message.contains(UNAUTHORIZED), "{error:?}");
                Entry::Refused(500)
            }
        }
    }
}

fn by_policy(event: &Value, mut answer: Value) -> Entry {
    let method_arn = event["methodArn"].as_str().unwrap();
    let api_and_stage = method_arn.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    let policy = |effect| {
        let statement =
            json!({"Effect": effect, "Action": "execute-api:Invoke", "Resource": format!("{api_and_stage}/*")});
        json!({"Version": "2012-10-17", "Statement": [statement]})
    };
    assert!(answer["principalId"].as_str().is_some_and(|id| !id.is_empty()), "{answer}");
    let context = answer["context"].take();
    is_of_texts(&context);
    match &answer["policyDocument"] {
        document if *document == policy("Allow") => Entry::LetIn(context),
        document if *document == policy("Deny") => Entry::Refused(403),
        document => panic!("{document}"),
    }
}

fn by_boolean(mut answer: Value) -> Entry {
    if answer == json!({"isAuthorized": false}) {
        return Entry::Refused(403);
    }
    let context = answer["context"].take();
    is_of_texts(&context);
    assert_eq!(answer, json!({"isAuthorized": true, "context": null}));
    Entry::LetIn(context)
}

fn is_of_texts(context: &Value) {
    assert!(context.as_object().is_some_and(|members| members.values().all(Value::is_string)), "{context}");
}

/// As a REST API asks.
pub fn rest_event(headers: &Value) -> Value {
    json!({
        "type": "REQUEST",
        "methodArn": format!("{API}/test/GET/orders"),
        "resource": "/orders",
        "path": "/orders",
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": null,
        "queryStringParameters": {},
        "pathParameters": {},
        "stageVariables": {},
        "requestContext": {
            "path": "/orders", "accountId": "123456789012", "resourceId": "05c7jb", "stage": "test", "requestId": "r",
            "identity": {"apiKey": null, "sourceIp": "192.0.2.1"}, "resourcePath": "/orders", "httpMethod": "GET",
            "apiId": "abc123",
        },
    })
}

/// As an HTTP API asks with payload 2.0.
pub fn http_event(headers: &Value) -> Value {
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": format!("{API}/$default/GET/orders"),
        "identitySource": null,
        "routeKey": "GET /orders",
        "rawPath": "/orders",
        "rawQueryString": "",
        "cookies": ["a=b"],
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012", "apiId": "abc123", "domainName": "d", "domainPrefix": "abc123",
            "http": {"method": "GET", "path": "/orders", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "r", "routeKey": "GET /orders", "stage": "$default", "time": "t", "timeEpoch": 1,
        },
        "stageVariables": {},
    })
}
