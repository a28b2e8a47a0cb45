//! The requests that the API answered last, as the console shows them.

use axum::http::{HeaderMap, header::HOST, request::Parts};
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Requests that are kept.
const KEPT: usize = 50;
/// Longest body that is shown, in bytes.
const MAX_SHOWN_BODY: usize = 4096;
/// Headers that make a difference to the API.
const SHOWN_HEADERS: [&str; 6] =
    ["content-type", "authtoken", "x-auth-token", "x-store-hash", "idempotency-key", "authorization"];

/// A request, and what became of it.
#[derive(Clone, Serialize)]
pub struct RecentRequest {
    /// When it was answered, in Unix seconds.
    pub at: u64,
    pub method: String,
    /// Without the query, which may hold a token.
    pub path: String,
    pub status: u16,
    pub milliseconds: u64,
    /// What sends it again.
    pub curl: String,
}

/// The last of them, the newest first.
#[derive(Default)]
pub struct RecentRequests(Mutex<VecDeque<RecentRequest>>);

impl RecentRequests {
    pub fn add(&self, request: RecentRequest) {
        let mut requests = self.requests();
        requests.push_front(request);
        requests.truncate(KEPT);
    }

    #[must_use]
    pub fn all(&self) -> Vec<RecentRequest> {
        self.requests().iter().cloned().collect()
    }

    /// A panic leaves it usable: it is changed in single steps.
    fn requests(&self) -> MutexGuard<'_, VecDeque<RecentRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that sends a request again, for a POSIX shell.
#[must_use]
pub fn curl(parts: &Parts, body: &[u8]) -> String {
    let mut words = vec!["curl".to_owned(), "-X".into(), parts.method.to_string()];
    for (name, value) in shown(&parts.headers) {
        words.extend(["-H".into(), quoted(&format!("{name}: {value}"))]);
    }
    if let Some(body) = str::from_utf8(body).ok().filter(|body| !body.is_empty()) {
        let body = if body.len() > MAX_SHOWN_BODY { "…" } else { body };
        words.extend(["--data-raw".into(), quoted(body)]);
    }
    let host = parts.headers.get(HOST).map_or("".into(), |host| String::from_utf8_lossy(host.as_bytes()));
    words.push(quoted(&format!("http://{host}{}", parts.uri)));
    words.join(" ")
}

fn shown(headers: &HeaderMap) -> impl Iterator<Item = (&'static str, String)> {
    let values = SHOWN_HEADERS.iter().flat_map(|name| headers.get_all(*name).iter().map(|value| (*name, value)));
    values.map(|(name, value)| (name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[test]
    fn a_request_is_sent_again_as_it_was_whatever_is_in_it() {
        let request = Request::post("/api/io/auth/backend?a=%27b%27")
            .header("Host", "127.0.0.1:3000")
            .header("User-Agent", "left out")
            .header("Content-Type", "application/json")
            .header("authToken", "it's");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(
            curl(&parts, b"{\"name\": \"$(id) it's\"}"),
            r#"curl -X POST -H 'content-type: application/json' -H 'authtoken: it'\''s' --data-raw '{"name": "$(id) it'\''s"}' 'http://127.0.0.1:3000/api/io/auth/backend?a=%27b%27'"#
        );
    }

    #[test]
    fn only_the_last_are_kept_the_newest_first() {
        let requests = RecentRequests::default();
        for at in 0..KEPT as u64 + 7 {
            let (method, path, curl) = Default::default();
            requests.add(RecentRequest { at, method, path, status: 200, milliseconds: 0, curl });
        }
        let kept: Vec<_> = requests.all().iter().map(|request| request.at).collect();
        assert_eq!(kept, (7..KEPT as u64 + 7).rev().collect::<Vec<_>>());
    }
}
