//! Documents tell the truth.

use std::fs;
use std::path::Path;

use crate::files::{SERVICES, code, files, name, none, read, root, tree};

/// The lines of all files in docs/reading.md together.
const READING_LINES: usize = 3_000;

#[test]
fn every_relative_link_leads_somewhere() {
    let mut documents = files("docs", "md");
    documents.extend(["README.md", "CONTRIBUTING.md"].map(|file| root().join(file)));

    let mut broken = Vec::new();
    for document in &documents {
        for link in links(&read(document)) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let base = document.parent().unwrap_or(Path::new(""));
            if !base.join(target).exists() {
                broken.push(format!("{} → {link}", name(document)));
            }
        }
    }
    none("links lead somewhere", &broken);
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = read(&root().join("Makefile"));
    let targets: Vec<_> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', ' ', '#', '.']))
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(names, _)| names.split_whitespace())
        .collect();

    let mut documents = files("docs", "md");
    documents.extend(["README.md", "CONTRIBUTING.md"].map(|file| root().join(file)));
    let mut broken = Vec::new();
    for document in &documents {
        for quoted in read(document).split("`make ").skip(1) {
            let target = quoted.split(['`', ' ', '\n']).next().unwrap();
            if !target.ends_with('*') && !targets.contains(&target) {
                broken.push(format!("{}: make {target}", name(document)));
            }
        }
    }
    none("documents name real commands", &broken);
}

/// `file.rs::a_test`, with as much of the path as tells the file apart; `::another` is in the file named before.
#[test]
fn every_test_that_a_document_names_exists() {
    let code: Vec<_> = files("crates", "rs").iter().map(|file| (name(file), read(file))).collect();
    let mut documents = files("docs", "md");
    documents.push(root().join("README.md"));
    let mut broken = Vec::new();
    for document in &documents {
        let mut before = "";
        let text = read(document);
        for span in text.split('`').skip(1).step_by(2) {
            let Some((file, test)) = span.split_once("::") else { continue };
            if test.is_empty() || !(file.is_empty() || file.ends_with(".rs")) {
                continue;
            }
            before = if file.is_empty() { before } else { file };
            let wanted = [format!("fn {test}("), format!("fn {test}<")];
            let found = code.iter().any(|(path, text)| {
                path.ends_with(&format!("/{before}"))
                    && wanted.iter().any(|function| text.contains(function))
            });
            if !found {
                broken.push(format!("{}: {before}::{test}", name(document)));
            }
        }
    }
    none("documents name tests that exist", &broken);
}

/// A directory is not enough: the test that keeps the promise must be named.
#[test]
fn every_promise_names_a_test() {
    let readme = read(&root().join("README.md"));
    let promises =
        readme.split("## What it promises").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = promises.lines().filter(|line| line.starts_with("| ")).skip(1);
    let broken: Vec<_> = rows.filter(|row| !row.contains(".rs::")).map(str::to_owned).collect();
    none("each promise of README.md names the test that keeps it", &broken);
}

/// A walkthrough must show the code as it is.
#[test]
fn every_line_of_the_walkthrough_is_in_the_code() {
    let code: String = files("crates/booking", "rs").iter().map(|file| read(file)).collect();
    let code: Vec<_> = code.lines().map(str::trim).collect();
    let walkthrough = read(&root().join("docs/adding-a-use-case.md"));
    let blocks =
        walkthrough.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let broken: Vec<_> = blocks
        .flat_map(str::lines)
        .map(str::trim)
        .filter(|line| !code.contains(line))
        .map(str::to_owned)
        .collect();
    none("docs/adding-a-use-case.md shows code that exists", &broken);
}

/// A stranger must be able to read them in an afternoon.
#[test]
fn the_reading_list_is_short() {
    let text = read(&root().join("docs/reading.md"));
    let list = text.split("\n## ").next().unwrap();
    let items = list.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let paths: Vec<_> = items.flat_map(links).collect();
    assert!((8..=10).contains(&paths.len()), "eight to ten files, not {}", paths.len());
    let lengths = paths.iter().map(|path| read(&root().join("docs").join(path)).lines().count());
    let lines: usize = lengths.sum();
    assert!(lines <= READING_LINES, "{READING_LINES} lines at most, not {lines}");
}

/// A new service must be added to every list of the services.
#[test]
fn every_list_of_the_services_is_in_the_guide() {
    let guide = read(&root().join("docs/adding-a-service.md"));
    let folders = [
        ".github",
        "Cargo.toml",
        "Makefile",
        "crates",
        "deployments",
        "docker-compose.yml",
        "scripts",
    ];
    let mut broken = Vec::new();
    for file in folders.iter().flat_map(|folder| tree(folder)) {
        let path = name(&file);
        let text = fs::read(&file).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let is_generated = path.ends_with(".json") || path.contains("/tests/it/");
        if is_generated || !text.is_some_and(|text| lists_the_services(&text)) {
            continue;
        }
        let mut places =
            Path::new(&path).ancestors().map(|place| format!("](../{})", place.display()));
        if !places.any(|link| guide.contains(&link)) {
            broken.push(path);
        }
    }
    none("docs/adding-a-service.md names each list of the services", &broken);
}

/// Returns true if eight lines in a row name all of them.
fn lists_the_services(text: &str) -> bool {
    let lines: Vec<Vec<_>> = text
        .lines()
        .map(|line| line.split(|c: char| !(c.is_alphanumeric() || "_-".contains(c))).collect())
        .collect();
    let names = |from: usize, service| {
        lines[from..lines.len().min(from + 8)].iter().any(|line| line.contains(service))
    };
    (0..lines.len()).any(|from| SERVICES.iter().all(|service| names(from, service)))
}

/// The targets of `[text](target)`, code spans left out.
fn links(text: &str) -> Vec<String> {
    let prose: String = text.split('`').step_by(2).collect();
    prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

#[test]
fn every_error_code_is_documented() {
    let documented = read(&root().join("docs/errors.md"));
    let mut broken = Vec::new();
    let crates = SERVICES.iter().chain(&["kit"]);
    for file in crates.flat_map(|krate| files(&format!("crates/{krate}/src"), "rs")) {
        for code in codes(&code(&read(&file))) {
            if !documented.contains(&format!("| `{code}` |")) {
                broken.push(format!("{}: {code}", name(&file)));
            }
        }
    }
    none("docs/errors.md lists every code", &broken);
}

/// The codes in a source file: `Kind::NotFound.code("…")`, `code: "…"`, the literals of a `code` function, and
/// the codes of wrong fields.
fn codes(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for function in text.split("fn code(").skip(1) {
        let body = function.split("\n    }\n").next().unwrap().split("\n}\n").next().unwrap();
        found.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    for (before, after) in [("Kind::", ", \""), ("code", ": \""), ("code(", "\"")] {
        for place in text.split(before).skip(1) {
            let Some((between, rest)) = place.split_once(after) else { continue };
            if between.chars().all(char::is_alphanumeric) {
                found.extend(rest.split('"').next().map(str::to_owned));
            }
        }
    }
    for call in text.split("fields.").skip(1) {
        let mut literals = call.split('"');
        let method = literals.next().unwrap();
        let between = literals.nth(1).unwrap_or_default().trim();
        if ["check(", "check_optional(", "add("].contains(&method.trim_end()) && between == "," {
            found.extend(literals.next().map(str::to_owned));
        }
    }
    found.retain(|code| {
        !code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    });
    found
}
