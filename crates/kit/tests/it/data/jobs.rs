use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kit::jobs;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{PLATFORM, metric, service_pool};

#[derive(Default)]
struct Runs {
    now: AtomicU32,
    most: AtomicU32,
    total: AtomicU32,
}

fn replica(db: &PgPool, runs: &Arc<Runs>) -> CancellationToken {
    let stop = CancellationToken::new();
    let runs = Arc::clone(runs);
    let period = Duration::from_millis(20);
    let job = move || {
        let runs = Arc::clone(&runs);
        async move {
            let now = runs.now.fetch_add(1, Ordering::SeqCst) + 1;
            runs.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            runs.now.fetch_sub(1, Ordering::SeqCst);
            runs.total.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    };
    tokio::spawn(jobs::every("replicated", period, service_pool(db), stop.clone(), job));
    stop
}

async fn more_runs(runs: &Runs) {
    let before = runs.total.load(Ordering::SeqCst);
    testkit::eventually(Duration::from_secs(10), || async {
        (runs.total.load(Ordering::SeqCst) >= before + 5).then_some(())
    })
    .await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn one_replica_runs_a_job_and_another_takes_over(db: PgPool) {
    let runs = Arc::new(Runs::default());
    let replicas = [replica(&db, &runs), replica(&db, &runs), replica(&db, &runs)];
    more_runs(&runs).await;
    for stop in &replicas[..2] {
        stop.cancel();
        more_runs(&runs).await;
    }
    assert_eq!(runs.most.load(Ordering::SeqCst), 1);
    replicas[2].cancel();
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_job_survives_its_panics_and_errors_and_they_are_counted(db: PgPool) {
    let stop = CancellationToken::new();
    let run = Arc::new(AtomicU32::new(0));
    let job = move || {
        let run = run.fetch_add(1, Ordering::SeqCst);
        async move {
            match run {
                0 => panic!("as planned"),
                1 => anyhow::bail!("as planned"),
                _ => Ok(()),
            }
        }
    };
    let period = Duration::from_millis(10);
    tokio::spawn(jobs::every("fragile", period, service_pool(&db), stop.clone(), job));
    let runs = |result| metric(&["job_runs_total", "\"fragile\"", result]);
    testkit::eventually(Duration::from_secs(5), || async { (runs("\"ok\"") >= 2.0).then_some(()) })
        .await;
    assert_eq!((runs("\"panic\""), runs("\"error\"")), (1.0, 1.0));
    assert_eq!(metric(&["panic_by_endpoint_total", "fragile"]), 1.0);
    stop.cancel();
}

#[sqlx::test(migrator = "PLATFORM")]
async fn housekeeping_deletes_what_was_kept_long_enough(db: PgPool) {
    for sql in [
        "INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body, created_at)
         SELECT 'p', 'r', h::text, sha256('x'), 200, '', now() - h * interval '1 hour'
         FROM unnest(ARRAY[71, 73]) h",
        "INSERT INTO outbox_event (id, aggregate, kind, payload, occurred_at, delivered_at)
         SELECT gen_random_uuid(), 'a', 'k', '{}', now(), now() - h * interval '1 hour'
         FROM unnest(ARRAY[71, 73, NULL]) h",
        "INSERT INTO inbox_message (consumer, event_id, received_at)
         SELECT 'c', gen_random_uuid(), now() - d * interval '1 day' FROM unnest(ARRAY[29, 31]) d",
    ] {
        sqlx::query(sql).execute(&db).await.unwrap();
    }
    let stop = CancellationToken::new();
    tokio::spawn(jobs::housekeeping(service_pool(&db), stop.clone()));
    testkit::eventually(Duration::from_secs(5), || async {
        (metric(&["job_runs_total", "housekeeping", "\"ok\""]) == 1.0).then_some(())
    })
    .await;
    let left: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM idempotency_key), (SELECT count(*) FROM outbox_event),
                (SELECT count(*) FROM inbox_message)",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(left, (1, 2, 1));
    stop.cancel();
}
