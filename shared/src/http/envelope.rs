//! The one shape of every answer.

use crate::http::{error::Error, fields::FieldErrors};
use serde::Serialize;
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

/// What a function answers when all went well.
#[derive(Debug)]
pub struct Success {
    data: Value,
    message: &'static str,
    pagination: Option<Pagination>,
}

/// Where a page lies in the whole list.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// How many entries the whole list has.
    pub total_count: u64,
    /// How many entries come before the page.
    pub offset: u64,
    /// How many entries the page may have.
    pub limit: u64,
}

impl Success {
    /// An answer with `data` and the usual message.
    #[must_use]
    pub fn new(data: Value) -> Self {
        Self { data, message: "SUCCESS", pagination: None }
    }

    /// The same answer with another `meta.message`.
    #[must_use]
    pub fn with_message(self, message: &'static str) -> Self {
        Self { message, ..self }
    }

    /// The same answer with `meta.pagination`.
    #[must_use]
    pub fn with_pagination(self, pagination: Pagination) -> Self {
        Self { pagination: Some(pagination), ..self }
    }
}

/// A Lambda proxy response, as API Gateway takes it.
///
/// Source: API Gateway developer guide, "Output format of a Lambda function for proxy integration".
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyResponse {
    /// The HTTP status.
    pub status_code: u16,
    /// The HTTP headers.
    pub headers: BTreeMap<&'static str, Cow<'static, str>>,
    /// The body, JSON text.
    pub body: String,
    /// Always false: the body is text.
    pub is_base64_encoded: bool,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    code: u16,
    data: T,
    meta: Meta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Meta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<Pagination>,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorData<'a> {
    err_msg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a FieldErrors>,
}

impl From<&Success> for ProxyResponse {
    fn from(success: &Success) -> Self {
        let meta = Meta { pagination: success.pagination, message: success.message };
        respond(&Envelope { code: 200, data: &success.data, meta, detail: None })
    }
}

impl From<&Error> for ProxyResponse {
    fn from(error: &Error) -> Self {
        let (code, message) = error.status();
        let text = error.to_string();
        let errors = match error {
            Error::InvalidFields(errors) => Some(errors),
            _ => None,
        };
        let mut response = respond(&Envelope {
            code,
            data: ErrorData { err_msg: &text, errors },
            meta: Meta { pagination: None, message: &message },
            detail: Some(&text),
        });
        if let Some(seconds) = error.retry_after() {
            response.headers.insert("Retry-After", seconds.to_string().into());
        }
        response
    }
}

fn respond<T: Serialize>(envelope: &Envelope<'_, T>) -> ProxyResponse {
    #[expect(clippy::expect_used, reason = "strings, numbers and maps with string keys always serialize")]
    let body = serde_json::to_string(envelope).expect("an envelope is JSON");
    ProxyResponse {
        status_code: envelope.code,
        headers: BTreeMap::from([("Content-Type", "application/json".into()), ("Cache-Control", "no-store".into())]),
        body,
        is_base64_encoded: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn success_is_code_data_meta_in_that_order() {
        let response = ProxyResponse::from(&Success::new(json!({})));
        assert_eq!(response.body, r#"{"code":200,"data":{},"meta":{"message":"SUCCESS"}}"#);
        assert_eq!(response.headers["Cache-Control"], "no-store");
        assert_eq!(response.headers["Content-Type"], "application/json");
    }

    #[test]
    fn an_error_says_the_same_in_err_msg_and_detail() {
        let response = ProxyResponse::from(&Error::NoCredentials);
        assert_eq!(
            response.body,
            r#"{"code":401,"data":{"errMsg":"Invalid token header. No credentials provided."},"meta":{"message":"Invalid token header. No credentials provided."},"detail":"Invalid token header. No credentials provided."}"#
        );
    }

    #[test]
    fn causes_stay_out_of_the_answer() {
        for error in [
            Error::Internal("secret cause".into()),
            Error::Unavailable("secret cause".into()),
            Error::InvalidToken("secret cause"),
            Error::InvalidJwtToken("secret cause"),
        ] {
            let response = ProxyResponse::from(&error);
            assert!(!response.body.contains("secret cause"), "{}", response.body);
        }
    }
}
