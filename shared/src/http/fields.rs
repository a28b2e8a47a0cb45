//! Reading fields of a body or a query, all mistakes at once.
//!
//! Liberal where real clients need it: an integer may come as a string, `null` counts as absent, unknown fields are
//! ignored.

use crate::{
    http::{error::Error, field_errors::FieldErrors},
    scopes::{Scope, Scopes},
};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, ops::RangeInclusive};
use time::{Date, OffsetDateTime, PrimitiveDateTime, format_description::well_known::Iso8601};

/// Longest e-mail address, in bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// Longest store hash, in characters.
pub const MAX_STORE_HASH: usize = 64;
/// Longest name of a token or an API account, in characters.
pub const MAX_NAME: usize = 255;
/// Longest password, in bytes: bounds what a hash has to read.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// 9999-12-31T23:59:59Z in Unix seconds. Also catches milliseconds sent by mistake.
const MAX_UNIX_SECONDS: i128 = 253_402_300_799;

/// Fields that wait to be read.
#[derive(Debug, Default)]
pub struct Fields {
    values: Map<String, Value>,
    contradictory: BTreeSet<String>,
    errors: FieldErrors,
}

/// Reads a value, or says what it must be.
type Reading<T> = Result<T, String>;

impl Fields {
    /// The members of a JSON object.
    #[must_use]
    pub fn new(values: Map<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }

    /// Adds the parameters of a query or a form as string fields. To read one that contradicts itself or a field that is there is
    /// an error: nothing is guessed.
    #[must_use]
    pub fn with_pairs<'a>(mut self, query: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        for (name, value) in query {
            match self.values.get(name) {
                None | Some(Value::Null) => {
                    self.values.insert(name.into(), value.into());
                }
                Some(Value::String(present)) if present == value => {}
                Some(Value::Number(present)) if present.to_string() == value => {}
                Some(_) => {
                    self.contradictory.insert(name.into());
                }
            }
        }
        self
    }

    /// Reads everything that `build` asks for.
    ///
    /// # Errors
    /// [`Error::InvalidFields`] with every field that is missing or malformed.
    pub fn read<T>(mut self, build: impl FnOnce(&mut Self) -> T) -> Result<T, Error> {
        let value = build(&mut self);
        if self.errors.is_empty() { Ok(value) } else { Err(Error::InvalidFields(self.errors)) }
    }

    /// A field that must be there. Where it is not, the default stands in until [`Fields::read`] refuses.
    pub fn required<T: Default>(&mut self, name: &str, reader: impl FnOnce(&Value) -> Reading<T>) -> T {
        if matches!(self.values.get(name), None | Some(Value::Null)) {
            self.reject(name, "a value is required.");
        }
        self.optional(name, reader).unwrap_or_default()
    }

    /// A field that may be absent or `null`.
    pub fn optional<T>(&mut self, name: &str, reader: impl FnOnce(&Value) -> Reading<T>) -> Option<T> {
        match self.values.get(name) {
            None | Some(Value::Null) => None,
            Some(_) if self.contradictory.contains(name) => {
                self.reject(name, "must not be given twice with different values.");
                None
            }
            Some(value) => reader(value).map_err(|message| self.reject(name, &message)).ok(),
        }
    }

    /// An object that may be absent; mistakes in it are reported as `name.field`.
    pub fn optional_object(&mut self, name: &str, build: impl FnOnce(&mut Self)) {
        let object = self.optional(name, |value| value.as_object().cloned().ok_or_else(|| "must be an object.".into()));
        if let Some(object) = object {
            let mut fields = Self::new(object);
            build(&mut fields);
            self.errors.extend_with_members(name, fields.errors);
        }
    }

    /// Says what is wrong with a field.
    pub fn reject(&mut self, name: &str, message: &str) {
        self.errors.add(name, message);
    }

    /// `beginAt` and `endAt`, both optional, in Unix seconds. `begin_default` is what `beginAt` means where absent.
    pub fn validity(&mut self, begin_default: Option<u64>) -> (Option<u64>, Option<u64>) {
        let given_begin_at = self.optional("beginAt", unix_seconds);
        let begin_at = given_begin_at.or(begin_default);
        let end_at = self.optional("endAt", unix_seconds);
        if end_at.is_some() && end_at <= begin_at {
            let or_else = if given_begin_at.is_none() { ", or in the future without one" } else { "" };
            self.reject("endAt", &format!("must lie after beginAt{or_else}."));
        }
        (begin_at, end_at)
    }
}

/// The error of one field that only the work itself could find out.
#[must_use]
pub fn invalid_field(name: &str, message: &str) -> Error {
    let mut errors = FieldErrors::default();
    errors.add(name, message);
    Error::InvalidFields(errors)
}

/// A string whose length in characters is in `range`.
pub fn text(range: RangeInclusive<usize>) -> impl FnOnce(&Value) -> Reading<String> {
    move |value| match value.as_str() {
        Some(text) if range.contains(&text.chars().count()) => Ok(text.into()),
        _ => Err(format!("must be a string of {} to {} characters.", range.start(), range.end())),
    }
}

/// A store hash: 1 to 64 characters.
///
/// # Errors
/// Says what the value must be.
pub fn store_hash(value: &Value) -> Reading<String> {
    text(1..=MAX_STORE_HASH)(value)
}

/// Whether the text is as long as a store hash may be.
#[must_use]
pub fn is_store_hash(text: &str) -> bool {
    (1..=MAX_STORE_HASH).contains(&text.chars().count())
}

/// An e-mail address: a local part, one `@`, a domain, no white space.
///
/// # Errors
/// Says what the value must be.
pub fn email(value: &Value) -> Reading<String> {
    let shaped_like_an_email = |text: &&str| {
        let mut parts = text.split('@');
        let (local, domain, rest) = (parts.next(), parts.next(), parts.next());
        (1..=MAX_EMAIL_BYTES).contains(&text.len())
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
            && local.is_some_and(|part| !part.is_empty())
            && domain.is_some_and(|part| !part.is_empty())
            && rest.is_none()
    };
    match value.as_str().filter(shaped_like_an_email) {
        Some(text) => Ok(text.into()),
        None => Err(format!("must be an e-mail address of at most {MAX_EMAIL_BYTES} bytes.")),
    }
}

/// A password of 1 to 1024 bytes.
///
/// # Errors
/// Says what the value must be.
pub fn password(value: &Value) -> Reading<SecretString> {
    match value.as_str() {
        Some(text) if (1..=MAX_PASSWORD_BYTES).contains(&text.len()) => Ok(text.into()),
        _ => Err(format!("must be a string of 1 to {MAX_PASSWORD_BYTES} bytes.")),
    }
}

/// An id: an integer above zero.
///
/// # Errors
/// Says what the value must be.
pub fn positive_integer(value: &Value) -> Reading<u64> {
    let id = integer(value).filter(|id| *id > 0).and_then(|id| u64::try_from(id).ok());
    id.ok_or_else(|| "must be a positive integer.".into())
}

/// Not below zero; what is too large for the type becomes its maximum, for the caller to judge.
///
/// # Errors
/// Says what the value must be.
pub fn saturating_count(value: &Value) -> Reading<u64> {
    match integer(value) {
        Some(count) if count >= 0 => Ok(u64::try_from(count).unwrap_or(u64::MAX)),
        _ => Err("must be an integer, 0 or more.".into()),
    }
}

/// A time, in Unix seconds.
///
/// # Errors
/// Says what the value must be.
pub fn unix_seconds(value: &Value) -> Reading<u64> {
    let seconds = integer(value).filter(|seconds| (0..=MAX_UNIX_SECONDS).contains(seconds));
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.ok_or_else(|| format!("must be a time in Unix seconds, 0 to {MAX_UNIX_SECONDS}."))
}

/// An integer of this range.
pub fn integer_in(range: RangeInclusive<u64>) -> impl FnOnce(&Value) -> Reading<u64> {
    move |value| {
        let number = integer(value).and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be an integer, {} to {}.", range.start(), range.end()))
    }
}

/// One or more scopes, by their names.
///
/// # Errors
/// Says what the value must be.
pub fn scopes(value: &Value) -> Reading<Scopes> {
    let named = |name: &Value| Scope::named(name.as_str()?);
    let scopes = value.as_array().and_then(|names| names.iter().map(named).collect::<Option<Vec<_>>>());
    match scopes {
        Some(scopes) if !scopes.is_empty() => Ok(Scopes::only(&scopes)),
        _ => Err(format!("must be an array of one or more of {}.", Scope::ALL.map(Scope::name).join(", "))),
    }
}

/// An ISO 8601 date and time as Unix seconds; without an offset it is taken as UTC.
///
/// # Errors
/// Says what the value must be.
pub fn iso8601(value: &Value) -> Reading<i64> {
    let parse = |text: &str| {
        OffsetDateTime::parse(text, &Iso8601::DEFAULT)
            .or_else(|_| PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).map(PrimitiveDateTime::assume_utc))
            .or_else(|_| Date::parse(text, &Iso8601::DEFAULT).map(|date| date.midnight().assume_utc()))
            .ok()
    };
    match value.as_str().and_then(parse) {
        Some(time) => Ok(time.unix_timestamp()),
        None => Err("must be an ISO 8601 time, such as 2030-12-31T00:00:00Z.".into()),
    }
}

/// From it on, 2⁵³, a number with a point or an exponent may be read as its neighbour.
const FIRST_INEXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// A JSON integer, or a string that holds one. Digits beyond `i128` saturate, as does what may be read as another number.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => integer_text(text),
        Value::Number(number) => number.as_i128().or_else(|| match number.as_f64()? {
            float if float >= FIRST_INEXACT_FLOAT => Some(i128::MAX),
            float if float <= -FIRST_INEXACT_FLOAT => Some(i128::MIN),
            #[expect(clippy::cast_possible_truncation, reason = "a whole number that is not too large")]
            float => (float.fract() == 0.0).then_some(float as i128),
        }),
        _ => None,
    }
}

fn integer_text(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if digits.len() == text.len() { i128::MAX } else { i128::MIN }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_come_as_numbers_or_as_strings() {
        for (value, expected) in [
            (json!(1), Some(1)),
            (json!("1"), Some(1)),
            (json!("007"), Some(7)),
            (json!(1.0), Some(1)),
            (json!("-3"), Some(-3)),
            (json!("99999999999999999999999999999999999999999999"), Some(i128::MAX)),
            (json!("-99999999999999999999999999999999999999999999"), Some(i128::MIN)),
            (json!(1e300), Some(i128::MAX)),
            (json!(-1e300), Some(i128::MIN)),
            (serde_json::from_str("2251799813685247.0").unwrap(), Some(2_251_799_813_685_247)),
            (serde_json::from_str("9007199254740991.0").unwrap(), Some(9_007_199_254_740_991)),
            (serde_json::from_str("9007199254740993.0").unwrap(), Some(i128::MAX)),
            (json!(1.5), None),
            (json!("1.0"), None),
            (json!("+1"), None),
            (json!(" 1"), None),
            (json!(""), None),
            (json!("-"), None),
            (json!("١"), None),
            (json!(true), None),
            (json!([1]), None),
        ] {
            assert_eq!(integer(&value), expected, "{value}");
        }
    }

    #[test]
    fn e_mails_are_only_checked_for_their_shape() {
        let longest = format!("{}@b", "a".repeat(252));
        let too_long = format!("{}@b", "a".repeat(253));
        for (value, accepted) in [
            ("a@b", true),
            ("Åsa+x@exämple.se", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("string", false),
            ("@b", false),
            ("a@", false),
            ("a@b@c", false),
            ("a b@c", false),
            ("a@b\n", false),
            ("a\u{0}@b", false),
        ] {
            assert_eq!(email(&json!(value)).is_ok(), accepted, "{value:?}");
        }
        assert!(email(&json!(7)).is_err());
    }

    #[test]
    fn iso_8601_times_need_no_offset() {
        for (value, expected) in [
            ("2024-12-31T00:00:00.0Z", Some(1_735_603_200)),
            ("2024-12-31T00:00:00Z", Some(1_735_603_200)),
            ("2024-12-31T01:00:00+01:00", Some(1_735_603_200)),
            ("2024-12-31T00:00:00", Some(1_735_603_200)),
            ("2024-12-31", Some(1_735_603_200)),
            ("1735603200", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(iso8601(&json!(value)).ok(), expected, "{value:?}");
        }
    }

    #[test]
    fn scopes_are_one_or_more_of_those_there_are() {
        for (value, expected) in [
            (json!(["storefront"]), Some("storefront")),
            (json!(["storefront", "tokens:read", "storefront"]), Some("tokens:read storefront")),
            (json!([]), None),
            (json!(["storefront", "all"]), None),
            (json!(["storefront", 1]), None),
            (json!(["storefront tokens:read"]), None),
            (json!("storefront"), None),
            (json!({"storefront": true}), None),
        ] {
            assert_eq!(scopes(&value).ok(), expected.map(Scopes::of_names), "{value}");
        }
    }

    #[test]
    fn every_bad_field_is_named_once() {
        let fields = Fields::new(json!({"name": 7, "id": null}).as_object().unwrap().clone());
        let refused = fields
            .read(|fields| (fields.required("name", text(1..=3)), fields.required("id", positive_integer)))
            .unwrap_err();
        assert_eq!(refused.to_string(), "id: a value is required. name: must be a string of 1 to 3 characters.");
    }

    #[test]
    fn a_query_parameter_may_repeat_a_field_but_not_contradict_it() {
        let body = || Fields::new(json!({"id": 7}).as_object().unwrap().clone());
        let id = |fields: Fields| fields.read(|fields| fields.required("id", positive_integer));
        assert_eq!(id(body().with_pairs([("id", "7")].into_iter())).unwrap(), 7);
        assert!(id(body().with_pairs([("id", "8")].into_iter())).is_err());
        assert!(id(Fields::default().with_pairs([("id", "7"), ("id", "8")].into_iter())).is_err());
        let others_do_not_matter = [("id", "7"), ("a", "1"), ("a", "2")].into_iter();
        assert_eq!(id(Fields::default().with_pairs(others_do_not_matter)).unwrap(), 7);
    }
}
