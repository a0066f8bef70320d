//! The relay that delivers many events at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::outbox::{self, DeliverAll, Event};
use observability::{Carrier, SpanKind};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{PLATFORM, metric, noon, service_pool};

/// A log that fails, and panics, as often as it is told to.
#[derive(Clone, Default)]
struct Log {
    taken: Arc<Mutex<Vec<(Event, Carrier)>>>,
    calls: Arc<AtomicUsize>,
}

impl DeliverAll for Log {
    async fn deliver_all(&self, events: &[(Event, Carrier)]) -> anyhow::Result<()> {
        match self.calls.fetch_add(1, Ordering::Relaxed) {
            0 => anyhow::bail!("as planned"),
            1 => panic!("as planned"),
            _ => self.taken.lock().unwrap().extend_from_slice(events),
        }
        Ok(())
    }
}

fn event(aggregate: &str, n: i64) -> Event {
    Event {
        id: Uuid::from_u128(rand::random()),
        aggregate: aggregate.to_owned(),
        kind: "thing.happened".to_owned(),
        payload: serde_json::json!({ "n": n }),
        occurred_at: noon(),
    }
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_log_takes_every_event_once_in_the_order_of_its_aggregate(db: PgPool) {
    const WRITERS: i64 = 16;
    const ROUNDS: i64 = 60;
    let setup = "CREATE TABLE counter (aggregate text PRIMARY KEY, n bigint NOT NULL);
                 INSERT INTO counter SELECT n::text, 0 FROM generate_series(0, 5) n;
                 GRANT SELECT, UPDATE ON counter TO points_app";
    sqlx::raw_sql(setup).execute(&db).await.unwrap();
    let (log, stop) = (Log::default(), CancellationToken::new());
    tokio::spawn(outbox::relay_batches(service_pool(&db), log.clone(), stop.clone()));
    let _stop = stop.drop_guard();

    let mut config = kit::config::Postgres::new(String::new());
    config.database_acquire_timeout = Duration::from_secs(20);
    let options = (*db.connect_options()).clone().username(super::APP);
    let options = options.options([("lock_timeout", "20s")]);
    let pool = kit::postgres::options(&config).connect_lazy_with(options);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let pool = pool.clone();
        writers.spawn(async move {
            for round in 0..ROUNDS {
                let aggregate = ((writer + round) % 6).to_string();
                let mut tx = pool.begin().await.unwrap();
                // Takes a transaction id before the lock, as a real command may.
                sqlx::query("SELECT pg_current_xact_id()").execute(&mut *tx).await.unwrap();
                let sql = "UPDATE counter SET n = n + 1 WHERE aggregate = $1 RETURNING n";
                let n = sqlx::query_scalar(sql).bind(&aggregate).fetch_one(&mut *tx).await.unwrap();
                outbox::publish(&mut tx, &event(&aggregate, n)).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
    }
    writers.join_all().await;

    let count = usize::try_from(WRITERS * ROUNDS).unwrap();
    testkit::eventually(Duration::from_secs(60), || async {
        (log.taken.lock().unwrap().len() >= count).then_some(())
    })
    .await;
    let mut last: HashMap<String, i64> = HashMap::new();
    for (event, _) in &*log.taken.lock().unwrap() {
        let n = event.payload["n"].as_i64().unwrap();
        assert_eq!(
            n,
            last.get(&event.aggregate).unwrap_or(&0) + 1,
            "aggregate {}",
            event.aggregate
        );
        last.insert(event.aggregate.clone(), n);
    }
    assert_eq!(log.taken.lock().unwrap().len(), count, "none twice");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn an_event_brings_the_context_it_was_published_in(db: PgPool) {
    let (log, stop) = (Log::default(), CancellationToken::new());
    let published = Carrier::default()
        .scope("request", SpanKind::Server, async {
            let mut tx = db.begin().await.unwrap();
            outbox::publish(&mut tx, &event("a", 1)).await.unwrap();
            tx.commit().await.unwrap();
            Carrier::current()
        })
        .await;
    tokio::spawn(outbox::relay_batches(service_pool(&db), log.clone(), stop.clone()));
    let _stop = stop.drop_guard();
    let carrier = testkit::eventually(Duration::from_secs(30), || async {
        log.taken.lock().unwrap().first().map(|(_, carrier)| carrier.clone())
    })
    .await;
    assert!(!carrier.traceparent.is_empty());
    assert_eq!(carrier, published);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_log_waits_for_what_may_still_be_published_before_it(db: PgPool) {
    let (log, stop) = (Log::default(), CancellationToken::new());
    log.calls.store(2, Ordering::Relaxed);
    tokio::spawn(outbox::relay_batches(service_pool(&db), log.clone(), stop.clone()));
    let _stop = stop.drop_guard();
    let mut slow = db.begin().await.unwrap();
    outbox::publish(&mut slow, &event("a", 1)).await.unwrap();
    let mut quick = db.begin().await.unwrap();
    outbox::publish(&mut quick, &event("a", 2)).await.unwrap();
    quick.commit().await.unwrap();
    // The relay polls more often than it measures, so it has passed by since.
    testkit::eventually(Duration::from_secs(10), || async {
        (metric(&["outbox_pending"]) == 1.0).then_some(())
    })
    .await;
    slow.commit().await.unwrap();
    let order = testkit::eventually(Duration::from_secs(10), || async {
        let taken = log.taken.lock().unwrap();
        let order: Vec<_> = taken.iter().map(|(event, _)| event.payload["n"].clone()).collect();
        (order.len() == 2).then_some(order)
    })
    .await;
    assert_eq!(order, [1, 2]);
}
