//! Which module stands on which: no arrows close a circle, and none runs against the plan of the house.
//!
//! `cargo test -p tests --test architecture -- --nocapture` prints them all.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// From each module to those that its code names.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What may not stand on what, by room.
const FORBIDDEN: [(&str, &[&str]); 8] = [
    ("shared::fault", &["shared::auth", "shared::http", "shared::keys", "shared::services", "shared::tables"]),
    ("shared::bigcommerce", &["shared::auth", "shared::http", "shared::keys", "shared::services", "shared::tables"]),
    ("shared::keys", &["shared::auth", "shared::http", "shared::lambda", "shared::services", "shared::tables"]),
    ("shared::http", &["shared::auth", "shared::keys", "shared::lambda", "shared::services", "shared::tables"]),
    ("shared::tables", &["shared::auth", "shared::http", "shared::lambda", "shared::services"]),
    ("shared::auth", &["shared::lambda", "shared::services"]),
    (
        "accounts",
        &["shared::auth", "shared::http::envelope", "shared::http::error", "shared::lambda", "shared::services"],
    ),
    ("admin", &["shared::http::error", "shared::http::envelope", "shared::lambda"]),
];

const CRATES: [&str; 4] = ["shared", "accounts", "local", "admin"];

#[test]
fn no_arrows_close_a_circle() {
    for name in CRATES {
        let arrows = arrows(name);
        println!("\n{name}");
        for (from, targets) in &arrows {
            let targets: Vec<_> = targets.iter().map(String::as_str).collect();
            println!("  {from} -> {}", targets.join(", "));
        }
        assert_eq!(circle(&arrows), None, "a circle in {name}");
    }
}

#[test]
fn arrows_run_as_planned() {
    let mut wrong = Vec::new();
    for name in CRATES {
        for (from, targets) in arrows(name) {
            for (room, forbidden) in FORBIDDEN.iter().filter(|(room, _)| is_in(&from, room)) {
                let against = targets.iter().filter(|target| forbidden.iter().any(|room| is_in(target, room)));
                wrong.extend(against.map(|target| format!("{from} -> {target}: {room} may not")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_circle_and_a_path_are_told_apart() {
    let arrows = |pairs: &[(&str, &str)]| {
        let mut arrows = Arrows::new();
        for (from, to) in pairs {
            arrows.entry((*from).into()).or_default().insert((*to).into());
        }
        arrows
    };
    assert_eq!(circle(&arrows(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(circle(&arrows(&[("a", "b"), ("b", "c"), ("c", "b")])), Some("b -> c -> b".into()));
    let modules = ["a", "a::b", "a::b::c", "d"].map(ToOwned::to_owned).into();
    let named = |code: &str| names(code.parse().unwrap(), "a::b", "x", &modules);
    for (code, expected) in [
        ("use crate::{d, a::b::c::{X, Y}};", vec!["x::a::b::c", "x::d"]),
        ("use super::Z;", vec!["x::a"]),
        ("use c::X; fn f() { crate::d::f(); m!(crate::a::b::c::g()) }", vec!["x::a::b::c", "x::d"]),
        ("pub use c::X;", vec!["x::a::b::c"]),
        ("mod c; #[cfg(test)] mod tests { use crate::d::X; }", vec![]),
        ("use shared::{fault::Fault, keys::jwt};", vec!["shared::fault::Fault", "shared::keys::jwt"]),
    ] {
        assert_eq!(named(code).into_iter().collect::<Vec<_>>(), expected, "{code}");
    }
}

fn is_in(module: &str, room: &str) -> bool {
    module.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn arrows(name: &str) -> Arrows {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
    let mut sources = BTreeMap::new();
    read(&root, "", &mut sources);
    let modules: BTreeSet<String> = sources.keys().cloned().collect();
    let arrows = sources.iter().map(|(module, source)| {
        let mut named = names(source.parse().unwrap(), module, name, &modules);
        named.remove(&qualified(name, module));
        // The root only lists the rooms, and everybody is in it.
        named.remove(name);
        (qualified(name, module), named)
    });
    arrows.filter(|(_, named)| !named.is_empty()).collect()
}

/// The sources of a folder, by the paths of their modules.
fn read(folder: &Path, prefix: &str, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inside = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
        if path.is_dir() {
            read(&path, &inside, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = if ["lib", "main", "mod"].contains(&name) { prefix.to_owned() } else { inside };
            sources.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

fn qualified(name: &str, module: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{name}::{module}") }
}

/// The modules that code names by a path; of other crates of the house, the paths.
fn names(code: TokenStream, module: &str, name: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let mut paths = Vec::new();
    collect(code, &mut paths);
    let mut named = BTreeSet::new();
    for path in paths {
        let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
        let first = path.split("::").next().unwrap();
        let rest = path.strip_prefix(first).unwrap().trim_start_matches("::");
        let absolute = match first {
            "crate" => rest.to_owned(),
            "super" => join(parent, rest),
            "self" => join(module, rest),
            _ if CRATES.contains(&first) && first != name => {
                named.insert(path.clone());
                continue;
            }
            // A child; anything else is another crate's, or a name that was brought in.
            _ if modules.contains(&join(module, first)) => join(module, &path),
            _ => continue,
        };
        named.insert(qualified(name, closest(&absolute, modules)));
    }
    named
}

fn join(module: &str, rest: &str) -> String {
    [module, rest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("::")
}

/// The module that holds what the path names.
fn closest<'a>(path: &'a str, modules: &BTreeSet<String>) -> &'a str {
    let mut path = path;
    while !modules.contains(path) {
        path = path.rsplit_once("::").map_or("", |(before, _)| before);
    }
    path
}

/// All paths of two parts or more, those in braces written out. What only tests use is left out.
fn collect(code: TokenStream, paths: &mut Vec<String>) {
    let trees: Vec<TokenTree> = code.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        if let Some(after) = test_module(&trees[at..]) {
            at += after;
            continue;
        }
        match &trees[at] {
            TokenTree::Ident(first) if is_separator(&trees, at + 1) => {
                at = path(&trees, at + 3, &first.to_string(), paths);
                continue;
            }
            TokenTree::Group(group) => collect(group.stream(), paths),
            _ => {}
        }
        at += 1;
    }
}

/// How many trees a module of tests takes, if one begins here.
fn test_module(trees: &[TokenTree]) -> Option<usize> {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), TokenTree::Ident(keyword), TokenTree::Ident(_), ..] =
        trees
    else {
        return None;
    };
    let is_test = hash.as_char() == '#' && attribute.stream().to_string().replace(' ', "") == "cfg(test)";
    (is_test && keyword == "mod").then_some(5)
}

fn is_separator(trees: &[TokenTree], at: usize) -> bool {
    let is_colon = |tree: Option<&TokenTree>| matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    is_colon(trees.get(at)) && is_colon(trees.get(at + 1))
}

/// Follows a path from where its next part is, and gives where it ends.
fn path(trees: &[TokenTree], at: usize, before: &str, paths: &mut Vec<String>) -> usize {
    match trees.get(at) {
        Some(TokenTree::Ident(part)) => {
            let so_far = format!("{before}::{part}");
            if is_separator(trees, at + 1) {
                return path(trees, at + 3, &so_far, paths);
            }
            paths.push(so_far);
            at + 1
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inside: Vec<TokenTree> = group.stream().into_iter().collect();
            for branch in inside.split(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ',')) {
                if !branch.is_empty() {
                    path(branch, 0, before, paths);
                }
            }
            at + 1
        }
        // `::<T>`, `::*`
        _ => {
            paths.push(before.to_owned());
            at
        }
    }
}

/// A circle, if there is one, as the way around it.
fn circle(arrows: &Arrows) -> Option<String> {
    fn follow<'a>(
        module: &'a str,
        arrows: &'a Arrows,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<String> {
        if let Some(start) = way.iter().position(|present| *present == module) {
            return Some([&way[start..], &[module]].concat().join(" -> "));
        }
        if !done.insert(module) {
            return None;
        }
        way.push(module);
        let found = arrows.get(module).into_iter().flatten().find_map(|next| follow(next, arrows, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|module| follow(module, arrows, &mut Vec::new(), &mut done))
}
