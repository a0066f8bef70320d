//! Small files, short handlers, nothing unfinished.

use crate::files::{SERVICES, files, name, none, read, root};

const FILE_LINES: usize = 400;
const MAIN_LINES: usize = 30;
const HANDLER_LINES: usize = 25;

/// Names that do not describe the content.
const VAGUE: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];

#[test]
fn no_file_is_longer_than_a_sitting() {
    let mut broken = Vec::new();
    for file in files("crates", "rs") {
        let lines = read(&file).lines().count();
        let most = if file.ends_with("src/main.rs") { MAIN_LINES } else { FILE_LINES };
        if lines > most {
            broken.push(format!("{} has {lines} lines, {most} allowed", name(&file)));
        }
    }
    none("files are small", &broken);
}

#[test]
fn a_handler_fits_on_a_screen() {
    let mut broken = Vec::new();
    for service in SERVICES {
        let folder = format!("crates/{service}/src");
        for file in files(&folder, "rs").iter().filter(|f| name(f).contains("/http")) {
            for (function, lines) in functions(&read(file)) {
                if lines > HANDLER_LINES {
                    broken.push(format!("{}: {function} has {lines} lines", name(file)));
                }
            }
        }
    }
    none("handlers only translate", &broken);
}

#[test]
fn a_module_is_named_after_what_it_holds() {
    let broken: Vec<_> = files("crates", "rs")
        .iter()
        .filter(|file| file.components().any(|c| VAGUE.iter().any(|v| stem(c.as_os_str()) == *v)))
        .map(|file| name(file))
        .collect();
    none("no common, utils or helpers", &broken);
}

#[test]
fn nothing_is_left_to_do() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["#[ign", "ore"].concat()];
    let mut broken = Vec::new();
    for file in files("crates", "rs") {
        for (number, line) in read(&file).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                broken.push(format!("{}:{}", name(&file), number + 1));
            }
        }
    }
    none("nothing is unfinished", &broken);
}

#[test]
fn the_four_services_have_one_shape() {
    let shape = [
        "app.rs",
        "config.rs",
        "domain.rs",
        "grpc.rs",
        "http.rs",
        "lib.rs",
        "main.rs",
        "service.rs",
        "store.rs",
    ];
    let mut broken = Vec::new();
    for service in SERVICES {
        for file in shape {
            let path = root().join("crates").join(service).join("src").join(file);
            if !path.is_file() {
                broken.push(name(&path));
            }
        }
    }
    none("the four services have the same files", &broken);
}

fn stem(file: &std::ffi::OsStr) -> String {
    file.to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The name and length of every top-level function, by rustfmt's layout: it starts in the first
/// column and ends with a brace there.
fn functions(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let starts = ["fn ", "async fn ", "pub fn ", "pub(crate) fn ", "pub async fn "];
        if starts.iter().any(|start| line.starts_with(start)) {
            let function = line.split("fn ").nth(1).unwrap().split(['(', '<']).next().unwrap();
            open = Some((function.to_owned(), number));
        }
        if line == "}"
            && let Some((function, start)) = open.take()
        {
            found.push((function, number - start + 1));
        }
    }
    found
}
