//! Plain English, one meaning for each word.

use crate::files::{files, name, none, read, root};

/// Words that turn a sentence into a relative clause when they begin it.
const RELATIVE: [&str; 12] =
    ["What", "Who", "Whom", "Whose", "How", "Whether", "Where", "When", "Which", "Why", "Of", "As"];

#[test]
fn a_doc_comment_names_its_subject() {
    let mut broken = Vec::new();
    for manifest in files("crates", "toml").iter().filter(|file| file.ends_with("Cargo.toml")) {
        let krate = name(manifest.parent().unwrap());
        for file in files(&format!("{krate}/src"), "rs") {
            broken.extend(relative_clauses(&name(&file), &read(&file)));
        }
    }
    none("a doc comment is a sentence with a subject, or begins with a verb", &broken);
}

#[test]
fn a_relative_clause_is_found_where_a_doc_comment_begins() {
    let text = "//! What it is.\n//! Who cares.\n\n/// A hold.\n/// When it ends.\nlet x;\n    /// Whether.\nlet y;\n/// Asks.\n// How";
    assert_eq!(relative_clauses("f", text), ["f:1: //! What it is.", "f:7: /// Whether."]);
}

/// The doc comments of a file that begin with a relative clause.
fn relative_clauses(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let first = comment.unwrap_or_default().trim_start();
        let first = first.split(|c: char| !c.is_alphabetic()).next().unwrap();
        if !is_inside && RELATIVE.contains(&first) {
            found.push(format!("{file}:{}: {line}", number + 1));
        }
        is_inside = comment.is_some();
    }
    found
}

#[test]
fn the_glossary_is_short_and_has_one_meaning_for_each_word() {
    let glossary = read(&root().join("docs/glossary.md"));
    let rows = glossary.lines().filter_map(|line| line.strip_prefix("| **"));
    let words: Vec<_> = rows.map(|row| row.split("**").next().unwrap().to_lowercase()).collect();
    assert!((20..=40).contains(&words.len()), "20 to 40 words, not {}", words.len());
    let mut sorted = words.clone();
    sorted.sort();
    assert_eq!(words, sorted, "in alphabetical order");
    sorted.dedup();
    assert_eq!(words, sorted, "one meaning each");
}
