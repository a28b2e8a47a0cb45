//! Signing and verifying this service's own tokens.
//!
//! Verification states everything (RFC 8725): the algorithm is HS256, the key is the one of our own ring that the header
//! names, and the claims are required by their types, because the library lets a missing `aud` pass.

use crate::{
    json::Unambiguous,
    keys::{
        claims::{DB, SERVER, STOREFRONT, ServerClaims, StorefrontTokenClaims},
        keyring::{Key, Keyring},
    },
};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, errors::ErrorKind};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::HashSet;

/// Seconds by which another machine's clock may differ.
pub const LEEWAY: u64 = 5;

/// Seconds in a day.
pub const DAY: u64 = 86_400;

/// Why a token is not accepted that another key may accept.
pub const WRONG_SIGNATURE: &str = "wrong signature";

/// Why a token is not accepted that does not hold what it must.
const UNREADABLE: &str = "a claim or header parameter is missing, mistyped or there twice";

/// Signs claims. The same claims and key always give the same string.
///
/// # Panics
/// Never: claims are plain data and the key is one for HMAC.
#[must_use]
pub fn sign<C: Serialize>(claims: &C, key: &Key) -> String {
    let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
    #[expect(clippy::expect_used, reason = "claims of strings and numbers serialize, and every HMAC key signs")]
    jsonwebtoken::encode(&header, claims, &key.encoding).expect("claims can be signed")
}

/// The id of the key that a token says it is signed with.
///
/// # Errors
/// Says why the token cannot be one of ours.
pub fn kid(token: &str) -> Result<String, &'static str> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| reason(error.kind()))?;
    header.kid.ok_or("no kid")
}

/// The claims of a server-to-server token whose signature is ours, except that its record still exists.
///
/// # Errors
/// Says why the token is not accepted.
pub fn server_claims(claims: Value, now: u64) -> Result<ServerClaims, &'static str> {
    let claims: ServerClaims = serde_json::from_value(claims).map_err(|_| UNREADABLE)?;
    if claims.aud != SERVER {
        return Err("not a server-to-server token");
    }
    if claims.db != DB {
        return Err("another db than default");
    }
    check_times(claims.iat, claims.nbf, claims.exp, now)?;
    Ok(claims)
}

/// The claims of a storefront token whose signature is ours, except that it has not been revoked: that is for `auth` to say.
///
/// # Errors
/// Says why the token is not accepted.
pub fn storefront_claims(claims: Value, now: u64) -> Result<StorefrontTokenClaims, &'static str> {
    let claims: StorefrontTokenClaims = serde_json::from_value(claims).map_err(|_| UNREADABLE)?;
    if claims.aud != STOREFRONT {
        return Err("not a storefront token");
    }
    if claims.db != DB {
        return Err("another db than default");
    }
    check_times(claims.iat, claims.nbf, Some(claims.exp), now)?;
    Ok(claims)
}

/// The claims of a token that a key of ours has signed, whatever they say.
///
/// # Errors
/// Says why the token is not one.
pub fn signed_claims<C: DeserializeOwned>(token: &str, kid: &str, keyring: &Keyring) -> Result<C, &'static str> {
    verify(token, &keyring.key(kid).ok_or("unknown kid")?.decoding)
}

/// Checks the times of a token, in Unix seconds, with five seconds of leeway.
///
/// # Errors
/// Says that it is not yet valid, or not any more.
pub fn check_times(iat: u64, nbf: Option<u64>, exp: Option<u64>, now: u64) -> Result<(), &'static str> {
    if iat.max(nbf.unwrap_or(0)) > now + LEEWAY {
        return Err("not yet valid");
    }
    if exp.is_some_and(|exp| exp.saturating_add(LEEWAY) <= now) {
        return Err("expired");
    }
    Ok(())
}

/// Verifies algorithm and signature, and that the claims are of their types and none stands twice (RFC 7519, section 4, leaves
/// it to us to refuse that or to take the last; what the platform checked may have been the first). Times and all other values
/// are for the caller to check: the library would take them from a clock of its own.
///
/// # Errors
/// Says why the token is not accepted, without quoting it.
pub fn verify<C: DeserializeOwned>(token: &str, key: &DecodingKey) -> Result<C, &'static str> {
    let mut signature_only = Validation::new(Algorithm::HS256);
    signature_only.required_spec_claims = HashSet::new();
    signature_only.validate_aud = false;
    signature_only.validate_exp = false;
    signature_only.validate_nbf = false;
    let verified = jsonwebtoken::decode::<Unambiguous>(token, key, &signature_only);
    let verified = verified.map_err(|error| reason(error.kind()))?;
    // RFC 7515, section 4.1.11: extensions that are not understood must be refused.
    if verified.header.crit.is_some() {
        return Err("crit in the header");
    }
    serde_json::from_value(verified.claims.0).map_err(|_| UNREADABLE)
}

fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => WRONG_SIGNATURE,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => "another algorithm than HS256",
        ErrorKind::Json(_) => UNREADABLE,
        _ => "malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::EncodingKey;
    use serde_json::{json, value::RawValue};

    const NOW: u64 = 1_800_000_000;
    const KEY: &str = "0123456789abcdef0123456789abcdef-a";
    const OTHER_KEY: &str = "0123456789abcdef0123456789abcdef-b";

    fn keyring() -> Keyring {
        let secret = json!({"kid": "b", "key": OTHER_KEY, "previous": [{"kid": "a", "key": KEY}]});
        Keyring::parse(&secret.to_string()).unwrap()
    }

    fn verify_at(token: &str, now: u64) -> Result<ServerClaims, &'static str> {
        server_claims(signed_claims(token, &kid(token)?, &keyring())?, now)
    }

    fn good_claims() -> Value {
        json!({"email": "a@b.c", "store_hash": "s", "db": "default", "jti": "7", "aud": "server", "iat": NOW})
    }

    fn token(header: &Value, claims: &Value, key: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let key = EncodingKey::from_secret(key.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    fn good_header() -> Value {
        json!({"typ": "JWT", "alg": "HS256", "kid": "a"})
    }

    #[test]
    fn a_signed_token_reads_to_the_letter() {
        let claims: ServerClaims = serde_json::from_value(good_claims()).unwrap();
        let signed = sign(&claims, keyring().key("a").unwrap());
        let part = |index| URL_SAFE_NO_PAD.decode(signed.split('.').nth(index).unwrap()).unwrap();
        assert_eq!(part(0), br#"{"typ":"JWT","alg":"HS256","kid":"a"}"#);
        assert_eq!(
            String::from_utf8(part(1)).unwrap(),
            r#"{"email":"a@b.c","store_hash":"s","db":"default","jti":"7","aud":"server","iat":1800000000}"#
        );
        assert_eq!(verify_at(&signed, NOW), Ok(claims));
    }

    #[test]
    fn previous_keys_verify() {
        assert!(verify_at(&token(&good_header(), &good_claims(), KEY), NOW).is_ok());
    }

    #[test]
    fn wrong_headers_are_refused() {
        for header in [
            json!({}),
            json!({"typ": "JWT", "alg": "HS256"}),
            json!({"typ": "JWT", "alg": "HS256", "kid": "b"}),
            json!({"typ": "JWT", "alg": "HS256", "kid": "c"}),
            json!({"typ": "JWT", "alg": "HS256", "kid": ""}),
            json!({"typ": "JWT", "alg": "HS256", "kid": 7}),
            json!({"typ": "JWT", "alg": "HS384", "kid": "a"}),
            json!({"typ": "JWT", "alg": "RS256", "kid": "a"}),
            json!({"typ": "JWT", "alg": "none", "kid": "a"}),
            json!({"typ": "JWT", "alg": "None", "kid": "a"}),
            json!({"typ": "JWT", "alg": "", "kid": "a"}),
            json!({"typ": "JWT", "kid": "a"}),
            json!({"typ": "JWT", "alg": "HS256", "kid": "a", "crit": ["b64"], "b64": false}),
        ] {
            assert!(verify_at(&token(&header, &good_claims(), KEY), NOW).is_err(), "{header}");
        }
    }

    #[test]
    fn claims_that_are_missing_or_mistyped_are_refused() {
        for name in ["email", "store_hash", "db", "jti", "aud", "iat"] {
            let mut claims = good_claims();
            claims.as_object_mut().unwrap().remove(name);
            assert!(verify_at(&token(&good_header(), &claims, KEY), NOW).is_err(), "without {name}");
        }
        for (name, value) in [
            ("aud", json!("storefront")),
            ("aud", json!("")),
            ("aud", json!(["server"])),
            ("aud", Value::Null),
            ("jti", json!(7)),
            ("store_hash", json!(["s"])),
            ("iat", json!("1800000000")),
            ("iat", json!(-1)),
            ("iat", json!(1.5)),
            ("iat", json!(1_800_000_000.0)),
            ("exp", json!(1_900_000_000.5)),
            ("nbf", json!(1.0)),
            ("exp", json!("1900000000")),
            ("exp", json!(-1)),
            ("nbf", json!(1e300)),
        ] {
            let mut claims = good_claims();
            claims[name] = value;
            assert!(verify_at(&token(&good_header(), &claims, KEY), NOW).is_err(), "{claims}");
        }
    }

    #[test]
    fn claims_that_stand_twice_are_refused() {
        let good = good_claims().to_string();
        for again in [r#""jti":"7""#, r#""\u006ati":"8""#, r#""other":{"a":1,"a":1}"#, r#""other":1,"other":1"#] {
            let claims = RawValue::from_string(format!("{{{again},{}", &good[1..])).unwrap();
            let header = Header { kid: Some("a".into()), ..Header::default() };
            let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(KEY.as_bytes())).unwrap();
            assert_eq!(verify_at(&token, NOW), Err(UNREADABLE), "{again}");
        }
    }

    #[test]
    fn times_have_five_seconds_of_leeway_and_no_more() {
        for (name, value, accepted) in [
            ("iat", NOW + 5, true),
            ("iat", NOW + 6, false),
            ("nbf", NOW + 5, true),
            ("nbf", NOW + 6, false),
            ("exp", NOW - 4, true),
            ("exp", NOW - 5, false),
            ("exp", 0, false),
        ] {
            let mut claims = good_claims();
            claims[name] = json!(value);
            let verified = verify_at(&token(&good_header(), &claims, KEY), NOW);
            assert_eq!(verified.is_ok(), accepted, "{name} {value}: {verified:?}");
        }
    }

    #[test]
    fn none_of_ten_thousand_mutations_is_accepted() {
        let good = token(&good_header(), &good_claims(), KEY);
        let mut random = fastrand::Rng::with_seed(7);
        let characters: Vec<char> = ('!'..='~').chain(['\0', 'é', '\u{10ffff}']).collect();
        for _ in 0..10_000 {
            let mut mutated: Vec<char> = good.chars().collect();
            for _ in 0..=random.usize(0..3) {
                if mutated.is_empty() {
                    break;
                }
                let at = random.usize(0..mutated.len());
                match random.u8(0..4) {
                    0 => mutated[at] = characters[random.usize(0..characters.len())],
                    1 => mutated.insert(at, characters[random.usize(0..characters.len())]),
                    2 => drop(mutated.remove(at)),
                    _ => mutated.truncate(at),
                }
            }
            let mutated: String = mutated.into_iter().collect();
            if mutated != good {
                assert!(verify_at(&mutated, NOW).is_err(), "{mutated}");
            }
        }
        assert!(verify_at(&good, NOW).is_ok());
    }
}
