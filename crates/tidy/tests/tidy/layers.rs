//! The layers of a service, and the names that each may not use.

use crate::files::{SERVICES, files, name, none, read, root};
use crate::imports;

/// Crates that do I/O: no domain module names one.
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

/// Crate → the crates of this workspace that it may depend on. `[dev-dependencies]` are free.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("proto", &[]),
    ("observability", &[]),
    ("kit", &["observability", "proto"]),
    ("auth", &["kit", "observability", "proto"]),
    ("booking", &["kit", "observability", "proto"]),
    ("webconsole", &["kit", "observability"]),
    ("incidents", &["kit", "observability", "proto", "webconsole"]),
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
fn the_store_does_not_name_the_use_cases() {
    let mut broken = Vec::new();
    for service in SERVICES {
        for (module, paths) in imports::imports(&imports::modules(service)) {
            let is_store = module.first().is_some_and(|layer| layer == "store");
            if is_store && paths.iter().any(|path| path.first().is_some_and(|layer| layer == "app"))
            {
                broken.push(format!("{service}/src/{}.rs", module.join("/")));
            }
        }
    }
    none("store names domain and view, never app", &broken);
}

#[test]
fn use_cases_rules_and_sql_do_not_name_the_transport() {
    let mut broken = Vec::new();
    for service in SERVICES {
        for (module, text) in imports::modules(service) {
            let layer = module.first().map_or("", String::as_str);
            let names_transport =
                ["axum", "http", "tonic", "StatusCode"].iter().any(|word| uses(&text, word));
            if ["app", "domain", "ledger", "store", "view"].contains(&layer) && names_transport {
                broken.push(format!("{service}/src/{}.rs", module.join("/")));
            }
        }
    }
    none("axum, http, tonic and status codes belong to http/ and grpc/", &broken);
}

/// Returns true if the program names this crate, module or type.
fn uses(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let rest = &text[at + word.len()..];
        let is_path = rest.starts_with("::") || word.starts_with(char::is_uppercase);
        is_path && !text[..at].ends_with(is_name) && !rest.starts_with(is_name)
    })
}

/// Statements that write a table of kit themselves: one statement for a whole command, measured.
const WRITES_TABLES_OF_KIT: [(&str, &str); 2] = [
    ("booking/src/store/one_statement.rs", "idempotency_key"),
    ("points/src/store/write.rs", "idempotency_key"),
];

#[test]
fn services_do_not_write_the_tables_of_kit() {
    let platform =
        read(&root().join("migrations").join(SERVICES[0]).join("000001_platform.up.sql"));
    let tables: Vec<_> = platform
        .lines()
        .filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split([' ', '(']).next())
        .collect();
    assert!(tables.contains(&"idempotency_key"), "the tables were found: {tables:?}");

    let mut written = Vec::new();
    for service in SERVICES {
        for (module, text) in imports::modules(service) {
            let file = format!("{service}/src/{}.rs", module.join("/"));
            let words: Vec<_> = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
            for table in &tables {
                let writes = |verb: &[&str]| {
                    words
                        .windows(verb.len() + 1)
                        .any(|w| w.starts_with(verb) && w.ends_with(&[*table]))
                };
                if writes(&["INSERT", "INTO"]) || writes(&["UPDATE"]) || writes(&["DELETE", "FROM"])
                {
                    written.push((file.clone(), *table));
                }
            }
        }
    }
    let written: Vec<_> = written.iter().map(|(file, table)| (file.as_str(), *table)).collect();
    assert_eq!(
        written, WRITES_TABLES_OF_KIT,
        "kit alone writes its tables, but for two statements"
    );
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
