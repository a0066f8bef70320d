//! The service dies at the one moment at which nobody can know what it has done.

use futures::future::join_all;
use sqlx::PgPool;

use super::client::Client;
use super::line::{At, Line};
use super::service::Service;
use super::{Acknowledged, agree, is_full};
use crate::app::TestApp;

/// The commands that go to the same ledger at the same moment, some of them in the same transaction.
const NEIGHBORS: u64 = 7;

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn whoever_is_killed_at_its_commit_has_done_once_what_is_asked_again(db: PgPool) {
    let app = TestApp::new(db.clone());
    let mut accounts = Vec::new();
    for _ in 0..4 {
        accounts.push(app.rich(1_000).await);
    }
    let mut line = Line::to(&db).await;
    let mut service = Service::start_on(&db, line.address, app.issuer.clone()).await;
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    let times = if is_full() { 20 } else { 2 };
    let mut done_before = 0;
    for (n, at) in [At::Sent, At::Arrived, At::Done].repeat(times).into_iter().enumerate() {
        let client = |seed| Client::new(service.address, app.operator(), accounts.clone(), seed);
        let mut aimed = client(1_000 * n as u64);
        let command = aimed.earning();
        line.stop(&command.key, at);
        let neighbors = (1..=NEIGHBORS).map(|seed| {
            let mut client = client(1_000 * n as u64 + seed);
            tokio::spawn(async move {
                let command = client.think();
                client.insist(&command).await
            })
        });
        let neighbors: Vec<_> = neighbors.collect();
        let (lost, ()) = tokio::join!(aimed.ask(&command), async {
            let stopped = tokio::time::timeout(super::SOON, line.stopped());
            stopped.await.expect("its transaction came to no end");
            service.kill().await;
        });
        assert!(lost.is_none(), "{at:?}: it was to be killed before it could answer");
        // Whatever was sent has come to its end, or never will.
        let there = testkit::eventually(super::SOON, || async {
            let busy = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND usename = 'points_app'
                          AND state <> 'idle'";
            let busy: i64 = sqlx::query_scalar(busy).fetch_one(&db).await.unwrap();
            let kept = "SELECT count(*) FROM idempotency_key WHERE key = $1";
            let kept = sqlx::query_scalar::<_, i64>(kept).bind(&command.key);
            let kept = kept.fetch_one(&db).await.unwrap();
            (busy == 0).then_some(kept)
        })
        .await;
        match at {
            At::Sent => assert_eq!(there, 0, "it had not arrived"),
            At::Arrived => done_before += there,
            At::Done => assert_eq!(there, 1, "it was done"),
        }
        service.restart().await;
        acknowledged.push(aimed.insist(&command).await.unwrap());
        acknowledged.extend(join_all(neighbors).await.into_iter().filter_map(Result::unwrap));
    }
    service.stop().await;
    println!(
        "killed {times} times before, at and after COMMIT; {done_before} of {times} done at it"
    );
    app.the_books_balance().await;
    agree(&db, &accounts, &acknowledged).await;
}
