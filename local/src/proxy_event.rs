//! What API Gateway makes of an HTTP request: the event that it sends.

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, Uri, request::Parts},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

/// The id that a request is given.
pub fn new_request_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// The header that tells the caller of it.
pub fn request_id_header(request_id: &str) -> [(&'static str, String); 1] {
    [("x-amzn-requestid", request_id.into())]
}

/// The event that API Gateway sends.
///
/// Source: API Gateway developer guide, "Input format of a Lambda function for proxy integration".
pub fn proxy_event(parts: &Parts, body: &[u8], request_id: &str, stage: &str) -> Value {
    let path = parts.uri.path();
    let resource = path.strip_prefix('/').and_then(|path| path.strip_prefix(stage)).unwrap_or(path);
    let (headers, multi_value_headers) = header_maps(&parts.headers);
    let (query, multi_value_query) = query_maps(&parts.uri);
    let source_ip = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let text = str::from_utf8(body);
    json!({
        "resource": resource,
        "path": resource,
        "httpMethod": parts.method.as_str(),
        "headers": headers,
        "multiValueHeaders": multi_value_headers,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": multi_value_query,
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": parts.method.as_str(),
            "path": path,
            "stage": stage,
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "identity": {"sourceIp": source_ip},
        },
        "body": match text {
            Ok("") => Value::Null,
            Ok(text) => text.into(),
            Err(_) => STANDARD.encode(body).into(),
        },
        "isBase64Encoded": text.is_err(),
    })
}

fn header_maps(headers: &HeaderMap) -> (Map<String, Value>, Map<String, Value>) {
    let mut multi = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        multi.insert(name.to_string(), Value::Array(values.collect()));
    }
    (last_of_each(&multi), multi)
}

fn query_maps(uri: &Uri) -> (Map<String, Value>, Map<String, Value>) {
    let mut multi = Map::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let values = multi.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(value.into());
        }
    }
    (last_of_each(&multi), multi)
}

fn last_of_each(multi: &Map<String, Value>) -> Map<String, Value> {
    let last = |values: &Value| values.as_array().and_then(|values| values.last()).cloned().unwrap_or_default();
    multi.iter().map(|(name, values)| (name.clone(), last(values))).collect()
}
