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
        for (number, line) in read(&file).lines().enumerate() {
            let line = line.split("--").next().unwrap();
            let words: Vec<_> = line.split_whitespace().collect();
            for kind in ["CHECK", "EXCLUDE"] {
                let at =
                    words.iter().position(|w| *w == kind || w.starts_with(&format!("{kind}(")));
                if at.is_some_and(|i| i < 2 || words[i - 2] != "CONSTRAINT")
                    && !line.contains("WITH CHECK")
                {
                    broken.push(format!("{}:{}", name(&file), number + 1));
                }
            }
        }
    }
    none("CONSTRAINT name CHECK (…), on one line, so that code can translate it", &broken);
}
