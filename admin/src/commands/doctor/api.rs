//! Calling the API, as its callers do.

use super::finding::Finding;
use crate::{date::seconds_ahead, tool::Tool, waiting::patiently};
use reqwest::Method;
use serde_json::Value;
use shared::{fault::Chain, keys::jwt::LEEWAY};
use std::time::Duration;

/// How long an answer may take: more than API Gateway waits for a function.
const PATIENCE: Duration = Duration::from_secs(35);

/// What to do where this machine's clock counts.
pub const SET_THE_CLOCK: &str = "Set the one that is wrong: what is signed or revoked by one is judged by the other.";

/// A call of the API.
pub struct Request {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None }
    }

    pub fn delete(path: &str, body: Value) -> Self {
        Self { method: Method::DELETE, ..Self::post(path, body) }
    }

    pub fn post(path: &str, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), headers: Vec::new(), body: Some(body) }
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authToken", token)
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What came of a call.
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// By how much the API's clock is ahead of this machine's.
    pub seconds_ahead: Option<i64>,
}

/// Calls the API.
///
/// # Errors
/// Why there is no answer.
pub async fn call(tool: &Tool, request: Request) -> Result<Answer, String> {
    let described = |error: reqwest::Error| Chain(&error.without_url()).to_string();
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(described)?;
    let mut builder = client.request(request.method, format!("{}{}", tool.stack.api_url, request.path));
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    if let Some(body) = request.body {
        builder = builder.json(&body);
    }
    let answer = patiently(&format!("the answer of {}", tool.stack.api_url), builder.send()).await;
    let response = answer.map_err(described)?;
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    let seconds_ahead = date.and_then(seconds_ahead);
    let status = response.status().as_u16();
    let text = response.text().await.map_err(described)?;
    Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), seconds_ahead })
}

/// What to do about an answer that should have been another.
pub fn wrong_answer(tool: &Tool, check: &str, called: &str, expected: u16, answer: &Answer) -> Finding {
    let function = called.split(',').next().unwrap_or_default();
    let said = answer.body["detail"].as_str().or(answer.body["message"].as_str()).unwrap_or("nothing of this API's");
    let says = format!("{called}: {} instead of {expected}; it said: {said}", answer.status);
    let log_group = format!("/aws/lambda/{}", tool.stack.name.split(' ').next().unwrap_or_default());
    let mend = match answer.status {
        500 => format!(
            "The log group {log_group} has the cause; look for \"level\":\"ERROR\" of {function}. Mostly a permission, table or \
             secret is missing: deploy again with `sam deploy`."
        ),
        502 | 504 => format!("The function {function} did not start or end. The log group {log_group} says why."),
        503 => {
            format!("DynamoDB or Secrets Manager did not answer the function. The log group {log_group} has the cause.")
        }
        429 => "The throttle of the API, or the login attempts, refused it. Try again in 15 minutes.".into(),
        403 | 404 => {
            "This is not the API of the stack, or its routes are not deployed. Check --api-url, or deploy again.".into()
        }
        _ => {
            format!("The functions and the data do not fit together. Deploy again; then see the log group {log_group}.")
        }
    };
    Finding::bad(check, says, mend)
}

/// That the API answers, and that its clock and this machine's agree.
pub async fn check(tool: &Tool) -> Vec<Finding> {
    let check = "API";
    let url = &tool.stack.api_url;
    let answer = match call(tool, Request::get("/backend/tokens")).await {
        Ok(answer) => answer,
        Err(problem) => {
            return vec![Finding::bad(
                check,
                format!("{url} cannot be reached: {problem}."),
                "Check the network, and --api-url where a domain of your own stands before the API.",
            )];
        }
    };
    let mut findings = vec![if answer.status == 401 {
        Finding::good(check, url)
    } else {
        wrong_answer(tool, check, "list-backend-tokens, without a token", 401, &answer)
    }];
    if let Some(apart) = answer.seconds_ahead.map(i64::unsigned_abs)
        && apart > LEEWAY
    {
        findings.push(Finding::doubtful(
            "clock",
            format!("This machine's clock and the API's are {apart} seconds apart."),
            if tool.stack.is_deployed() {
                "Set this machine's clock. This tool takes the time from AWS; others may not."
            } else {
                SET_THE_CLOCK
            },
        ));
    } else {
        findings.push(Finding::good("clock", "This machine's agrees with the API's."));
    }
    findings
}
