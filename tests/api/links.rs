//! Links between the documents lead to what is there.

use regex_lite::Regex;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn no_link_between_documents_is_dead() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let link = Regex::new(r#"(?:\]\(|src(?:set)?=")([^)"\s]+)"#).unwrap();
    let code = Regex::new(r"`[^`]*`").unwrap();
    let (mut links, mut dead) = (0, Vec::new());
    for document in documents(root) {
        let text = prose(&fs::read_to_string(&document).unwrap());
        // What is in quotes of code is no link; the text of a link may be code.
        for found in link.captures_iter(&code.replace_all(&text, "")) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (path, fragment) = target.split_once('#').map_or((target, None), |(path, part)| (path, Some(part)));
            let path = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let is_alive = match fragment {
                Some(fragment) => fs::read_to_string(&path).is_ok_and(|page| fragments(&page).contains(fragment)),
                None => path.exists(),
            };
            if !is_alive {
                dead.push(format!("{}: {target}", document.strip_prefix(root).unwrap().display()));
            }
        }
    }
    assert!(links > 100, "only {links} links were found");
    assert!(dead.is_empty(), "{dead:#?}");
}

/// The fragments by which the sections of a Markdown page are linked to, as GitHub makes them.
pub fn fragments(page: &str) -> BTreeSet<String> {
    let page = prose(page);
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |character: &char| character.is_alphanumeric() || [' ', '-', '_'].contains(character);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// All that is no block of code.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// The Markdown pages below a folder, but for what was built, installed or hidden.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        !name.starts_with('.') && !["target", "node_modules"].contains(&&*name)
    };
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_ours);
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let pages = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "md"));
    pages.chain(folders.iter().flat_map(|folder| documents(folder))).collect()
}
