//! An API that is not this one, behind the authorizer, to try it without AWS: the two routes of `examples/protected-api/`, each
//! of which answers with what the authorizer has told it.

use crate::proxy_event::{new_request_id, proxy_event, request_id_header};
use authorize_request::UNAUTHORIZED;
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use shared::services::Services;
use std::sync::Arc;

/// Name of its stage, the first part of its paths.
const STAGE: &str = "example";
const API: &str = "arn:aws:execute-api:us-east-1:000000000000:example";

pub fn router(authorizer: Arc<Services>) -> Router {
    let route = |alias| {
        get(move |State(authorizer): State<Arc<Services>>, request: Request| async move {
            ask(&authorizer, alias, request).await
        })
    };
    Router::new()
        .route("/example/orders", route("storefront"))
        .route("/example/stock", route("server"))
        .with_state(authorizer)
}

/// As API Gateway does with the authorizer of a REST API.
async fn ask(authorizer: &Services, alias: &str, request: Request) -> Response {
    let request_id = new_request_id();
    let (parts, _) = request.into_parts();
    let mut event = proxy_event(&parts, &[], &request_id, STAGE);
    event["type"] = "REQUEST".into();
    event["methodArn"] =
        format!("{API}/{STAGE}/{}{}", parts.method, event["resource"].as_str().unwrap_or_default()).into();
    event["requestContext"]["apiId"] = STAGE.into();
    let function_arn = format!("arn:aws:lambda:us-east-1:000000000000:function:authorize-request:{alias}");
    let answer = authorize_request::answer(authorizer, &function_arn, &event.to_string()).await;
    let after_answer = Arc::clone(&authorizer.after_answer);
    tokio::spawn(async move { after_answer.finish().await });

    let allowed = json!([{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": format!("{API}/{STAGE}/*")}]);
    let (status, body) = match answer {
        Ok(mut answer) if answer["policyDocument"]["Statement"] == allowed => {
            (StatusCode::OK, answer["context"].take())
        }
        Ok(_) => {
            let message = "User is not authorized to access this resource with an explicit deny";
            (StatusCode::FORBIDDEN, json!({"Message": message}))
        }
        Err(error) if error.error_message == UNAUTHORIZED => {
            (StatusCode::UNAUTHORIZED, json!({"message": UNAUTHORIZED}))
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, json!({"message": Value::Null})),
    };
    let headers =
        [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
    (status, request_id_header(&request_id), headers, body.to_string()).into_response()
}
