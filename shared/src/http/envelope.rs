//! The one shape of every answer but that of introspection.

use crate::http::{error::Error, field_errors::FieldErrors};
use lambda_http::{
    Body, Response,
    http::{HeaderValue, StatusCode, header},
};
use serde::Serialize;
use serde_json::Value;

/// What a function answers when all went well.
#[derive(Debug)]
pub struct Success {
    data: Value,
    /// None where the data are the whole body.
    meta: Option<Meta<'static>>,
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
        Self { data, meta: Some(Meta { pagination: None, message: "SUCCESS" }) }
    }

    /// An answer that is not in the envelope, for clients that expect the form of a standard.
    #[must_use]
    pub fn without_envelope(data: Value) -> Self {
        Self { data, meta: None }
    }

    /// The same answer with another `meta.message`.
    #[must_use]
    pub fn with_message(self, message: &'static str) -> Self {
        Self { meta: self.meta.map(|meta| Meta { message, ..meta }), ..self }
    }

    /// The same answer with `meta.pagination`.
    #[must_use]
    pub fn with_pagination(self, pagination: Pagination) -> Self {
        Self { meta: self.meta.map(|meta| Meta { pagination: Some(pagination), ..meta }), ..self }
    }
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    code: u16,
    data: T,
    meta: Meta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, Serialize)]
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

/// The answer that gives what was asked for.
#[must_use]
pub fn success_response(success: &Success) -> Response<Body> {
    match success.meta {
        Some(meta) => respond(StatusCode::OK, &Envelope { code: 200, data: &success.data, meta, detail: None }),
        None => respond(StatusCode::OK, &success.data),
    }
}

/// The answer that tells of an error.
#[must_use]
pub fn error_response(error: &Error) -> Response<Body> {
    let (code, message) = error.status();
    let text = error.told();
    let errors = match error {
        Error::InvalidFields(errors) => Some(errors),
        _ => None,
    };
    let envelope = Envelope {
        code,
        data: ErrorData { err_msg: &text, errors },
        meta: Meta { pagination: None, message: &message },
        detail: Some(&text),
    };
    // Ours are all known statuses.
    let mut response = respond(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &envelope);
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn respond(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    #[expect(clippy::expect_used, reason = "strings, numbers and maps with string keys always serialize")]
    let body = serde_json::to_string(body).expect("a body is JSON");
    let mut response = of_status(status, Body::Text(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body, and so without an envelope.
#[must_use]
pub fn no_content() -> Response<Body> {
    of_status(StatusCode::NO_CONTENT, Body::Empty)
}

fn of_status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(response: &Response<Body>) -> &str {
        str::from_utf8(response.body().as_ref()).unwrap()
    }

    #[test]
    fn success_is_code_data_meta_in_that_order() {
        let response = success_response(&Success::new(json!({})));
        assert_eq!(body(&response), r#"{"code":200,"data":{},"meta":{"message":"SUCCESS"}}"#);
        assert_eq!(response.headers()["Cache-Control"], "no-store");
        assert_eq!(response.headers()["X-Content-Type-Options"], "nosniff");
        assert_eq!(response.headers()["Content-Type"], "application/json");
    }

    #[test]
    fn an_error_says_the_same_in_err_msg_and_detail() {
        assert_eq!(
            body(&error_response(&Error::NoCredentials)),
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
            let response = error_response(&error);
            assert!(!body(&response).contains("secret cause"), "{response:?}");
        }
    }
}
