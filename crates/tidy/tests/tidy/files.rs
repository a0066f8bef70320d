//! Reads the tree. No rule here.

use std::fs;
use std::path::{Path, PathBuf};

pub const SERVICES: [&str; 4] = ["auth", "booking", "incidents", "points"];

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Every file below `folder` with this extension, sorted.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = tree(folder);
    found.retain(|path| path.extension().is_some_and(|e| e == extension));
    found
}

/// Every file below `path`, or the file itself, sorted. Skips folders that other programs write.
pub fn tree(path: &str) -> Vec<PathBuf> {
    let mut pending = vec![root().join(path)];
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if !path.is_dir() {
            found.push(path);
        } else if ![".sqlx", "node_modules", "target"].iter().any(|name| path.ends_with(name)) {
            pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The program in a source file: without comments, and without the unit tests at its end.
pub fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect()
}

/// The path as a person would type it.
pub fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with every broken place at once, so that one run shows them all.
pub fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}
