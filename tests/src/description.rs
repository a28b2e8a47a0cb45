//! What `openapi.yaml` says of the API.

use serde_json::{Map, Number, Value};
use std::sync::LazyLock;
use yaml_rust2::{Yaml, YamlLoader};

/// The whole document, in which each `$ref` has given way to what it refers to.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../openapi.yaml");
    let document = value(&YamlLoader::load_from_str(text).unwrap()[0]);
    resolved(&document, &document)
});

/// An operation: method, in small letters, path without its prefix, and what the description says of it.
pub type Operation = (&'static str, &'static str, &'static Value);

pub fn operations() -> impl Iterator<Item = Operation> {
    members(&DESCRIPTION["paths"])
        .flat_map(|(path, item)| members(item).map(move |(method, operation)| (method, path, operation)))
}

/// What the description says of the operation that answers such a request, if one does. The path is without its prefix.
pub fn operation(method: &str, path: &str) -> Option<&'static Value> {
    DESCRIPTION["paths"].get(path)?.get(method.to_lowercase())
}

/// The members of an object of the description; none of what is no object.
pub fn members(value: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    value.as_object().into_iter().flatten().map(|(name, member)| (name.as_str(), member))
}

fn value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) => text.as_str().into(),
        Yaml::Integer(integer) => (*integer).into(),
        // Greater than what the parser takes for an integer.
        Yaml::Real(digits) => digits.parse::<Number>().unwrap().into(),
        Yaml::Boolean(boolean) => (*boolean).into(),
        Yaml::Array(items) => items.iter().map(value).collect(),
        Yaml::Hash(members) => members.iter().map(|(name, member)| (name.as_str().unwrap(), value(member))).collect(),
        _ => Value::Null,
    }
}

/// What stands beside a `$ref` takes the place of the same member there: enough for what is written beside one here.
fn resolved(document: &Value, node: &Value) -> Value {
    match node {
        Value::Object(members) => {
            let mut there = members.get("$ref").map_or_else(Map::new, |reference| {
                let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
                let Value::Object(there) = resolved(document, document.pointer(pointer).unwrap()) else {
                    panic!("{pointer} is no object");
                };
                there
            });
            let here = members.iter().filter(|(name, _)| *name != "$ref");
            there.extend(here.map(|(name, member)| (name.clone(), resolved(document, member))));
            there.into()
        }
        Value::Array(items) => items.iter().map(|item| resolved(document, item)).collect(),
        other => other.clone(),
    }
}
