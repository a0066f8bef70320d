//! The connection on which a replica holds the locks of its offices.

use std::time::Duration;

use kit::{jobs, outbox};
use sqlx::PgPool;
use testkit::eventually;
use tokio_util::sync::CancellationToken;

use super::outbox::{Consumer, event, publish};
use super::{PLATFORM, service_pool};

/// The connections that hold locks of offices, and the number of these locks.
async fn offices(db: &PgPool) -> Vec<(i32, i64)> {
    let sql = "SELECT pid, count(*) FROM pg_locks
               WHERE locktype = 'advisory' AND granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
               GROUP BY pid";
    sqlx::query_as(sql).fetch_all(db).await.unwrap()
}

/// The relay asks for what is due on the connection that holds the lock of the job as well.
#[sqlx::test(migrator = "PLATFORM")]
async fn a_statement_that_fails_costs_no_office_its_lock(db: PgPool) {
    let replica = service_pool(&db);
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let (period, job) = (Duration::from_millis(20), || async { Ok(()) });
    tokio::spawn(jobs::every("kept", period, replica.clone(), stop.clone(), job));
    let consumer = Consumer::new(|_, _| Ok(()));
    tokio::spawn(outbox::relay(replica, consumer.clone(), stop.clone()));
    let holder = eventually(Duration::from_secs(10), || async {
        let offices = offices(&db).await;
        (offices.len() == 1 && offices[0].1 == 2).then(|| offices[0].0)
    })
    .await;

    // The relay's statement fails, and the relay resigns.
    let away = "ALTER TABLE outbox_event RENAME TO away";
    sqlx::query(away).execute(&db).await.unwrap();
    eventually(Duration::from_secs(10), || async {
        (offices(&db).await == [(holder, 1)]).then_some(())
    })
    .await;
    let back = "ALTER TABLE away RENAME TO outbox_event";
    sqlx::query(back).execute(&db).await.unwrap();
    publish(&db, &event("a", 1)).await;
    consumer.takes(1).await;
    assert_eq!(offices(&db).await, [(holder, 2)]);
}
