//! PostgreSQL's own benchmark, writing the same rows as our earn: the measure of what is possible.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::client::Figures;

/// A statement at a time, as a service that follows the textbook does.
pub(crate) const TEXTBOOK: &str = r"\set n random(0, 99999)
BEGIN;
INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body) VALUES ('bench', 'POST /earn', gen_random_uuid()::text, decode(repeat('00', 32), 'hex'), 201, '');
SELECT account_id AS id, version + 1 AS version, earned + 1 - used - held AS balance, gen_random_uuid() AS transfer FROM account WHERE account_id = ('00000000-0000-7000-8000-' || lpad(to_hex((:n)::int), 12, '0'))::uuid FOR UPDATE \gset
UPDATE account SET earned = earned + 1, version = version + 1 WHERE account_id = (:id)::uuid;
INSERT INTO transfer (transfer_id, kind, reference, merchant_id, occurred_at) VALUES ((:transfer)::uuid, 'earn', 'bench', '00000000-0000-0000-0000-000000000000', now());
INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance) VALUES (gen_random_uuid(), (:transfer)::uuid, (:id)::uuid, NULL, 1, (:version)::bigint, (:balance)::bigint), (gen_random_uuid(), (:transfer)::uuid, NULL, 'issuance', -1, NULL, NULL);
COMMIT;
";

/// Everything in one statement: the best that a command by itself can do.
pub(crate) const SINGLE: &str = r"\set n random(0, 99999)
WITH a AS (UPDATE account SET earned = earned + 1, version = version + 1 WHERE account_id = ('00000000-0000-7000-8000-' || lpad(to_hex((:n)::int), 12, '0'))::uuid RETURNING account_id, version, earned - used - held AS balance), k AS (INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body) VALUES ('bench', 'POST /earn', gen_random_uuid()::text, decode(repeat('00', 32), 'hex'), 201, '')), t AS (INSERT INTO transfer (transfer_id, kind, reference, merchant_id, occurred_at) VALUES (gen_random_uuid(), 'earn', 'bench', '00000000-0000-0000-0000-000000000000', now()) RETURNING transfer_id) INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance) SELECT gen_random_uuid(), t.transfer_id, a.account_id, NULL, 1, a.version, a.balance FROM a, t UNION ALL SELECT gen_random_uuid(), t.transfer_id, NULL, 'issuance', -1, NULL, NULL FROM t;
";

pub(crate) async fn run(
    url: &str,
    script: &str,
    clients: usize,
    each: Duration,
) -> anyhow::Result<Figures> {
    let dir = std::env::temp_dir().join(format!("bench-points-{}", std::process::id()));
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
            latencies
                .extend(log.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok()));
        }
    }
    std::fs::remove_dir_all(&dir)?;
    ensure!(!latencies.is_empty(), "pgbench did nothing");
    latencies.sort_by(f64::total_cmp);
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100] / 1e3;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let per_second = latencies.len() as f64 / each.as_secs_f64();
    Ok(Figures { per_second, p50: at(50), p99: at(99), failed: 0 })
}
