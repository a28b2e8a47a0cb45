//! A client of the API that checks of every answer its envelope, and that `openapi.yaml` knows its status.

use crate::operation;
use local::{demo, gateway::path_below_prefix};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use shared::lambda::STRICT_TRANSPORT;
use std::time::Duration;

/// A request that waits to be sent.
pub struct Call(pub(crate) reqwest::RequestBuilder);

impl Clone for Call {
    fn clone(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }
}

impl Call {
    pub fn token(self, token: &str) -> Self {
        self.header("authToken", token)
    }

    /// As an API account of the demo store.
    pub fn account(self, access_token: &str) -> Self {
        self.header("X-Auth-Token", access_token).header("X-Store-Hash", demo::STORE)
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("Content-Type", content_type).body(body))
    }

    /// Sends it, and checks what every answer must have.
    pub async fn send(self) -> Answer {
        let (client, request) = self.0.timeout(Duration::from_mins(1)).build_split();
        let request = request.unwrap();
        let method = request.method().to_string();
        let response = client.execute(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let path = response.url().path().to_owned();
        if let Some(operation) = path_below_prefix(&path).and_then(|path| operation(&method, path)) {
            assert!(operation["responses"].get(status.to_string()).is_some(), "{method} {path}: {status}");
        }
        let is_deployed = response.url().host_str() != Some("127.0.0.1");
        let text = response.text().await.unwrap();
        assert_eq!(headers["cache-control"], "no-store", "{text}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{text}");
        // The one thing in which a deployed stack, whose API has a name, differs from `cargo run`.
        let strict_transport = headers.get("strict-transport-security").map(|value| value.to_str().unwrap());
        assert_eq!(strict_transport, is_deployed.then_some(STRICT_TRANSPORT), "{text}");
        let request_id = headers["x-amzn-requestid"].to_str().unwrap().into();
        if status == 204 {
            assert_eq!(text, "");
            return Answer { status, retry_after: None, request_id, headers, body: Value::Null };
        }
        assert_eq!(headers["content-type"], "application/json", "{text}");
        let body: Value = serde_json::from_str(&text).unwrap();
        // An API of somebody else's.
        if path.starts_with("/example/") {
            return Answer { status, retry_after: None, request_id, headers, body };
        }
        if status == 200 && path.ends_with("/oauth/introspect") {
            assert!(body["active"].is_boolean(), "{text}");
            return Answer { status, retry_after: None, request_id, headers, body };
        }
        assert_eq!(body["code"], status, "{text}");
        assert!(body["meta"]["message"].is_string(), "{text}");
        if status == 200 {
            assert!(body["data"].is_array() || body["data"].is_object(), "{text}");
            assert!(body.get("detail").is_none(), "{text}");
        } else {
            assert!(body["data"]["errMsg"].as_str().is_some_and(|text| !text.is_empty()), "{text}");
            assert_eq!(body["detail"], body["data"]["errMsg"], "{text}");
        }
        let retry_after = headers.get("retry-after").map(|seconds| seconds.to_str().unwrap().parse().unwrap());
        Answer { status, retry_after, request_id, headers, body }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub request_id: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// Checks status, `meta.message` and `errMsg`.
    #[track_caller]
    pub fn is_error(&self, status: u16, message: &str, err_msg: &str) {
        let said = (self.status, &self.body["meta"]["message"], &self.body["data"]["errMsg"]);
        assert_eq!(said, (status, &json!(message), &json!(err_msg)), "{}", self.body);
    }

    /// Checks that just these fields are refused.
    #[track_caller]
    pub fn refuses_fields(&self, fields: &[&str]) {
        assert_eq!(
            (self.status, &self.body["meta"]["message"]),
            (422, &json!("Missing or Invalid Data")),
            "{}",
            self.body
        );
        let errors = self.body["data"]["errors"].as_object().unwrap();
        assert_eq!(errors.keys().collect::<Vec<_>>(), fields, "{}", self.body);
        for (field, messages) in errors {
            for message in messages.as_array().unwrap() {
                let named = format!("{field}: {}", message.as_str().unwrap());
                assert!(self.body["data"]["errMsg"].as_str().unwrap().contains(&named), "{}", self.body);
            }
        }
    }

    #[track_caller]
    pub fn is_invalid_token(&self) {
        self.is_error(401, "Invalid token.", "Invalid token.");
    }

    /// The token of `POST /auth/backend`.
    #[track_caller]
    pub fn server_token(&self) -> &str {
        self.body["data"][0]["token"].as_str().unwrap()
    }

    /// How many tokens the store has, as a list says.
    #[track_caller]
    pub fn total_count(&self) -> u64 {
        self.body["meta"]["pagination"]["totalCount"].as_u64().unwrap()
    }

    /// The storefront token of any of the three storefront endpoints.
    #[track_caller]
    pub fn storefront_token(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.body);
        let token = &self.body["data"]["token"];
        token.as_str().or_else(|| token[0].as_str()).unwrap()
    }
}
