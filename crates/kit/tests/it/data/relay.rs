//! The relay with a failing consumer, with foreign rows, and at the end of its leadership.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::outbox::{Deliver, Event};
use sqlx::PgPool;
use tonic::{Code, Status};
use uuid::Uuid;

use super::outbox::{Consumer, Relay, event, hurry, publish};
use super::{PLATFORM, metric};

/// A consumer that fails with this code until repaired, and always for event 13.
#[derive(Clone)]
struct Broken {
    code: Code,
    /// The failed deliveries of each event.
    failures: Arc<Mutex<HashMap<Uuid, u32>>>,
    repaired: Arc<AtomicBool>,
    inner: Consumer,
}

impl Broken {
    fn with(code: Code) -> Self {
        let inner = Consumer::new(|_, _| Ok(()));
        Self { code, failures: Arc::default(), repaired: Arc::default(), inner }
    }
}

impl Deliver for Broken {
    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        if !self.repaired.load(Ordering::SeqCst) || event.payload["n"] == 13 {
            *self.failures.lock().unwrap().entry(event.id).or_default() += 1;
            return Err(Status::new(self.code, "as planned").into());
        }
        self.inner.deliver(event).await
    }
}

async fn attempts(db: &PgPool) -> i32 {
    let most = "SELECT coalesce(max(attempts), 0) FROM outbox_event WHERE delivered_at IS NULL";
    sqlx::query_scalar(most).fetch_one(db).await.unwrap()
}

async fn tried(db: &PgPool) -> i64 {
    let tried = "SELECT count(*) FROM outbox_event WHERE attempts > 0";
    sqlx::query_scalar(tried).fetch_one(db).await.unwrap()
}

async fn an_outage(db: &PgPool, code: Code) {
    let consumer = Broken::with(code);
    for n in 0..12 {
        publish(db, &event(&format!("aggregate {n}"), n)).await;
    }
    let relay = Relay::start(db, consumer.clone());
    testkit::eventually(Duration::from_secs(30), || async {
        (tried(db).await == 12).then_some(())
    })
    .await;
    // Each of them fails far more often than poison may.
    testkit::eventually(Duration::from_secs(60), || async {
        hurry(db).await;
        let failures = consumer.failures.lock().unwrap();
        (failures.len() == 12 && failures.values().all(|count| *count >= 20)).then_some(())
    })
    .await;
    assert_eq!(metric(&["outbox_parked_total"]), 0.0, "{code:?}");
    assert_eq!(attempts(db).await, 1, "{code:?}: an outage uses up no attempt");

    consumer.repaired.store(true, Ordering::SeqCst);
    testkit::eventually(Duration::from_secs(30), || async {
        hurry(db).await;
        (consumer.inner.taken().len() == 12).then_some(())
    })
    .await;
    drop(relay);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_consumer_that_fails_for_everybody_is_away_and_nothing_is_parked(db: PgPool) {
    an_outage(&db, Code::Internal).await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_consumer_that_does_not_know_us_is_away_and_nothing_is_parked(db: PgPool) {
    an_outage(&db, Code::Unauthenticated).await;
}

/// A consumer of the wrong version, or restored without its data.
#[sqlx::test(migrator = "PLATFORM")]
async fn a_consumer_that_refuses_everybody_is_away_and_nothing_more_is_parked(db: PgPool) {
    for code in [Code::NotFound, Code::Unimplemented] {
        an_outage(&db, code).await;
    }
}

#[sqlx::test(migrator = "PLATFORM")]
async fn several_poison_events_are_parked_while_few_others_are_taken(db: PgPool) {
    for code in [Code::Internal, Code::Unavailable] {
        let parked = metric(&["outbox_parked_total"]);
        let consumer = Broken::with(code);
        consumer.repaired.store(true, Ordering::SeqCst);
        for n in 0..7 {
            publish(&db, &event(&format!("{code:?} {n}"), 13)).await;
        }
        let _relay = Relay::start(&db, consumer.clone());
        testkit::eventually(Duration::from_secs(60), || async {
            publish(&db, &event("healthy", 1)).await;
            hurry(&db).await;
            (metric(&["outbox_parked_total"]) - parked == 7.0).then_some(())
        })
        .await;
    }
}

#[sqlx::test(migrator = "PLATFORM")]
async fn events_that_fail_keep_no_others_from_their_turn(db: PgPool) {
    /// Fails slowly for event 13.
    struct Slow(Consumer);
    impl Deliver for Slow {
        async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
            if event.payload["n"] == 13 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                anyhow::bail!("as planned");
            }
            self.0.deliver(event).await
        }
    }
    for n in 0..400 {
        publish(&db, &event(&n.to_string(), 13)).await;
    }
    // Each event has failed, and is due again.
    let failed = "UPDATE outbox_event SET attempts = 1";
    sqlx::query(failed).execute(&db).await.unwrap();
    let consumer = Consumer::new(|_, _| Ok(()));
    let _relay = Relay::start(&db, Slow(consumer.clone()));
    publish(&db, &event("healthy", 1)).await;
    testkit::eventually(Duration::from_secs(10), || async {
        (consumer.taken().len() == 1).then_some(())
    })
    .await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn an_event_that_fails_while_others_are_taken_is_parked(db: PgPool) {
    let consumer = Broken::with(Code::Internal);
    consumer.repaired.store(true, Ordering::SeqCst);
    let poison = event("poisoned", 13);
    publish(&db, &poison).await;
    let _relay = Relay::start(&db, consumer.clone());
    testkit::eventually(Duration::from_secs(30), || async {
        publish(&db, &event("healthy", 1)).await;
        hurry(&db).await;
        (metric(&["outbox_parked_total"]) == 1.0).then_some(())
    })
    .await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn what_its_consumer_refuses_is_parked_though_it_is_alone(db: PgPool) {
    let consumer = Broken::with(Code::FailedPrecondition);
    publish(&db, &event("alone", 1)).await;
    let _relay = Relay::start(&db, consumer);
    testkit::eventually(Duration::from_secs(30), || async {
        hurry(&db).await;
        (metric(&["outbox_parked_total"]) == 1.0).then_some(())
    })
    .await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn an_event_of_another_cluster_is_delivered(db: PgPool) {
    let consumer = Consumer::new(|_, _| Ok(()));
    let [restored, new] = [event("a", 1), event("a", 2)];
    publish(&db, &restored).await;
    // As restored by `pg_dump`: this cluster will reach that id in some years.
    let elsewhere = "UPDATE outbox_event SET xid = '9000000000'";
    sqlx::query(elsewhere).execute(&db).await.unwrap();
    publish(&db, &new).await;
    let _relay = Relay::start(&db, consumer.clone());
    let order: Vec<_> = consumer.takes(2).await.iter().map(|event| event.id).collect();
    assert_eq!(order, [restored.id, new.id]);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_leader_that_is_deposed_begins_no_delivery_more(db: PgPool) {
    const EVENTS: usize = 100;
    let work = Duration::from_millis(200);
    let consumer = Consumer { work, ..Consumer::new(|_, _| Ok(())) };
    for n in 0..EVENTS {
        publish(&db, &event(&n.to_string(), 1)).await;
    }
    let _first = Relay::start(&db, consumer.clone());
    consumer.takes(1).await;
    let _second = Relay::start(&db, consumer.clone());
    let depose = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
                  WHERE locktype = 'advisory' AND granted
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let deposed: i64 = sqlx::query_scalar(depose).fetch_one(&db).await.unwrap();
    assert_eq!(deposed, 1);
    let taken = testkit::eventually(Duration::from_secs(60), || async {
        let mut ids: Vec<_> = consumer.taken().iter().map(|event| event.id).collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        (ids.len() == EVENTS).then_some(all)
    })
    .await;
    // Deliveries in flight when the leader fell may be repeated: at most eight.
    assert!(taken - EVENTS <= 8, "{} were delivered twice", taken - EVENTS);
}
