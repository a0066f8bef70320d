//! PostgreSQL's own benchmark, writing the same rows: the measure of what is possible.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::client::Figures;

const ROW: &str = r"INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status, price_minor, created_at, updated_at, service_id, buffer_minutes) SELECT gen_random_uuid(), ('00000000-0000-7000-8000-0001' || lpad(to_hex((:s)::int / 20), 8, '0'))::uuid, ('00000000-0000-7000-8000-0003' || lpad(to_hex((:s)::int), 8, '0'))::uuid, gen_random_uuid(), tstzrange(at, at + interval '30 minutes', '[)'), 'confirmed', 0, now(), now(), NULL, 0 FROM (SELECT date_trunc('day', now()) + interval '62 days' + (:k)::int * interval '15 minutes' AS at) x ON CONFLICT DO NOTHING RETURNING booking_id;
";

const DRAW: &str = "\\set s random(0, 999)\n\\set k random(0, 32000)\n";

/// The same insert, and nothing else.
pub(crate) fn insert() -> String {
    format!("{DRAW}{ROW}")
}

/// The same insert with the key that makes it safe to repeat, a statement at a time, as a service that
/// follows the textbook does.
pub(crate) fn textbook() -> String {
    format!(
        "{DRAW}BEGIN;\n{ROW}INSERT INTO idempotency_key (principal, route, key, fingerprint, status, \
         body) VALUES ('bench', 'POST /v1/bookings', gen_random_uuid()::text, \
         decode(repeat('00', 32), 'hex'), 201, '');\nCOMMIT;\n"
    )
}

pub(crate) async fn run(
    url: &str,
    script: &str,
    clients: usize,
    each: Duration,
) -> anyhow::Result<Figures> {
    let dir = std::env::temp_dir().join(format!("bench-booking-{}", std::process::id()));
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
            let micros = log.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok());
            latencies.extend(micros.map(|micros| micros / 1e3));
        }
    }
    std::fs::remove_dir_all(&dir)?;
    Figures::of(latencies, 0, each)
}
