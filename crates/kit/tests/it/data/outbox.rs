use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::outbox::{self, Deliver, Event};
use kit::{inbox, postgres};
use observability::{Carrier, SpanKind, context};
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{PLATFORM, metric, noon, service_pool};

/// A consumer's answer to an event, given the number of earlier attempts.
pub(super) type Answer = fn(&Event, usize) -> anyhow::Result<()>;

/// A consumer that records its events, in order.
#[derive(Clone)]
pub(super) struct Consumer {
    pub(super) seen: Arc<Mutex<Vec<(Event, bool)>>>,
    pub(super) answer: Answer,
    /// Time that it works on each event.
    pub(super) work: Duration,
}

impl Consumer {
    pub(super) fn new(answer: Answer) -> Self {
        Self { seen: Arc::default(), answer, work: Duration::ZERO }
    }

    /// Returns the accepted events, in order.
    pub(super) fn taken(&self) -> Vec<Event> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(_, taken)| *taken).map(|(event, _)| event.clone()).collect()
    }

    pub(super) fn asked(&self, id: Uuid) -> usize {
        self.seen.lock().unwrap().iter().filter(|(event, _)| event.id == id).count()
    }

    pub(super) async fn takes(&self, count: usize) -> Vec<Event> {
        testkit::eventually(Duration::from_secs(30), || async {
            Some(self.taken()).filter(|taken| taken.len() >= count)
        })
        .await
    }
}

impl Deliver for Consumer {
    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        let before = self.asked(event.id);
        let index = {
            let mut seen = self.seen.lock().unwrap();
            seen.push((event.clone(), false));
            seen.len() - 1
        };
        tokio::time::sleep(self.work).await;
        (self.answer)(event, before)?;
        self.seen.lock().unwrap()[index].1 = true;
        Ok(())
    }
}

/// Runs a relay until dropped.
pub(super) struct Relay(CancellationToken);

impl Relay {
    pub(super) fn start(db: &PgPool, deliver: impl Deliver) -> Self {
        let stop = CancellationToken::new();
        tokio::spawn(outbox::relay(service_pool(db), deliver, stop.clone()));
        Self(stop)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

pub fn event(aggregate: &str, n: i64) -> Event {
    Event {
        id: Uuid::from_u128(rand::random()),
        aggregate: aggregate.to_owned(),
        kind: "thing.happened".to_owned(),
        payload: serde_json::json!({ "n": n }),
        occurred_at: noon(),
    }
}

pub async fn publish(db: &PgPool, event: &Event) {
    let mut tx = db.begin().await.unwrap();
    outbox::publish(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
}

/// Makes failed events due at once.
pub(super) async fn hurry(db: &PgPool) {
    let sql = "UPDATE outbox_event SET next_attempt_at = now() WHERE delivered_at IS NULL";
    sqlx::query(sql).execute(db).await.unwrap();
}

#[sqlx::test(migrator = "PLATFORM")]
async fn sixteen_writers_lose_nothing_and_keep_the_order_of_each_aggregate(db: PgPool) {
    const WRITERS: i64 = 16;
    const ROUNDS: i64 = 60;
    const AGGREGATES: i64 = 6;
    let setup = "CREATE TABLE counter (aggregate text PRIMARY KEY, n bigint NOT NULL);
                 INSERT INTO counter SELECT n::text, 0 FROM generate_series(0, 5) n;
                 GRANT SELECT, UPDATE ON counter TO points_app";
    sqlx::raw_sql(setup).execute(&db).await.unwrap();
    // Every seventh first delivery fails, every eleventh panics.
    let consumer = Consumer::new(|event, before| match event.payload["n"].as_i64().unwrap() {
        n if before == 0 && n % 7 == 0 => anyhow::bail!("as planned"),
        n if before == 0 && n % 11 == 0 => panic!("as planned"),
        _ => Ok(()),
    });
    let _relay = Relay::start(&db, consumer.clone());

    let mut config = kit::config::Postgres::new(String::new());
    config.database_acquire_timeout = Duration::from_secs(20);
    let options = (*db.connect_options()).clone().username(super::APP);
    // Sixteen wait for each other, even on a busy machine.
    let options = options.options([("lock_timeout", "20s")]);
    let pool = postgres::options(&config).connect_lazy_with(options);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let pool = pool.clone();
        writers.spawn(async move {
            let mut committed = 0;
            for round in 0..ROUNDS {
                let aggregate = ((writer + round) % AGGREGATES).to_string();
                let mut tx = pool.begin().await.unwrap();
                // Takes a transaction id before the lock, like a real command.
                sqlx::query("SELECT pg_current_xact_id()").execute(&mut *tx).await.unwrap();
                let sql = "UPDATE counter SET n = n + 1 WHERE aggregate = $1 RETURNING n";
                let n = sqlx::query_scalar(sql).bind(&aggregate).fetch_one(&mut *tx).await.unwrap();
                outbox::publish(&mut tx, &event(&aggregate, n)).await.unwrap();
                if (writer + round) % 10 == 9 {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                    committed += 1;
                }
            }
            committed
        });
    }
    let committed: usize = writers.join_all().await.into_iter().sum();
    // Every first failure costs its aggregate a pause.
    let taken = testkit::eventually(Duration::from_secs(120), || async {
        hurry(&db).await;
        Some(consumer.taken()).filter(|taken| taken.len() >= committed)
    })
    .await;

    let mut last: HashMap<String, i64> = HashMap::new();
    for event in &taken {
        let n = event.payload["n"].as_i64().unwrap();
        let last = last.entry(event.aggregate.clone()).or_default();
        assert_eq!(n, *last + 1, "aggregate {}", event.aggregate);
        *last = n;
    }
    let ids: HashSet<Uuid> = taken.iter().map(|event| event.id).collect();
    assert_eq!((taken.len(), ids.len()), (committed, committed));
}

#[sqlx::test(migrator = "PLATFORM")]
async fn poison_is_parked_and_only_its_own_aggregate_waits(db: PgPool) {
    let consumer = Consumer::new(|event, _| {
        anyhow::ensure!(event.payload["n"] != 13, "unlucky");
        Ok(())
    });
    let [before, poison, after, other] =
        [event("a", 1), event("a", 13), event("a", 2), event("b", 1)];
    for event in [&before, &poison, &after, &other] {
        publish(&db, event).await;
    }
    let _relay = Relay::start(&db, consumer.clone());
    // While others of its kind are accepted.
    testkit::eventually(Duration::from_secs(30), || async {
        publish(&db, &event("others", 1)).await;
        hurry(&db).await;
        (metric(&["outbox_parked_total"]) == 1.0).then_some(())
    })
    .await;
    assert!(consumer.asked(poison.id) >= 10);
    testkit::eventually(Duration::from_secs(10), || async {
        // The event behind the parked one waits.
        (metric(&["outbox_pending "]) == 1.0).then_some(())
    })
    .await;
    let others = consumer.taken().iter().filter(|event| event.aggregate == "others").count();
    let parked_now = async |count: f64| {
        testkit::eventually(Duration::from_secs(10), || async {
            (metric(&["outbox_parked "]) == count).then_some(())
        })
        .await;
    };
    parked_now(1.0).await;
    let late = event("c", 1);
    publish(&db, &late).await;
    let taken = consumer.takes(others + 3).await;
    let taken = taken.iter().filter(|event| event.aggregate != "others").map(|event| event.id);
    assert_eq!(taken.collect::<HashSet<Uuid>>(), HashSet::from([before.id, other.id, late.id]));
    let error: String = sqlx::query_scalar("SELECT last_error FROM outbox_event WHERE id = $1")
        .bind(poison.id)
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(error, "failed", "the text of an error may be about a person");

    // An operator has repaired the consumer (here: the event) and releases it.
    sqlx::query("UPDATE outbox_event SET parked_at = NULL, attempts = 0, payload = '{}', next_attempt_at = now() WHERE id = $1")
        .bind(poison.id)
        .execute(&db)
        .await
        .unwrap();
    let taken = consumer.takes(others + 5).await;
    assert_eq!((taken[others + 3].id, taken[others + 4].id), (poison.id, after.id));
    parked_now(0.0).await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_consumer_that_is_away_is_no_reason_to_park(db: PgPool) {
    let consumer = Consumer::new(|_, before| {
        if before < 15 {
            return Err(tonic::Status::unavailable("away").into());
        }
        Ok(())
    });
    let event = event("a", 1);
    publish(&db, &event).await;
    let _relay = Relay::start(&db, consumer.clone());
    testkit::eventually(Duration::from_secs(30), || async {
        hurry(&db).await;
        (!consumer.taken().is_empty()).then_some(())
    })
    .await;
    assert_eq!(consumer.asked(event.id), 16);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_rolled_back_transaction_emits_nothing(db: PgPool) {
    let consumer = Consumer::new(|_, _| Ok(()));
    let _relay = Relay::start(&db, consumer.clone());
    for n in 0..20 {
        let mut tx = db.begin().await.unwrap();
        outbox::publish(&mut tx, &event("a", n)).await.unwrap();
        tx.rollback().await.unwrap();
    }
    publish(&db, &event("a", 99)).await;
    let taken = consumer.takes(1).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].payload["n"], 99);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_panicking_consumer_is_asked_again_and_counted(db: PgPool) {
    let consumer = Consumer::new(|_, before| {
        assert!(before > 0, "as planned");
        Ok(())
    });
    publish(&db, &event("a", 1)).await;
    let _relay = Relay::start(&db, consumer.clone());
    consumer.takes(1).await;
    assert_eq!(metric(&["panic_by_endpoint_total", "outbox"]), 1.0);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn an_event_waits_for_what_may_still_be_published_before_it(db: PgPool) {
    let consumer = Consumer::new(|_, _| Ok(()));
    let _relay = Relay::start(&db, consumer.clone());
    let mut slow = db.begin().await.unwrap();
    outbox::publish(&mut slow, &event("a", 1)).await.unwrap();
    publish(&db, &event("a", 2)).await;
    // The relay polls more often than it measures, so it has polled since.
    testkit::eventually(Duration::from_secs(10), || async {
        (metric(&["outbox_pending"]) == 1.0).then_some(())
    })
    .await;
    slow.commit().await.unwrap();
    let order: Vec<_> =
        consumer.takes(2).await.iter().map(|event| event.payload["n"].clone()).collect();
    assert_eq!(order, [1, 2]);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn one_relay_delivers_and_another_takes_over_within_two_seconds(db: PgPool) {
    // Slow enough for two relays to interfere.
    let work = Duration::from_millis(20);
    let consumer = Consumer { work, ..Consumer::new(|_, _| Ok(())) };
    let first = Relay::start(&db, consumer.clone());
    publish(&db, &event("a", 0)).await;
    consumer.takes(1).await;
    let _second = Relay::start(&db, consumer.clone());
    for n in 1..50 {
        publish(&db, &event("a", n)).await;
    }
    let all = async |count| {
        testkit::eventually(Duration::from_secs(10), || async {
            let ids: HashSet<Uuid> = consumer.taken().iter().map(|event| event.id).collect();
            (ids.len() == count).then_some(())
        })
        .await;
    };
    all(50).await;
    drop(first);
    publish(&db, &event("a", 50)).await;
    let began = tokio::time::Instant::now();
    all(51).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(consumer.taken().len(), 51, "none was delivered by both");
}

/// The number of open transactions, the trace, the correlation id.
type Seen = (i64, Option<String>, Option<String>);

/// Counts open transactions during a delivery, and records the delivery's context.
#[derive(Clone)]
struct Observer {
    db: PgPool,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Deliver for Observer {
    async fn deliver(&self, _: &Event) -> anyhow::Result<()> {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND usename = 'points_app' AND state LIKE '%in transaction%'";
        let open = sqlx::query_scalar(sql).fetch_one(&self.db).await?;
        let ids = (open, context::trace_id(), context::correlation_id());
        self.seen.lock().unwrap().push(ids);
        Ok(())
    }
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_delivery_continues_the_publishers_trace_with_no_transaction_open(db: PgPool) {
    let observer = Observer { db: db.clone(), seen: Arc::default() };
    let _relay = Relay::start(&db, observer.clone());
    let ids = Carrier::default()
        .scope("request", SpanKind::Server, async {
            publish(&db, &event("a", 1)).await;
            (0, context::trace_id(), context::correlation_id())
        })
        .await;
    assert!(ids.1.is_some() && ids.2.is_some());
    let seen = testkit::eventually(Duration::from_secs(10), || async {
        Some(observer.seen.lock().unwrap().clone()).filter(|seen| !seen.is_empty())
    })
    .await;
    assert_eq!(seen, [ids]);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_consumer_knows_an_event_it_has_seen(db: PgPool) {
    let pool = service_pool(&db);
    let id = Uuid::from_u128(1);
    async fn first(tx: &mut PgConnection, consumer: &str, id: Uuid) -> bool {
        inbox::first_time(tx, consumer, id).await.unwrap()
    }
    let mut tx = postgres::begin(&pool).await.unwrap();
    assert!(first(&mut tx, "a", id).await);
    tx.rollback().await.unwrap();
    let mut tx = postgres::begin(&pool).await.unwrap();
    assert!(first(&mut tx, "a", id).await, "the effect was rolled back, so it may come again");
    assert!(!first(&mut tx, "a", id).await);
    assert!(first(&mut tx, "b", id).await);
    postgres::commit(tx).await.unwrap();
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_relay_that_panics_itself_starts_again(db: PgPool) {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    let pool = sqlx::postgres::PgPoolOptions::new().before_acquire(|_, _| {
        assert!(PANICKED.swap(true, Ordering::SeqCst), "as planned");
        Box::pin(async { Ok(true) })
    });
    let pool = pool.connect_lazy_with((*db.connect_options()).clone().username(super::APP));
    let (consumer, stop) = (Consumer::new(|_, _| Ok(())), CancellationToken::new());
    tokio::spawn(outbox::relay(pool, consumer.clone(), stop.clone()));
    testkit::eventually(Duration::from_secs(10), || async {
        (metric(&["task_restarts_total", "\"outbox\""]) == 1.0).then_some(())
    })
    .await;
    let thing = event("one", 1);
    publish(&db, &thing).await;
    assert_eq!(consumer.takes(1).await[0].id, thing.id);
    stop.cancel();
}
