//! The tables of `docs/access.md`: one for the routes of each service, one for its methods.

use std::path::Path;

/// Compares the rows that were found with the documented ones, and panics with the differences.
pub fn hold(title: &str, columns: &[&str], found: &[(String, Vec<String>)]) {
    let head = format!("| | {} |", columns.join(" | "));
    let row =
        |(door, cells): &(String, Vec<String>)| format!("| `{door}` | {} |", cells.join(" | "));
    let found: Vec<_> = std::iter::once(head).chain(found.iter().map(row)).collect();
    let written = rows(title);

    let missing = found.iter().filter(|row| !written.contains(row));
    let stale = written.iter().filter(|row| !found.contains(row));
    let missing: Vec<_> = missing.map(|row| format!("+ {row}")).collect();
    let stale: Vec<_> = stale.map(|row| format!("- {row}")).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/access.md, \"{title}\": - is documented and not found, + is found and not documented. Is it right?\n{}\n{}",
        stale.join("\n"),
        missing.join("\n"),
    );
}

fn rows(title: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access.md");
    let text = std::fs::read_to_string(file).unwrap();
    let section = text.split("\n## ").find(|section| section.lines().next() == Some(title));
    let section = section.unwrap_or_else(|| panic!("docs/access.md has no section \"{title}\""));
    let rows = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|--"));
    rows.map(str::to_owned).collect()
}
