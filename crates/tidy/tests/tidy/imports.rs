//! The modules of a service form no import cycle: each can be read, and moved, after those that it names.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{SERVICES, code, files, name, none, read};

/// A module's path below `src`: `["app", "hold"]` for `src/app/hold.rs`, empty for `lib.rs`.
pub type Module = Vec<String>;

#[test]
fn the_modules_of_a_service_form_no_import_cycle() {
    let mut broken = Vec::new();
    for service in SERVICES {
        for used in siblings(&imports(&modules(service))).into_values() {
            let cycle = cycle(used);
            if !cycle.is_empty() {
                broken.push(format!("{service}: {}", cycle.join(" → ")));
            }
        }
    }
    none("no import cycle between the modules of a service", &broken);
}

#[test]
fn a_cycle_is_found_through_a_re_export() {
    let tree = [
        ("app", "mod hold;\nmod slots;\npub use slots::{Free, Slot as Gap};"),
        ("app/hold", "use super::{App, Free};"),
        ("app/slots", "use crate::store;\nfn f() { crate::app::hold::g() }"),
        ("store", "use crate::{\n    domain::{self, Booking},\n};"),
        ("domain", ""),
    ];
    let modules = tree.map(|(path, text)| (module(path), text.to_owned())).into();
    let siblings = siblings(&imports(&modules));
    assert_eq!(cycle(siblings["app"].clone()), ["app/hold", "app/slots", "app/hold"]);
    assert!(cycle(siblings[""].clone()).is_empty());
}

/// The source text of each module of a crate, without comments and unit tests.
pub fn modules(krate: &str) -> BTreeMap<Module, String> {
    let src = format!("crates/{krate}/src");
    let mut found = BTreeMap::new();
    for file in files(&src, "rs") {
        let path = name(&file);
        let path = path[src.len() + 1..].trim_end_matches(".rs");
        if path != "main" && !path.starts_with("bin/") {
            found.insert(module(if path == "lib" { "" } else { path }), code(&read(&file)));
        }
    }
    found
}

/// The paths into its own crate that each module names, from the crate's root, re-exports resolved.
pub fn imports(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    let mut exports = BTreeMap::new();
    for (module, text) in modules {
        let paths = found.entry(module.clone()).or_default();
        for (path, is_export) in named(text) {
            let Some(target) = absolute(module, &path, modules) else { continue };
            if let (true, Some(item)) = (is_export, target.last()) {
                exports.insert(
                    [module.as_slice(), std::slice::from_ref(item)].concat(),
                    target.clone(),
                );
            }
            paths.insert(target);
        }
    }
    for paths in found.values_mut() {
        *paths = paths.iter().map(|path| resolve(path, &exports)).collect();
    }
    found
}

/// For each folder, which of its modules names which.
fn siblings(
    imports: &BTreeMap<Module, BTreeSet<Module>>,
) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut found = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
    for (from, path) in
        imports.iter().flat_map(|(from, to)| to.iter().map(move |path| (from, path)))
    {
        // The module that the path leads to: the rest of it is an item.
        let longest = (0..=path.len()).rev().find(|n| imports.contains_key(&path[..*n]));
        let to = &path[..longest.unwrap_or_default()];
        let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if shared < from.len() && shared < to.len() {
            let folder = found.entry(from[..shared].join("/")).or_default();
            folder.entry(from[..=shared].join("/")).or_default().insert(to[..=shared].join("/"));
        }
    }
    found
}

/// One way from a module back to itself; empty if there is none.
fn cycle(mut uses: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    // A module that names no other of those left is in no cycle.
    loop {
        let left: BTreeSet<_> = uses.keys().cloned().collect();
        uses.retain(|_, used| {
            used.retain(|module| left.contains(module));
            !used.is_empty()
        });
        if uses.len() == left.len() {
            break;
        }
    }
    let mut way = Vec::new();
    let mut next = uses.keys().next();
    while let Some(module) = next {
        let start = way.iter().position(|seen| seen == module);
        way.push(module.clone());
        if let Some(start) = start {
            return way.split_off(start);
        }
        next = uses[module].first();
    }
    way
}

/// Every path that the text names, and whether it is a re-export.
fn named(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for statement in text.split_inclusive(';') {
        let mut rest = statement;
        let mut start = 0;
        for line in statement.split_inclusive('\n') {
            let line_start = start;
            start += line.len();
            let is_export = line.trim_start().starts_with("pub");
            let Some(at) = line.find("use ") else { continue };
            let before = line[..at].trim();
            if before.is_empty() || before == "pub" || is_export && before.ends_with(')') {
                let tree = statement[line_start + at + 4..].trim_end_matches(';');
                let mut paths = Vec::new();
                expand("", tree, &mut paths);
                found.extend(paths.into_iter().map(|path| (path, is_export)));
                rest = &statement[..line_start];
                break;
            }
        }
        for root in ["crate::", "super::"] {
            for (at, _) in rest.match_indices(root) {
                let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                if !rest[..at].ends_with(is_path) {
                    let path = rest[at..].split(|c| !is_path(c)).next().unwrap();
                    found.push((path.trim_end_matches(':').to_owned(), false));
                }
            }
        }
    }
    found
}

/// `a::{b, c::{d, e as f}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, body)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        return found.push(format!("{prefix}{path}"));
    };
    let prefix = format!("{prefix}{}", head.trim());
    let body = body.rsplit_once('}').unwrap().0;
    let mut depth = 0;
    let parts = body.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for part in parts.filter(|part| !part.trim().is_empty()) {
        expand(&prefix, part, found);
    }
}

/// The path from the crate's root; `None` for what another crate exports.
fn absolute(module: &Module, path: &str, modules: &BTreeMap<Module, String>) -> Option<Module> {
    let mut base = module.clone();
    let mut segments = path.split("::").peekable();
    match segments.peek().copied()? {
        "crate" => {
            base.clear();
            segments.next();
        }
        "self" => {
            segments.next();
        }
        "super" => {
            while segments.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
        child => {
            base.push(child.to_owned());
            modules.get(&base)?;
            base.pop();
        }
    }
    base.extend(segments.filter(|segment| *segment != "self").map(str::to_owned));
    Some(base)
}

/// Follows re-exports to the module that defines the item.
fn resolve(path: &Module, exports: &BTreeMap<Module, Module>) -> Module {
    let mut path = path.clone();
    for _ in 0..5 {
        let Some((length, target)) = (1..=path.len()).rev().find_map(|n| {
            let target = exports.get(&path[..n])?;
            (target[..] != path[..n]).then_some((n, target))
        }) else {
            break;
        };
        path = [target.as_slice(), &path[length..]].concat();
    }
    path
}

fn module(path: &str) -> Module {
    path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
