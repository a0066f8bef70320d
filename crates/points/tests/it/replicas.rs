//! Two replicas on one database. A writer locks nothing between reading and writing, so what one of them
//! read, the other may have changed since.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use kit::Clock;
use kit::redis::Redis;
use points::app::Points;
use serde_json::json;
use sqlx::PgPool;
use testkit::http::Api;
use testkit::{eventually, postgres, redis};

use crate::app::{TestApp, id, key, points};
use crate::movements::conflicts;

/// Another replica, which takes the same tokens.
fn replica(app: &TestApp) -> Api {
    replica_on(postgres::app_pool(&app.db, "points_app"), app)
}

fn replica_on(pool: PgPool, app: &TestApp) -> Api {
    let connect = (*pool.connect_options()).clone().options([("lock_timeout", "500ms")]);
    pool.set_connect_options(connect);
    let redis = Redis::new(&redis::config_of("points"), "points", &redis::secret()).unwrap();
    let points = Points::new(pool, redis, Clock::system());
    Api::new(points::http::router(points, app.issuer.verifier()))
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn the_writers_of_one_process_do_not_overtake_each_other(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(1).await;
    let before = conflicts();

    let earned = stream::iter(0..1_000).map(|_| app.earn(account, points(1)));
    let earned: Vec<_> = earned.buffer_unordered(64).collect().await;

    assert!(earned.iter().all(|reply| reply.status == 201));
    assert_eq!(conflicts() - before, 0);
    assert_eq!(app.standing(account).await, (1_001, 0, 0, 1_002));
}

/// The first answer may be lost together with the process that would have told readers.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn who_repeats_a_command_reads_what_it_did(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let path = format!("/v1/accounts/{account}");
    let earned = async || app.get(&path, &owner).send().await.expect(200).json()["earned"].clone();
    assert_eq!(earned().await, 100, "and kept for readers");

    let pool = postgres::app_pool(&app.db, "points_app");
    let untold = Redis::new(&redis::none(), "points", &redis::secret()).unwrap();
    let other = Points::new(pool, untold, Clock::system());
    let other = Api::new(points::http::router(other, app.issuer.verifier()));
    let (key, operator, path) = (key(), app.operator(), format!("{path}/earnings"));
    let call = |api: &Api| api.post(&path).bearer(&operator).key(&key).json(points(5));
    call(&other).send().await.expect(201);
    assert_eq!(earned().await, 100, "nobody told the readers");

    let replayed = call(&app.api).send().await.expect(201);
    assert_eq!(replayed.header("idempotency-replayed"), "true");
    assert_eq!(earned().await, 105);

    // Neither a hold nor its release names the account.
    let held = async || {
        let path = format!("/v1/accounts/{account}");
        app.get(&path, &owner).send().await.expect(200).json()["held"].clone()
    };
    let hold = app.place(account, &owner, json!({ "points": 7 })).await;
    assert_eq!(held().await, 7);
    let (key, path) = (crate::app::key(), format!("/v1/holds/{hold}/release"));
    let call = |api: &Api| api.post(&path).bearer(&owner).key(&key).json(json!({}));
    call(&other).send().await.expect(200);
    assert_eq!(held().await, 7, "nobody told the readers");
    call(&app.api).send().await.expect(200);
    assert_eq!(held().await, 0);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_connection_that_a_writer_gives_back_plans_as_any_other(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(1).await;
    let pool = postgres::app_pool(&app.db, "points_app");
    let call = replica_on(pool.clone(), &app).post(&format!("/v1/accounts/{account}/earnings"));
    let call = call.bearer(&app.operator()).key(&key()).json(points(1));
    let plans = async |pool: &PgPool| {
        let mut taken = Vec::new();
        while let Some(mut connection) = pool.try_acquire() {
            let sql = "SELECT concat(current_setting('enable_seqscan'), ' ',
                                     current_setting('plan_cache_mode'))";
            let plans: String = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap();
            taken.push((connection, plans));
        }
        taken.into_iter().map(|(_, plans)| plans).collect::<Vec<_>>()
    };

    call.send().await.expect(201);

    let given_back = async || {
        let idle = pool.size() > 0 && pool.num_idle() == pool.size() as usize;
        if idle { Some(plans(&pool).await) } else { None }
    };
    let plans = eventually(Duration::from_secs(5), given_back).await;
    assert!(plans.iter().all(|plans| plans == "on auto"), "{plans:?}");
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn two_replicas_spend_a_hot_account_to_the_last_point(db: PgPool) {
    let app = TestApp::new(db);
    let replicas = [app.api.clone(), replica(&app)];
    let (account, owner) = app.rich(10_001).await;

    let replies: Vec<_> = stream::iter(0..2_000)
        .map(|n| {
            let call = replicas[n % 2].post(&format!("/v1/accounts/{account}/redemptions"));
            call.bearer(&owner).key(&key()).json(json!({ "points": 7 })).send()
        })
        .buffer_unordered(32)
        .collect()
        .await;

    let done = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(done, 10_001 / 7);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (409, "insufficient_points"));
    }
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_key_used_on_two_replicas_at_once_has_one_effect_and_one_answer(db: PgPool) {
    let app = TestApp::new(db);
    let replicas = [app.api.clone(), replica(&app)];
    let operator = app.operator();
    // Enough for one spending of each, so that a twin that is decided for itself would be refused.
    for _ in 0..20 {
        let (account, owner) = app.rich(10).await;
        let key = key();
        let spend = |n: usize| {
            let call = replicas[n % 2].post(&format!("/v1/accounts/{account}/redemptions"));
            call.bearer(&owner).key(&key).json(json!({ "points": 10 })).send()
        };
        let replies = join_all((0..20).map(spend)).await;
        let first = &replies[0].body;
        assert!(replies.iter().all(|reply| reply.status == 201 && reply.body == *first));
        let path = format!("/v1/accounts/{account}");
        let standing = app.get(&path, &operator).send().await.expect(200).json();
        assert_eq!((&standing["used"], &standing["version"]), (&json!(10), &json!(3)));
    }
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_was_decided_from_an_old_balance_is_decided_again(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    // Somebody else is about to spend 60 of them.
    let mut somebody = app.db.begin().await.unwrap();
    let transfer = "INSERT INTO transfer (transfer_id, kind, reference, occurred_at) VALUES ($1, 'redeem', '', now())";
    let transfer_id = id();
    sqlx::query(transfer).bind(transfer_id).execute(&mut *somebody).await.unwrap();
    let entries = "WITH a AS (UPDATE account SET used = used + 60, version = version + 1 WHERE account_id = $2)
         INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance)
         VALUES (gen_random_uuid(), $1, $2, NULL, -60, 3, 40),
                (gen_random_uuid(), $1, NULL, 'redemption', 60, NULL, NULL)";
    let entries = sqlx::query(entries).bind(transfer_id).bind(account);
    entries.execute(&mut *somebody).await.unwrap();

    // Possible with what was there before, and not with what there is now.
    let spend = |points: i64| {
        let call = app.api.post(&format!("/v1/accounts/{account}/redemptions"));
        call.bearer(&owner).key(&key()).json(json!({ "points": points })).send()
    };
    let commit = async {
        let waiting = async || {
            let sql = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let waiting: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
            (waiting > 0).then_some(())
        };
        eventually(Duration::from_millis(400), waiting).await;
        somebody.commit().await.unwrap();
    };
    let (too_much, ()) = tokio::join!(spend(50), commit);

    assert_eq!(too_much.expect(409).code(), "insufficient_points");
    spend(30).await.expect(201);
    assert_eq!(app.standing(account).await, (100, 90, 0, 4));
    app.earn(account, points(1)).await.expect(201);
    app.the_books_balance().await;
}
