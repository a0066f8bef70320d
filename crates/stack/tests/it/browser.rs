//! The pages in a real browser, on a real system: `scripts/browser/test.mjs` tells the story.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use stack::demo::people;
use tokio::process::Command;

use crate::bench::Bench;
use crate::load::operator;

/// The first of these programs that is here.
fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    let mut files = names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    files.find(|file| file.is_file())
}

/// Says what was not done, also where a test that passes is not heard.
#[expect(clippy::explicit_write, reason = "the test harness would keep what eprintln says")]
fn skip(why: &str) {
    writeln!(std::io::stderr(), "SKIP  the pages in a browser: {why}").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_it_live_and_work_through_it_in_a_browser() {
    let browsers = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let Some(chromium) = program(&browsers) else {
        return skip("no Chromium (Debian: apt-get install chromium)");
    };
    let Some(node) = program(&["node", "nodejs"]) else {
        return skip("no Node.js (Debian: apt-get install nodejs)");
    };
    let bench = Bench::new("browser").await;
    let scripts = bench.place.workspace.join("scripts");
    // Without it the story is told all the same.
    let axe = Command::new(scripts.join("axe")).output().await.unwrap();
    assert_ne!(axe.status.code(), Some(65), "{}", String::from_utf8_lossy(&axe.stderr));
    if !axe.status.success() {
        skip(&format!("axe-core: {}", String::from_utf8_lossy(&axe.stderr).trim()));
    }
    bench.up().await;

    let pictures = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&pictures).unwrap();
    let token = fs::read_to_string(bench.place.secrets().join("alert_webhook_token")).unwrap();
    let operator = operator(&bench, &reqwest::Client::new(), "incidents").await;
    let auth = bench.process("auth").pid;
    let output = Command::new(node)
        .arg(scripts.join("browser/test.mjs"))
        .env("SITE", bench.url("incidents", ""))
        .env("WEBHOOK_TOKEN", token)
        .env("OPERATOR_TOKEN", operator)
        .env("EMAIL", "operator@example.com")
        .env("PASSWORD", people::password(&bench.place).unwrap())
        .env("STOP_AUTH", format!("kill -STOP {auth}"))
        .env("START_AUTH", format!("kill -CONT {auth}"))
        .env("CHROMIUM", chromium)
        .env("AXE", String::from_utf8_lossy(&axe.stdout).trim())
        .env("PICTURES", &pictures)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}pictures of every page: {}", pictures.display());
    assert!(output.status.success(), "{said}{wrong}");
}
