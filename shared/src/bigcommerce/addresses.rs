//! Where BigCommerce is.

use std::net::IpAddr;
use url::{Host, Url};

/// Where its API is unless told otherwise.
const API: &str = "https://api.bigcommerce.com";

/// Where BigCommerce's API is, and its storefronts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    api: String,
    /// None where each channel has its own.
    storefront: Option<String>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { api: API.into(), storefront: None }
    }
}

impl Addresses {
    /// These instead of BigCommerce's own, where they are given: that of the API, and one for all storefronts.
    ///
    /// # Errors
    /// What is wrong with one: it must be `https://`, or `http://` on this machine, without a query.
    pub fn new(api: Option<&str>, storefront: Option<&str>) -> Result<Self, String> {
        Ok(Self { api: base(api.unwrap_or(API))?, storefront: storefront.map(base).transpose()? })
    }

    /// One address for all, that of a stand-in.
    #[must_use]
    pub fn of_stand_in(url: &str) -> Self {
        Self { api: url.into(), storefront: Some(url.into()) }
    }

    pub(super) fn of_api(&self, store_hash: &str, path: &str) -> String {
        format!("{}/stores/{store_hash}/v3{path}", self.api)
    }

    /// The address of a channel's GraphQL API, under the name that the platform gives each channel.
    pub(super) fn of_graphql(&self, store_hash: &str, channel_id: u64) -> String {
        match (&self.storefront, channel_id) {
            (Some(storefront), _) => format!("{storefront}/graphql"),
            (None, 1) => format!("https://store-{store_hash}.mybigcommerce.com/graphql"),
            (None, _) => format!("https://store-{store_hash}-{channel_id}.mybigcommerce.com/graphql"),
        }
    }
}

fn base(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|_| format!("{text:?} is no URL"))?;
    let is_here = match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    };
    let is_plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    match url.scheme() {
        "https" if is_plain && url.has_host() => {}
        "http" if is_plain && is_here => {}
        _ => return Err(format!("{text:?} must be https://, or http:// on this machine, without a query")),
    }
    Ok(text.trim_end_matches('/').into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_an_address() {
        let addresses = Addresses::default();
        assert_eq!(addresses.of_api("abc", "/customers"), "https://api.bigcommerce.com/stores/abc/v3/customers");
        assert_eq!(addresses.of_graphql("abc", 1), "https://store-abc.mybigcommerce.com/graphql");
        assert_eq!(addresses.of_graphql("abc", 7), "https://store-abc-7.mybigcommerce.com/graphql");
        let addresses = Addresses::new(Some("http://127.0.0.1:1/"), Some("http://localhost:2/a/")).unwrap();
        assert_eq!(addresses.of_api("abc", "/customers"), "http://127.0.0.1:1/stores/abc/v3/customers");
        assert_eq!(addresses.of_graphql("abc", 7), "http://localhost:2/a/graphql");
    }

    #[test]
    fn passwords_travel_through_tls_or_not_at_all() {
        for good in ["https://example.com", "https://10.0.0.1:8443/base", "http://[::1]:1", "http://127.0.0.2"] {
            assert!(Addresses::new(Some(good), None).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "http://example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "ftp://example.com",
            "https://example.com?a=b",
            "https://example.com#a",
            "https://user@example.com",
            "https://:p@example.com",
        ] {
            assert!(Addresses::new(Some(bad), None).is_err(), "{bad}");
            assert!(Addresses::new(None, Some(bad)).is_err(), "{bad}");
        }
    }
}
