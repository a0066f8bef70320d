//! Migrations are numbered, reversible, and the same where they must be.

use crate::files::{SERVICES, files, name, none, read, root};

#[test]
fn migrations_are_numbered_without_gaps_and_come_in_pairs() {
    let mut broken = Vec::new();
    for service in SERVICES {
        let found = files(&format!("migrations/{service}"), "sql");
        let names: Vec<_> =
            found.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
        let ups: Vec<_> = names.iter().filter(|n| n.ends_with(".up.sql")).collect();
        for (index, up) in ups.iter().enumerate() {
            if !up.starts_with(&format!("{:06}_", index + 1)) {
                broken.push(format!("{service}: {up} is out of order"));
            }
            if !names.contains(&up.replace(".up.sql", ".down.sql").as_str()) {
                broken.push(format!("{service}: {up} has no .down.sql"));
            }
        }
        if names.len() != ups.len() * 2 {
            broken.push(format!("{service}: {} files for {} migrations", names.len(), ups.len()));
        }
    }
    none("NNNNNN_name.up.sql and .down.sql", &broken);
}

#[test]
fn every_service_has_the_same_platform_tables() {
    let platform = |service: &str, direction: &str| {
        let path = format!("migrations/{service}/000001_platform.{direction}.sql");
        read(&root().join(path)).replace(&format!("{service}_app"), "SERVICE_app")
    };
    let mut broken = Vec::new();
    for direction in ["up", "down"] {
        let first = platform(SERVICES[0], direction);
        for service in &SERVICES[1..] {
            if platform(service, direction) != first {
                broken.push(format!(
                    "{service}: 000001_platform.{direction}.sql differs from {}",
                    SERVICES[0]
                ));
            }
        }
    }
    none("outbox, inbox and idempotency are one design", &broken);
}

#[test]
fn a_constraint_has_a_name() {
    let mut broken = Vec::new();
    for file in files("migrations", "sql") {
        let text = read(&file);
        let code: Vec<_> = text.lines().map(|line| line.split("--").next().unwrap()).collect();
        let code = code.join("\n");
        let words: Vec<_> = code.split_whitespace().collect();
        for (place, word) in words.iter().enumerate() {
            let is_rule = ["CHECK", "EXCLUDE"].contains(&word.split('(').next().unwrap());
            if is_rule && (place < 2 || words[place - 2] != "CONSTRAINT") {
                broken.push(format!("{}: {}", name(&file), words[place..].join(" ")));
            }
        }
    }
    none("CONSTRAINT name CHECK (…), so that code can translate it", &broken);
}

/// Migrations from before this rule; the versions that they broke no longer run.
const NOT_ADDITIVE: [&str; 3] = [
    "auth/000003_sessions.up.sql",
    "auth/000005_key_rotation.up.sql",
    "incidents/000003_lifecycle.up.sql",
];

/// The clauses of a migration that break the version that is still running while the next one is deployed.
fn breaks_the_version_before(sql: &str) -> Vec<String> {
    let code: Vec<_> = sql.lines().map(|line| line.split("--").next().unwrap()).collect();
    let code = code.join("\n").to_uppercase();
    let mut broken = Vec::new();
    for statement in code.split(';').filter(|s| s.trim_start().starts_with("ALTER TABLE")) {
        let mut depth = 0;
        let clauses = statement.split(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        });
        for clause in clauses {
            let words = clause.split_whitespace().collect::<Vec<_>>().join(" ");
            let mandatory = words.contains("ADD COLUMN") && words.contains(" NOT NULL");
            let filled = words.contains(" DEFAULT ") || words.contains(" GENERATED ");
            if words.contains("DROP COLUMN")
                || words.contains("DROP DEFAULT")
                || mandatory && !filled
            {
                broken.push(words);
            }
        }
    }
    broken
}

#[test]
fn a_migration_does_not_break_the_version_that_is_still_running() {
    let mut broken = Vec::new();
    for file in files("migrations", "up.sql") {
        let path = name(&file);
        if NOT_ADDITIVE.iter().any(|known| path.ends_with(known)) {
            continue;
        }
        let clauses = breaks_the_version_before(&read(&file));
        broken.extend(clauses.into_iter().map(|clause| format!("{path}: {clause}")));
    }
    none("no DROP COLUMN, no DROP DEFAULT, no ADD COLUMN … NOT NULL without a default", &broken);
}

#[test]
fn a_clause_that_breaks_the_version_before_is_found_wherever_it_stands() {
    let sql = "-- DROP COLUMN is a comment here\nALTER TABLE a\n  ADD COLUMN b numeric(3, 1) NOT NULL,\n  drop column c;
               ALTER TABLE a ALTER COLUMN d DROP DEFAULT, ADD COLUMN e text NOT NULL DEFAULT '';
               ALTER TABLE a ADD COLUMN f text;";
    let expected = [
        "ALTER TABLE A ADD COLUMN B NUMERIC(3, 1) NOT NULL",
        "DROP COLUMN C",
        "ALTER TABLE A ALTER COLUMN D DROP DEFAULT",
    ];
    assert_eq!(breaks_the_version_before(sql), expected);
}
