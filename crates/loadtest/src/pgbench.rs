//! PostgreSQL's own benchmark, writing the same rows as we do: the measure of what is possible.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::closed_loop::Figures;

/// Runs the script by so many clients at once.
pub async fn run(
    url: &str,
    script: &str,
    clients: usize,
    each: Duration,
) -> anyhow::Result<Figures> {
    let dir = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("script"), script)?;
    let output = Command::new("pgbench")
        .current_dir(&dir)
        .args(["--no-vacuum", "--protocol=prepared", "--log", "--file=script", "--jobs=1"])
        .args(["--client", &clients.to_string(), "--time", &each.as_secs().to_string(), url])
        .stderr(Stdio::piped())
        .output()
        .await
        .context("pgbench comes with PostgreSQL")?;
    ensure!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    let mut latencies = Vec::new();
    for file in std::fs::read_dir(&dir)? {
        let file = file?.path();
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgbench_log")) {
            let log = std::fs::read_to_string(file)?;
            latencies.extend(
                log.lines()
                    .filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok())
                    .map(|micros| micros / 1e3),
            );
        }
    }
    std::fs::remove_dir_all(&dir)?;
    Figures::of(latencies, 0, each)
}
