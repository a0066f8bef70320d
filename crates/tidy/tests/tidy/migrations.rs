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
