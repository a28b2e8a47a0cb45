//! What the pages of other origins may do: a server's part of the CORS protocol.
//!
//! Source: WHATWG, "Fetch", section "HTTP CORS protocol".

use crate::http::envelope::no_content;
use lambda_http::{
    Body, Response,
    http::{HeaderMap, HeaderValue, header},
};
use std::str::FromStr;
use url::Url;

/// What a page may send beyond the headers that every page may.
const ALLOWED_HEADERS: &str = "authToken, Content-Type, X-Store-Hash";
/// Seconds for which a browser may keep what a preflight was answered. Chromium keeps nothing longer than these two hours.
const MAX_AGE: &str = "7200";

/// The origins whose pages may call the endpoints that are for browsers.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    /// The origin of the page that sends the request, if it is one of these.
    #[must_use]
    pub fn origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let mut sent = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (sent.next(), sent.next()) else { return None };
        self.0.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then_some(origin)
    }
}

impl FromStr for AllowedOrigins {
    type Err = String;

    /// Origins as browsers send them, separated by commas; an empty text names none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let origins = text.split(',').filter(|_| !text.is_empty());
        origins.map(checked).collect::<Result<_, _>>().map(Self)
    }
}

/// An origin that is spelled in another way than browsers do would never match, so it is a mistake to be told.
fn checked(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let origin = url.map(|url| url.origin().ascii_serialization());
    let is_usual = |c: char| c.is_ascii_alphanumeric() || "-._:/[]".contains(c);
    match origin.filter(|origin| origin.chars().all(is_usual)) {
        Some(origin) if origin == text => Ok(origin),
        Some(origin) => Err(format!("{text:?} must be written {origin}")),
        None => {
            Err(format!("{text:?} must be one exact origin, such as https://shop.example or http://localhost:3000"))
        }
    }
}

/// Lets the page that sent the request read the answer.
pub fn share(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}

/// The answer to a browser that asks, before a page's request, whether the page may send it.
#[must_use]
pub fn preflight(method: &'static str) -> Response<Body> {
    let mut response = no_content();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(method));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(allowed: &str, sent: &[&'static str]) -> bool {
        let headers = sent.iter().map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))).collect();
        allowed.parse::<AllowedOrigins>().unwrap().origin(&headers).is_some()
    }

    #[test]
    fn an_origin_is_compared_exactly() {
        let both = "https://shop.example,http://localhost:3000";
        for origin in both.split(',') {
            assert!(allows(both, &[origin.to_owned().leak()]), "{origin}");
        }
        for other in [
            "http://shop.example",
            "https://shop.example:8443",
            "https://shop.example.evil.example",
            "https://evilshop.example",
            "https://www.shop.example",
            "https://SHOP.example",
            "https://shop.example/",
            "https://shop.example,http://localhost:3000",
            "http://localhost",
            "http://localhost:30000",
            "null",
            "*",
            "",
        ] {
            assert!(!allows(both, &[other]), "{other}");
        }
        assert!(!allows(both, &[]));
        assert!(!allows(both, &["https://shop.example", "https://shop.example"]));
        assert!(!allows("", &[""]));
    }

    #[test]
    fn what_would_never_match_is_refused_and_the_right_spelling_told() {
        let problem = |text: &str| text.parse::<AllowedOrigins>().unwrap_err();
        for (text, origin) in [
            ("https://shop.example/", "https://shop.example"),
            ("https://shop.example/path", "https://shop.example"),
            ("https://shop.example?query", "https://shop.example"),
            ("https://Shop.Example", "https://shop.example"),
            ("HTTPS://shop.example", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            ("http://shop.example:80", "http://shop.example"),
            ("https://user@shop.example", "https://shop.example"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            (" https://shop.example", "https://shop.example"),
            ("https://shop.example ", "https://shop.example"),
        ] {
            for list in [text.to_owned(), format!("https://a.example,{text}"), format!("{text},https://a.example")] {
                assert_eq!(problem(&list), format!("{text:?} must be written {origin}"));
            }
        }
        for text in [
            "*",
            "https://*",
            "https://*.shop.example",
            "shop.example",
            "localhost:3000",
            "//shop.example",
            "null",
            "https://",
            "https://shop.example:65536",
            "ftp://shop.example",
            "file:///shop",
            "https://a;b",
        ] {
            let said =
                format!("{text:?} must be one exact origin, such as https://shop.example or http://localhost:3000");
            assert_eq!(problem(text), said);
        }
        for list in [",", "https://shop.example,", ",https://shop.example"] {
            assert!(problem(list).starts_with("\"\" must be one exact origin"), "{list}");
        }
    }
}
