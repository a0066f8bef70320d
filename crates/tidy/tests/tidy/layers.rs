//! Who may know whom.

use crate::files::{SERVICES, files, name, none, read, root};

/// What a domain module may not know about.
const IO: [&str; 10] = [
    "axum",
    "http",
    "kit",
    "observability",
    "proto",
    "redis",
    "sea_query",
    "sqlx",
    "tokio",
    "tonic",
];

/// Crate → which of our own crates it may depend on. `[dev-dependencies]` are free.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("proto", &[]),
    ("observability", &[]),
    ("kit", &["observability", "proto"]),
    ("auth", &["kit", "observability", "proto"]),
    ("booking", &["kit", "observability", "proto"]),
    ("incidents", &["kit", "observability", "proto"]),
    ("points", &["kit", "observability", "proto"]),
];

#[test]
fn the_domain_does_no_io() {
    let mut broken = Vec::new();
    for service in SERVICES {
        for file in files(&format!("crates/{service}/src"), "rs") {
            let path = name(&file);
            if !path.ends_with("/src/domain.rs") && !path.contains("/src/domain/") {
                continue;
            }
            let text = read(&file);
            for krate in IO {
                if text.contains(&format!("{krate}::")) {
                    broken.push(format!("{path} uses `{krate}`"));
                }
            }
            if text.contains("async ") {
                broken.push(format!("{path} is async"));
            }
        }
    }
    none("the domain is plain values and functions", &broken);
}

#[test]
fn sql_lives_in_the_store() {
    let mut broken = Vec::new();
    for service in SERVICES {
        for file in files(&format!("crates/{service}/src"), "rs") {
            let path = name(&file);
            let is_store = path.ends_with("/src/store.rs") || path.contains("/src/store/");
            let text = read(&file);
            if !is_store
                && ["sqlx::query", "query!(", "query_as!("].iter().any(|q| text.contains(q))
            {
                broken.push(path);
            }
        }
    }
    none("only store.rs and store/ hold SQL", &broken);
}

#[test]
fn services_do_not_know_each_other() {
    let ours: Vec<_> = MAY_USE.iter().map(|(krate, _)| *krate).collect();
    let mut broken = Vec::new();
    for (krate, allowed) in MAY_USE {
        let manifest = read(&root().join("crates").join(krate).join("Cargo.toml"));
        let wanted = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let wanted = wanted.split("\n[").next().unwrap();
        for other in wanted.lines().filter_map(|line| line.split(['.', ' ', '=']).next()) {
            if ours.contains(&other) && !allowed.contains(&other) {
                broken.push(format!("{krate} depends on {other}"));
            }
        }
    }
    none("the dependency graph points one way", &broken);
}
