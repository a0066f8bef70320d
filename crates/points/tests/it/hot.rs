//! One account that everybody wants, and neighbors that go wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use proto::points::v1::earn_request::Basis;
use serde_json::json;
use sqlx::PgPool;
use testkit::{eventually, grpc};
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::{TestApp, id, key, message, points};
use crate::movements::redeem;

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hot_account_is_spent_to_the_last_point_by_64_clients(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(50_001).await;

    let replies: Vec<_> = stream::iter(0..10_000)
        .map(|_| redeem(&app, account, &owner, 7))
        .buffer_unordered(64)
        .map(|reply| (reply.status.as_u16(), reply))
        .collect()
        .await;

    let done = replies.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(done, 50_001 / 7);
    for (status, reply) in replies.iter().filter(|(status, _)| *status != 201) {
        assert_eq!((*status, reply.code().as_str()), (409, "insufficient_points"));
    }
    assert_eq!(app.standing(account).await.1, 50_001 / 7 * 7);
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_poisoned_command_does_not_fail_its_neighbors(db: PgPool) {
    let app = TestApp::new(db);
    let (poisoned, _) = app.rich(100).await;
    // Somebody set the balance back by hand: the next entry has no place in the history.
    app.tamper("UPDATE account SET earned = 0, version = 1").await;
    let mut neighbors = Vec::new();
    for _ in 0..20 {
        neighbors.push(app.member().await.0);
    }

    let (bad, good) = tokio::join!(
        join_all((0..4).map(|_| app.earn(poisoned, points(1)))),
        join_all(neighbors.iter().map(|account| app.earn(*account, points(5)))),
    );

    bad.into_iter().for_each(|reply| drop(reply.expect(500)));
    good.into_iter().for_each(|reply| drop(reply.expect(201)));
    for account in neighbors {
        assert_eq!(app.standing(account).await, (5, 0, 0, 2));
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_account_that_is_locked_elsewhere_does_not_fail_its_neighbors(db: PgPool) {
    let app = TestApp::new(db);
    let (locked, _) = app.rich(100).await;
    let (free, _) = app.member().await;
    let mut somebody = app.db.begin().await.unwrap();
    sqlx::query("SELECT FROM account WHERE account_id = $1 FOR UPDATE")
        .bind(locked)
        .execute(&mut *somebody)
        .await
        .unwrap();
    // Both ways into a batch together: some are alone in theirs.
    let calls = (0..40).map(|n| app.earn(if n % 2 == 0 { locked } else { free }, points(1)));

    for (n, reply) in join_all(calls).await.into_iter().enumerate() {
        if n % 2 == 0 {
            assert_eq!(reply.expect(503).code(), "database_busy");
        } else {
            reply.expect(201);
        }
    }

    somebody.rollback().await.unwrap();
    assert_eq!(app.standing(free).await, (20, 0, 0, 21));
    app.earn(locked, points(1)).await.expect(201);
    app.the_books_balance().await;
}

/// A hold does not name its account, which is known only once the hold is read.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn captures_on_an_account_that_is_locked_elsewhere_do_not_stall_their_neighbors(db: PgPool) {
    let app = TestApp::new(db);
    let (locked, owner) = app.rich(100).await;
    let mut holds = Vec::new();
    for _ in 0..20 {
        holds.push(app.place(locked, &owner, json!({ "points": 1 })).await);
    }
    let (free, _) = app.member().await;
    let mut somebody = app.db.begin().await.unwrap();
    sqlx::query("SELECT FROM account WHERE account_id = $1 FOR UPDATE")
        .bind(locked)
        .execute(&mut *somebody)
        .await
        .unwrap();
    let operator = app.operator();
    let capture = async |hold: &Uuid| {
        app.post(&format!("/v1/holds/{hold}/capture"), &operator, json!({})).await
    };
    let earn = async |_| {
        let began = Instant::now();
        app.earn(free, points(1)).await.expect(201);
        began.elapsed()
    };

    // A machine that builds meanwhile is no slower for the lock's sake.
    let alone = 20 * earn(0).await;
    let (captured, took) =
        tokio::join!(join_all(holds.iter().map(capture)), join_all((0..20).map(earn)));

    captured.into_iter().for_each(|reply| assert_eq!(reply.expect(503).code(), "database_busy"));
    let most = Duration::from_millis(600) + alone.min(Duration::from_millis(800));
    assert!(took.iter().all(|took| *took < most), "{most:?}: {took:?}");
    let text = String::from_utf8(observability::metrics::render().1).unwrap();
    let opened = r#"circuit_breaker_transitions_total{dependency="postgres",to="open"} 0"#;
    assert!(text.contains(opened), "{text}");
    somebody.rollback().await.unwrap();
    // Those who waited for it are served again, at the latest when it is no longer remembered as locked.
    for hold in holds {
        eventually(Duration::from_secs(3), || async {
            (capture(&hold).await.status == 200).then_some(())
        })
        .await;
    }
    app.the_books_balance().await;
}

/// An account that is locked is not one that is missing.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_earning_of_a_member_whose_account_is_locked_opens_no_second_one(db: PgPool) {
    let app = TestApp::new(db);
    let (locked, _) = app.rich(100).await;
    let member = app.member_of(locked).await;
    // A sequence counts the tries to open an account, those that were rolled back as well.
    let count = "CREATE SEQUENCE tries;
        CREATE FUNCTION tried() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            $$ BEGIN PERFORM nextval('tries'); RETURN NEW; END $$;
        CREATE TRIGGER tried BEFORE INSERT ON account
            FOR EACH ROW WHEN (NEW.version = 1) EXECUTE FUNCTION tried()";
    sqlx::raw_sql(count).execute(&app.db).await.unwrap();
    let mut somebody = app.db.begin().await.unwrap();
    sqlx::query("SELECT FROM account WHERE account_id = $1 FOR UPDATE")
        .bind(locked)
        .execute(&mut *somebody)
        .await
        .unwrap();

    let began = Instant::now();
    let earning = message(member, Basis::Points(1));
    let refused = app.earn_by_booking(earning.clone()).await.unwrap_err();
    assert_eq!(grpc::code(&refused), "database_busy");
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    let tried = sqlx::query_scalar::<_, bool>("SELECT is_called FROM tries");
    assert!(!tried.fetch_one(&app.db).await.unwrap(), "nobody tries to open a second one");
    // A stranger's earning is not held up, and opens what it is to open.
    app.earn_by_booking(message(id(), Basis::Points(1))).await.unwrap();
    somebody.rollback().await.unwrap();
    eventually(Duration::from_secs(3), || async {
        app.earn_by_booking(earning.clone()).await.is_ok().then_some(())
    })
    .await;
    assert_eq!(app.standing(locked).await, (101, 0, 0, 3));
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_full_queue_says_so_at_once(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(1).await;
    let mut somebody = app.db.begin().await.unwrap();
    sqlx::query("LOCK TABLE account").execute(&mut *somebody).await.unwrap();

    let refused = AtomicUsize::new(0);
    let calls = (0..1_400).map(|_| {
        let call = app.earning(account, &key(), points(1));
        let refused = &refused;
        async move {
            let reply = call.send().await;
            if reply.status != 201 && reply.code() == "overloaded" {
                refused.fetch_add(1, Ordering::Relaxed);
                assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
                assert_eq!(reply.json()["outcome"], "none");
            }
        }
    });
    // All that fit are waiting; the others know already, and only then may the writers go on.
    let unlock = async {
        let told = || async { (refused.load(Ordering::Relaxed) >= 200).then_some(()) };
        eventually(Duration::from_secs(10), told).await;
        somebody.rollback().await.unwrap();
    };
    tokio::join!(join_all(calls), unlock);

    app.earn(account, points(1)).await.expect(201);
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn whoever_floods_one_account_leaves_room_for_all_others(db: PgPool) {
    let app = TestApp::new(db);
    let (flooded, _) = app.rich(1).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(app.member().await.0);
    }
    let mut somebody = app.db.begin().await.unwrap();
    sqlx::query("LOCK TABLE account").execute(&mut *somebody).await.unwrap();

    let refused = AtomicUsize::new(0);
    let flood = (0..1_400).map(|_| {
        let call = app.earning(flooded, &key(), points(1));
        let refused = &refused;
        async move {
            if call.send().await.status != 201 {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let others = async {
        // More than a whole queue has come, and this many were told to go.
        let told = || async { (refused.load(Ordering::Relaxed) >= 700).then_some(()) };
        eventually(Duration::from_secs(10), told).await;
        let calls = join_all(others.iter().map(|account| app.earn(*account, points(1))));
        let unlock = async {
            tokio::task::yield_now().await;
            somebody.rollback().await.unwrap();
        };
        tokio::join!(calls, unlock).0
    };
    let (_, replies) = tokio::join!(join_all(flood), others);

    replies.into_iter().for_each(|reply| drop(reply.expect(201)));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_refused_command_is_answered_singly(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(10).await;
    let calls = (0..30).map(|n| {
        let (app, owner) = (&app, &owner);
        let path = format!("/v1/accounts/{}/redemptions", if n % 3 == 1 { id() } else { account });
        let points = if n % 3 == 0 { 1 } else { 1_000 };
        async move { app.post(&path, owner, json!({ "points": points })).await.status.as_u16() }
    });
    for (n, status) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(status, [201, 404, 409][n % 3]);
    }
    assert_eq!(app.standing(account).await, (10, 10, 0, 12));
}
