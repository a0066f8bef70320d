//! A stop waits for background work that has begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kit::outbox::{self, Deliver, Event};
use kit::{command, jobs};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::outbox::{event, publish};
use super::{PLATFORM, service_pool};
use crate::edge::world::World;

/// Work that continues until released.
#[derive(Clone, Default)]
struct Work {
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
    done: Arc<AtomicUsize>,
}

impl Work {
    async fn run(&self) {
        self.begun.notify_one();
        self.go_on.notified().await;
        self.done.fetch_add(1, Ordering::SeqCst);
    }
}

impl Deliver for Work {
    async fn deliver(&self, _: &Event) -> anyhow::Result<()> {
        self.run().await;
        Ok(())
    }
}

/// Stops a service in the middle of the work that `start` begins, with no request in flight.
async fn outlasts_a_stop(start: impl FnOnce(Work, CancellationToken)) {
    let mut world = World::start().await;
    let work = Work::default();
    start(work.clone(), world.stop.clone());
    timeout(Duration::from_secs(10), work.begun.notified()).await.unwrap();
    world.stop.cancel();
    let early = timeout(Duration::from_millis(300), &mut world.served).await;
    assert!(early.is_err(), "the process ends in the middle of the work");
    work.go_on.notify_one();
    timeout(Duration::from_secs(1), world.served).await.unwrap().unwrap();
    assert_eq!(work.done.load(Ordering::SeqCst), 1, "it went on after the stop");
}

/// Returns the number of delivered events.
async fn delivered(db: &PgPool) -> i64 {
    let sql = "SELECT count(*) FROM outbox_event WHERE delivered_at IS NOT NULL";
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_run_of_a_job_is_not_cut_off_by_a_stop(db: PgPool) {
    let db = service_pool(&db);
    outlasts_a_stop(|work, stop| {
        let job = move || {
            let work = work.clone();
            async move {
                work.run().await;
                Ok(())
            }
        };
        tokio::spawn(jobs::every("long", Duration::from_millis(10), db, stop, job));
    })
    .await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_delivery_is_recorded_before_a_stop_and_no_other_is_begun(db: PgPool) {
    for n in 0..3 {
        publish(&db, &event("one", n)).await;
    }
    let pool = service_pool(&db);
    outlasts_a_stop(|work, stop| {
        tokio::spawn(outbox::relay(pool, work, stop));
    })
    .await;
    assert_eq!(delivered(&db).await, 1);
}

#[tokio::test]
async fn work_that_nobody_waits_for_is_not_cut_off_by_a_stop() {
    outlasts_a_stop(|work, _| command::detach(async move { work.run().await })).await;
}
