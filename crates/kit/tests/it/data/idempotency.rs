use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use kit::command::{self, Answer, Begun, Success, Work};
use kit::error::{Classify as _, Kind};
use kit::idempotency::{self, Error, Key};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::{PLATFORM, service_pool};

fn key(value: &str, body: &str) -> Key {
    Key::new(value, "POST /things", body.as_bytes()).unwrap()
}

async fn effects(db: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM effect").fetch_one(db).await.unwrap()
}

async fn with_effects(db: &PgPool) {
    sqlx::raw_sql("CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); GRANT INSERT, SELECT ON effect TO points_app")
        .execute(db)
        .await
        .unwrap();
}

/// A use case that inserts one row and answers its number.
async fn act(db: &PgPool, principal: &str, key: &Key) -> Result<Answer<Value>, Error> {
    let mut work = match command::begin(db, principal, key).await? {
        Begun::First(work) => work,
        Begun::Replay(answer) => return Ok(answer),
    };
    let id: i64 = sqlx::query_scalar("INSERT INTO effect DEFAULT VALUES RETURNING id")
        .fetch_one(&mut *work)
        .await?;
    work.commit(Success::Created, json!({ "id": id })).await
}

/// Begins the first command with this key.
async fn first(db: &PgPool, key: &Key) -> Work {
    match command::begin::<Value>(db, "someone", key).await.unwrap() {
        Begun::First(work) => work,
        Begun::Replay(answer) => panic!("answered already: {answer:?}"),
    }
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_hundred_twins_have_one_effect_and_one_answer(db: PgPool) {
    with_effects(&db).await;
    let pool = service_pool(&db);
    let mut twins = JoinSet::new();
    for _ in 0..100 {
        let pool = pool.clone();
        twins.spawn(async move {
            // An exhausted pool is not a matter of idempotency.
            loop {
                match act(&pool, "someone", &key("k", "{}")).await {
                    Err(error)
                        if error.code() == "overloaded"
                            || error.code() == "database_unavailable" => {}
                    other => return other.unwrap(),
                }
            }
        });
    }
    let answers = twins.join_all().await;
    assert_eq!(effects(&db).await, 1);
    assert!(answers.iter().all(|answer| answer.body() == answers[0].body()));
    assert!(answers.iter().all(|answer| answer.success() == Success::Created));
    assert_eq!(answers.iter().filter(|answer| !answer.is_replay()).count(), 1);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_key_with_another_body_is_refused_and_another_principal_or_route_is_apart(db: PgPool) {
    with_effects(&db).await;
    let pool = service_pool(&db);
    act(&pool, "someone", &key("k", "one")).await.unwrap();
    let refused = act(&pool, "someone", &key("k", "two")).await.unwrap_err();
    assert!(matches!(refused, Error::Reused), "{refused:?}");
    assert_eq!((refused.kind(), &*refused.code()), (Kind::Refused, "idempotency_key_reused"));

    assert!(!act(&pool, "another", &key("k", "one")).await.unwrap().is_replay());
    let elsewhere = Key::new("k", "POST /others", b"one").unwrap();
    assert!(!act(&pool, "someone", &elsewhere).await.unwrap().is_replay());
    assert_eq!(effects(&db).await, 3);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_rolled_back_attempt_leaves_nothing(db: PgPool) {
    with_effects(&db).await;
    let pool = service_pool(&db);
    let mut work = first(&pool, &key("k", "{}")).await;
    sqlx::query("INSERT INTO effect DEFAULT VALUES").execute(&mut *work).await.unwrap();
    drop(work);

    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM idempotency_key").fetch_one(&db).await.unwrap();
    assert_eq!(rows, 0);
    assert!(!act(&pool, "someone", &key("k", "{}")).await.unwrap().is_replay());
    assert_eq!(effects(&db).await, 1);
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_twin_waits_for_less_than_two_seconds(db: PgPool) {
    let pool = service_pool(&db);
    let _first = first(&pool, &key("k", "{}")).await;

    let began = Instant::now();
    let error = act(&pool, "someone", &key("k", "{}")).await.unwrap_err();
    let waited = began.elapsed();
    assert!(matches!(error, Error::InProgress), "{error:?}");
    assert_eq!((error.kind(), &*error.code()), (Kind::Conflict, "idempotency_in_progress"));
    assert!(error.retry_after().is_some());
    assert!((1500..2200).contains(&waited.as_millis()), "{waited:?}");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_twin_that_had_to_wait_reads_the_first_answer(db: PgPool) {
    with_effects(&db).await;
    let pool = service_pool(&db);
    let first = first(&pool, &key("k", "{}")).await;
    let twin = tokio::spawn({
        let pool = pool.clone();
        async move { act(&pool, "someone", &key("k", "{}")).await }
    });
    testkit::eventually(Duration::from_secs(5), || async {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .fetch_one(&db)
        .await
        .unwrap();
        (waiting == 1).then_some(())
    })
    .await;
    let answer = first.commit(Success::Accepted, json!("the first")).await.unwrap();

    let replay = twin.await.unwrap().unwrap();
    assert!(replay.is_replay() && !answer.is_replay());
    assert_eq!(replay, Answer::replay(Success::Accepted, answer.body().to_vec()));
    assert_eq!(replay.value().unwrap(), answer.into_value().unwrap());
    let response = replay.into_response();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["idempotency-replayed"], "true");
    assert_eq!(response.headers()["content-type"], "application/json");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn keys_are_swept_after_72_hours(db: PgPool) {
    let rows =
        "INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body, created_at)
                SELECT 'p', 'r', n::text, sha256('x'), 200, '', now() - n * interval '1 minute'
                FROM generate_series(1, 6000) n";
    sqlx::query(rows).execute(&db).await.unwrap();
    assert_eq!(idempotency::sweep(&service_pool(&db)).await.unwrap(), 6001 - 72 * 60);
}

#[test]
fn a_key_is_printable_and_of_bounded_length() {
    for bad in ["", &"x".repeat(256), "a\nb", "ä"] {
        assert!(matches!(Key::new(bad, "r", b""), Err(Error::Malformed)), "{bad:?}");
    }
    assert!(Key::new(&"x".repeat(255), "r", b"").is_ok());
    assert!(matches!(Key::grpc("", "m", b""), Err(Error::Missing)));
}
