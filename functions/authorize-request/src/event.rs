//! What API Gateway asks an authorizer.

use lambda_http::http::HeaderMap;
use serde::Deserialize;
use shared::http::guard::event_headers;
use std::collections::HashMap;

/// A request to an API, which waits to be let in.
pub struct Event {
    pub headers: HeaderMap,
    pub answer: AnswerForm,
    /// Only the API's owner can set them.
    pub stage_variables: HashMap<String, Option<String>>,
}

/// What an authorizer's answer is to look like.
#[derive(Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// A policy on a resource: all of the stage, since one for a method alone would be kept for the next method too.
    Policy { resource: String },
    /// A boolean: payload 2.0 of an HTTP API.
    SimpleResponse,
}

/// Where the request was sent, for the log. No path, which may hold what is secret.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    pub request_id: Option<String>,
    pub api_id: Option<String>,
    pub stage: Option<String>,
    /// Of a REST API, as `/orders/{id}`.
    pub resource_path: Option<String>,
    /// Of others, as `GET /orders/{id}`.
    pub route_key: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "requestContext", default)]
    destination: Option<Destination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    version: Option<String>,
    r#type: Option<String>,
    method_arn: Option<String>,
    stage_variables: Option<HashMap<String, Option<String>>>,
}

impl Destination {
    /// What the event says of it, as far as it can be read.
    pub fn of(event: &str) -> Self {
        serde_json::from_str(event).ok().and_then(|Asked { destination }| destination).unwrap_or_default()
    }
}

impl Event {
    /// Reads an event of a REST or WebSocket API (`REQUEST`), or of an HTTP API (either payload).
    ///
    /// # Errors
    /// Says why it is none.
    pub fn read(event: &str) -> Result<Self, &'static str> {
        let Members { version, r#type, method_arn, stage_variables } =
            serde_json::from_str(event).map_err(|_| "the event is not an authorizer's")?;
        let answer = match (version.as_deref(), r#type.as_deref(), method_arn) {
            (Some("2.0"), Some("REQUEST"), _) => AnswerForm::SimpleResponse,
            (None | Some("1.0"), Some("REQUEST"), Some(method_arn)) => {
                AnswerForm::Policy { resource: whole_stage(&method_arn).ok_or("methodArn names no stage of an API")? }
            }
            (_, Some("TOKEN"), _) => {
                return Err("the authorizer is attached as TOKEN, and must be attached as REQUEST");
            }
            _ => return Err("the event is not a REQUEST authorizer's"),
        };
        let headers = event_headers(event.as_bytes()).ok_or("the event's headers cannot be read")?;
        Ok(Self { headers, answer, stage_variables: stage_variables.unwrap_or_default() })
    }
}

/// All methods and paths of the stage that an `arn:PARTITION:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH` lies in.
fn whole_stage(method_arn: &str) -> Option<String> {
    let mut parts = method_arn.splitn(3, '/');
    let (api, stage) = (parts.next()?, parts.next()?);
    let [arn, _, service, _, _, id] = api.split(':').collect::<Vec<_>>()[..] else { return None };
    // Nothing that would mean more in a policy than itself.
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_$:".contains(&byte))
    };
    let names_stage = arn == "arn" && service == "execute-api" && !id.is_empty() && is_plain(api) && is_plain(stage);
    names_stage.then(|| format!("{api}/{stage}/*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_for_the_whole_stage_and_for_no_other() {
        for (method_arn, resource) in [
            (
                "arn:aws:execute-api:us-east-1:123456789012:abc123/test/GET/a/b",
                "arn:aws:execute-api:us-east-1:123456789012:abc123/test/*",
            ),
            (
                "arn:aws-us-gov:execute-api:us-gov-west-1:123456789012:abc123/$default/POST/",
                "arn:aws-us-gov:execute-api:us-gov-west-1:123456789012:abc123/$default/*",
            ),
            (
                "arn:aws:execute-api:us-east-1:123456789012:abc123/prod/$connect",
                "arn:aws:execute-api:us-east-1:123456789012:abc123/prod/*",
            ),
        ] {
            assert_eq!(whole_stage(method_arn).as_deref(), Some(resource));
        }
        for method_arn in [
            "",
            "*",
            "*/*",
            "arn:aws:execute-api:us-east-1:123456789012:abc123",
            "arn:aws:execute-api:us-east-1:123456789012:abc123//GET/a",
            "arn:aws:execute-api:us-east-1:123456789012:/test/GET/a",
            "arn:aws:execute-api:us-east-1:123456789012:*/test/GET/a",
            "arn:aws:execute-api:us-east-1:123456789012:abc123/*/GET/a",
            "arn:aws:execute-api:us-east-1:123456789012:abc12?/test/GET/a",
            "arn:aws:execute-api:us-east-1:123456789012:abc123/${x}/GET/a",
            "arn:aws:lambda:us-east-1:123456789012:abc123/test/GET/a",
            "arn:aws:execute-api:us-east-1:123456789012:abc:123/test/GET/a",
        ] {
            assert_eq!(whole_stage(method_arn), None, "{method_arn}");
        }
    }
}
