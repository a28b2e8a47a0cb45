//! A Lambda authorizer, which APIs other than this one attach: it says whose request it is, or has API Gateway refuse it.
//!
//! Sources: API Gateway developer guide, "Input to an API Gateway Lambda authorizer", "Output from an API Gateway Lambda
//! authorizer", and "Control access to HTTP APIs with AWS Lambda authorizers".

mod event;
mod kind;
mod rule;

use event::{AnswerForm, Destination, Event};
use futures_util::FutureExt;
use kind::Kind;
use lambda_runtime::Diagnostic;
use rule::Rule;
use serde_json::{Map, Value, json};
use shared::{
    auth::{denial::Denial, genuine_token::GenuineToken, principal::Principal, server_token::ServerToken},
    scopes::Scopes,
    services::Services,
};
use std::{panic::AssertUnwindSafe, time::Instant};

/// The one error that API Gateway makes a 401 of.
pub const UNAUTHORIZED: &str = "Unauthorized";
const FAULT: &str = "The request could not be authorized because of an internal error.";
const MISATTACHED: &str = "The authorizer is attached wrongly.";

/// What is found of a request.
enum Verdict {
    LetIn(Principal),
    /// Good credentials that the API does not let in, and why not.
    KeptOut(Principal, &'static str),
    /// No credentials, or bad ones, and what is bad.
    Unauthorized(&'static str),
    /// The API's owner has attached the authorizer wrongly, and what is to be mended.
    Misattached(&'static str),
    /// Nobody can say.
    Fault(String),
}

/// Answers an event, which came to this ARN of the function, and writes one line about it to the log.
///
/// # Errors
/// [`UNAUTHORIZED`], of which API Gateway makes a 401; every other error it makes a 500 of.
pub async fn answer(services: &Services, function_arn: &str, event: &str) -> Result<Value, Diagnostic> {
    let started = Instant::now();
    let destination = Destination::of(event);
    let event = Event::read(event);
    let deciding = AssertUnwindSafe(decide(services, &event, function_arn));
    let verdict = deciding.catch_unwind().await.unwrap_or_else(|_| Verdict::Fault("the function panicked".into()));
    let answer = event.map_or(AnswerForm::SimpleResponse, |event| event.answer);
    log(&verdict, &answer, &destination, started);
    match (answer, verdict) {
        (AnswerForm::Policy { resource }, Verdict::LetIn(principal)) => Ok(policy("Allow", &resource, &principal)),
        (AnswerForm::Policy { resource }, Verdict::KeptOut(principal, _)) => Ok(policy("Deny", &resource, &principal)),
        (AnswerForm::Policy { .. }, Verdict::Unauthorized(_)) => Err(failure(UNAUTHORIZED, UNAUTHORIZED)),
        (AnswerForm::SimpleResponse, Verdict::LetIn(principal)) => {
            Ok(json!({"isAuthorized": true, "context": context_of(&principal)}))
        }
        (AnswerForm::SimpleResponse, Verdict::KeptOut(..) | Verdict::Unauthorized(_)) => {
            Ok(json!({"isAuthorized": false}))
        }
        (_, Verdict::Misattached(_)) => Err(failure("AuthorizerMisattached", MISATTACHED)),
        (_, Verdict::Fault(_)) => Err(failure("AuthorizerFault", FAULT)),
    }
}

async fn decide(services: &Services, event: &Result<Event, &'static str>, function_arn: &str) -> Verdict {
    let event = match event {
        Ok(event) => event,
        Err(problem) => return Verdict::Misattached(problem),
    };
    let rule = match Rule::of(function_arn, &event.stage_variables) {
        Ok(rule) => rule,
        Err(problem) => return Verdict::Misattached(problem),
    };
    match services.auth.principal(&event.headers).await {
        Ok(principal) => match rule.check(&principal) {
            Ok(()) => Verdict::LetIn(principal),
            Err(reason) => Verdict::KeptOut(principal, reason),
        },
        Err(Denial::NoCredentials) => Verdict::Unauthorized("no credentials"),
        Err(Denial::NoStoreHash) => Verdict::Unauthorized("X-Auth-Token without X-Store-Hash"),
        Err(Denial::Invalid(reason)) => Verdict::Unauthorized(reason),
        Err(Denial::ScopeTooNarrow(_)) => Verdict::Unauthorized("limited to other scopes"),
        Err(Denial::Fault(fault)) => Verdict::Fault(fault.to_string()),
    }
}

/// With the status that the caller of the API gets.
fn log(verdict: &Verdict, answer: &AnswerForm, destination: &Destination, started: Instant) {
    let function = "authorize-request";
    let Destination { request_id, api_id, stage, resource_path, route_key } = destination;
    let [request, api, stage, route] =
        [request_id, api_id, stage, route_key.as_ref().map_or(resource_path, |_| route_key)]
            .map(|text| text.as_deref().unwrap_or_default());
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, kind, error, cause) = match verdict {
        Verdict::LetIn(principal) => (200, Some(Kind::of(principal).name()), None, None),
        Verdict::KeptOut(principal, cause) => (403, Some(Kind::of(principal).name()), Some("Forbidden"), Some(*cause)),
        // An HTTP API has no other word for it than 403.
        Verdict::Unauthorized(cause) => {
            let status = if *answer == AnswerForm::SimpleResponse { 403 } else { 401 };
            (status, None, Some(UNAUTHORIZED), Some(*cause))
        }
        Verdict::Misattached(cause) => (500, None, Some(MISATTACHED), Some(*cause)),
        Verdict::Fault(cause) => (500, None, Some(FAULT), Some(cause.as_str())),
    };
    match verdict {
        Verdict::Fault(_) => {
            tracing::error!(function, request, api, stage, route, status, milliseconds, kind, error, cause);
        }
        Verdict::Misattached(_) => {
            tracing::warn!(function, request, api, stage, route, status, milliseconds, kind, error, cause);
        }
        _ => tracing::info!(function, request, api, stage, route, status, milliseconds, kind, error, cause),
    }
}

fn failure(error_type: &str, error_message: &str) -> Diagnostic {
    Diagnostic { error_type: error_type.into(), error_message: error_message.into() }
}

fn policy(effect: &str, resource: &str, principal: &Principal) -> Value {
    let statement = json!({"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource});
    json!({
        "principalId": principal_id(principal),
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context_of(principal),
    })
}

/// For the API's access log.
fn principal_id(principal: &Principal) -> String {
    let store_hash = principal.store_hash();
    match principal {
        Principal::Token(GenuineToken::Storefront(claims)) => {
            format!("{store_hash}/customers/{}", claims.bc_customer_id)
        }
        Principal::Token(GenuineToken::Server(token)) => format!("{store_hash}/tokens/{}", token.identity.id),
        Principal::ApiAccount { .. } => format!("{store_hash}/api-account"),
    }
}

/// What the API's backend is told: texts only, which is all that every kind of API passes on.
fn context_of(principal: &Principal) -> Map<String, Value> {
    let [customer_id, email, channel_id, token_id] = match principal {
        Principal::Token(GenuineToken::Storefront(claims)) => [
            Some(claims.bc_customer_id.to_string()),
            Some(claims.email.clone()),
            claims.channel_id().map(|id| id.to_string()),
            None,
        ],
        Principal::Token(GenuineToken::Server(ServerToken { identity, .. })) => {
            [None, Some(identity.email.clone()), None, Some(identity.id.to_string())]
        }
        Principal::ApiAccount { .. } => [None, None, None, None],
    };
    let members = [
        ("kind", Some(Kind::of(principal).name().into())),
        ("storeHash", Some(principal.store_hash().into())),
        ("customerId", customer_id),
        ("email", email),
        ("channelId", channel_id),
        ("tokenId", token_id),
        ("scope", principal.scopes().map(Scopes::names_or_all)),
    ];
    members.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))).collect()
}
