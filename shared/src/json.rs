//! JSON that others wrote, in which no member is named twice (RFC 7493, section 2.3).
//!
//! `serde_json` alone keeps the last of two members, and other readers the first: a check before us and we would see two
//! requests in one text. And with its feature `raw_value` its `Value` takes the string of a member of a certain name for more
//! JSON, which nobody else would see.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, map::Entry};
use std::fmt;

/// Why a text cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not JSON, or too deep.
    NotJson,
    /// An object in it names this member twice.
    NamedTwice(String),
}

/// Reads a text.
///
/// # Errors
/// Says why it cannot be read.
pub fn parse(text: &str) -> Result<Value, Unreadable> {
    let mut named_twice = None;
    let mut text = serde_json::Deserializer::from_str(text);
    let read = Reader { named_twice: &mut named_twice }.deserialize(&mut text);
    let read = read.and_then(|value| text.end().map(|()| value));
    read.map_err(|_| named_twice.map_or(Unreadable::NotJson, Unreadable::NamedTwice))
}

/// JSON in which no member is named twice; another is not deserialized.
pub struct Unambiguous(pub Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reader { named_twice: &mut None }.deserialize(deserializer).map(Self)
    }
}

/// Reads a value. How deep it may be is for the deserializer to say.
struct Reader<'a> {
    named_twice: &'a mut Option<String>,
}

impl Reader<'_> {
    /// One for a value inside.
    fn again(&mut self) -> Reader<'_> {
        Reader { named_twice: self.named_twice }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(self.again())? {
            array.push(element);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            match object.entry(name) {
                Entry::Vacant(member) => {
                    member.insert(members.next_value_seed(self.again())?);
                }
                Entry::Occupied(member) => {
                    *self.named_twice = Some(member.key().clone());
                    return Err(A::Error::custom("a member is named twice"));
                }
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_reads_as_it_does_elsewhere() {
        for text in [
            "null",
            "true",
            "-7",
            "18446744073709551615",
            "18446744073709551616",
            "-0.5",
            "1e300",
            r#""\u00e9\ud83d\ude00\n""#,
            " [ ] ",
            r#"{"b": [1, {"a": {}}], "a": null, "": "", "A": {"a": 1}, "a ": {"a": 1}}"#,
        ] {
            assert_eq!(parse(text), Ok(serde_json::from_str(text).unwrap()), "{text}");
        }
        let names: Vec<_> = parse(r#"{"b": 1, "a": 2}"#).unwrap().as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn what_is_not_json_is_not_read() {
        for text in [
            "",
            "{",
            "{} {}",
            "{}x",
            "{a: 1}",
            r#"{"a": 1,}"#,
            "NaN",
            "1e400",
            r#""\ud800""#,
            r#"{"\ud800": 1}"#,
            "'a'",
        ] {
            assert_eq!(parse(text), Err(Unreadable::NotJson), "{text}");
        }
        for deep in ["[".repeat(60_000), "{\"a\":".repeat(12_000), format!("{}{}", "[".repeat(200), "]".repeat(200))] {
            assert_eq!(parse(&deep), Err(Unreadable::NotJson));
        }
    }

    #[test]
    fn a_member_that_is_named_twice_is_told_at_any_depth_and_however_it_is_written() {
        for (text, name) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"a": null, "a": null}"#, "a"),
            (r#"{"a": 1, "b": 2, "\u0061": 3}"#, "a"),
            (r#"{"": 1, "": 2}"#, ""),
            (r#"{"x": [[{"y": {"\"é": 1, "\u0022\u00e9": 2}}]]}"#, "\"é"),
            (r#"[{"a": 1}, {"a": 1, "b": 1, "b": 1, "c": 1, "c": 1}]"#, "b"),
        ] {
            assert_eq!(parse(text), Err(Unreadable::NamedTwice(name.into())), "{text}");
            assert!(serde_json::from_str::<Unambiguous>(text).is_err(), "{text}");
        }
        let deepest = format!("{}{{\"a\": 1, \"a\": 1}}{}", "[".repeat(120), "]".repeat(120));
        assert_eq!(parse(&deepest), Err(Unreadable::NamedTwice("a".into())));
    }

    #[test]
    fn no_name_makes_json_of_a_string() {
        let text = r#"{"$serde_json::private::RawValue": "{\"a\": 1}"}"#;
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"a": 1}), "upstream does not any more");
        assert_eq!(parse(text).unwrap()["$serde_json::private::RawValue"], "{\"a\": 1}");
    }
}
