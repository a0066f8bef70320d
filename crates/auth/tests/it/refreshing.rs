//! Refresh tokens: one successor each, and the end of a copied session.

use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeSet;
use uuid::Uuid;

use crate::app::{PASSWORD, TestApp, lock_waits, metric, refresh};

async fn signed_in(app: &TestApp) -> Value {
    app.register("ada@example.org").await.expect(202);
    app.session("ada@example.org").await
}

/// Moves the last exchange into the past.
async fn an_hour_ago(app: &TestApp) {
    let sql = "UPDATE session SET rotated_at = rotated_at - interval '1 hour'";
    sqlx::query(sql).execute(&app.db).await.unwrap();
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_session_goes_on_for_as_long_as_it_is_refreshed(db: PgPool) {
    let app = TestApp::new(db).await;
    let first = signed_in(&app).await;
    let mut session = first.clone();
    for _ in 0..5 {
        let reply = app.refresh(&session).await.expect(200);
        assert_eq!(reply.header("cache-control"), "no-store");
        let next = reply.json();
        assert_ne!(next["refresh_token"], session["refresh_token"]);
        assert_eq!(next["session_id"], first["session_id"]);
        assert_eq!(next["session_expires_at"], first["session_expires_at"]);
        session = next;
    }
    let token = session["access_token"].as_str().unwrap();
    app.api.get("/v1/me").bearer(token).send().await.expect(200);
    assert_eq!(metric("auth_token_refresh_total"), 5.0);
    assert_eq!(app.count("session").await, 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn of_50_refreshes_at_once_all_get_the_same_successor(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    for _ in 0..4 {
        let session = app.session("ada@example.org").await;
        let session = app.refresh(&session).await.expect(200).json();
        // This transaction holds the row, so that all exchanges wait for it before one continues.
        let mut first = app.db.begin().await.unwrap();
        let sql = "SELECT FROM session FOR UPDATE";
        sqlx::query(sql).execute(&mut *first).await.unwrap();
        let go = async {
            lock_waits(&app.db, 10).await;
            first.commit().await.unwrap();
        };
        let replies = futures::future::join_all((0..50).map(|_| app.refresh(&session)));
        let (replies, ()) = futures::join!(replies, go);
        let successors: BTreeSet<_> = replies
            .into_iter()
            .map(|reply| reply.expect(200).json()["refresh_token"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(successors.len(), 1);
        let generation: i32 =
            sqlx::query_scalar("SELECT generation FROM session WHERE session_id = $1")
                .bind(session["session_id"].as_str().unwrap().parse::<Uuid>().unwrap())
                .fetch_one(&app.db)
                .await
                .unwrap();
        assert_eq!(generation, 2);
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_lost_answer_is_given_again_and_the_session_lives(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    let session = signed_in(&app).await;
    let session = app.refresh(&session).await.expect(200).json();
    let lost = app.refresh(&session).await.expect(200).json();
    // The same holds for another process.
    let again = TestApp::new(db).await.refresh(&session).await.expect(200).json();
    assert_eq!(again["refresh_token"], lost["refresh_token"]);
    app.refresh(&again).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_copy_ends_the_session_for_everybody(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    app.register("ada@example.org").await.expect(202);
    for way in ["late", "two generations back", "another client"] {
        let first = app.session("ada@example.org").await;
        let second = app.refresh(&first).await.expect(200).json();
        let newest = match way {
            "two generations back" => app.refresh(&second).await.expect(200).json(),
            _ => second,
        };
        if way == "late" {
            an_hour_ago(&app).await;
        }
        let client = if way == "another client" { "thief" } else { "phone" };
        let reused = refresh(&app.api, &first, client).await.expect(401);
        assert_eq!(reused.code(), "refresh_token_reused", "{way}");

        // All tokens of the session are dead: the newest refresh token, and every access token.
        assert_eq!(app.refresh(&newest).await.expect(401).code(), "session_revoked", "{way}");
        for session in [&first, &newest] {
            let token = session["access_token"].as_str().unwrap();
            let reply = app.api.get("/v1/me").bearer(token).send().await.expect(401);
            assert_eq!(reply.code(), "session_revoked", "{way}");
        }
        // They stay dead after a restart.
        let restarted = TestApp::new(db.clone()).await;
        assert_eq!(restarted.refresh(&newest).await.expect(401).code(), "session_revoked");
    }
    let sql = "SELECT count(*) FROM security_event WHERE kind = 'refresh_reused'";
    let events: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
    assert_eq!(events, 3);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn what_is_no_refresh_token_of_ours_ends_nothing(db: PgPool) {
    let app = TestApp::new(db).await;
    let session = signed_in(&app).await;
    let token = session["refresh_token"].as_str().unwrap();
    let mut forged = BTreeSet::from([String::new(), "x".to_owned(), token.to_owned() + "A"]);
    for position in (0..token.len() - 1).step_by(3) {
        let other = if &token[position..=position] == "A" { "B" } else { "A" };
        forged.insert(format!("{}{other}{}", &token[..position], &token[position + 1..]));
    }
    for forged in forged {
        let reply = app.refresh(&json!({ "refresh_token": forged })).await.expect(401);
        assert_eq!(reply.code(), "invalid_token", "{forged}");
    }
    let access = session["access_token"].as_str().unwrap();
    let reply = app.refresh(&json!({ "refresh_token": access })).await.expect(401);
    assert_eq!(reply.code(), "invalid_token");
    app.refresh(&json!({})).await.expect(422);
    app.refresh(&session).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_session_ends_unused_and_at_the_latest(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    for column in ["idle_expires_at", "expires_at"] {
        let session = app.session("ada@example.org").await;
        let session = app.refresh(&session).await.expect(200).json();
        let sql =
            format!("UPDATE session SET created_at = now() - interval '60 days', {column} = now()");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&app.db).await.unwrap();
        let reply = app.refresh(&session).await.expect(401);
        assert_eq!(reply.code(), "session_expired", "{column}");
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn no_refresh_token_lies_in_the_database(db: PgPool) {
    let app = TestApp::new(db).await;
    let session = signed_in(&app).await;
    let session = app.refresh(&session).await.expect(200).json();
    let token = session["refresh_token"].as_str().unwrap();
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token).unwrap();
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT session::text FROM session").fetch_all(&app.db).await.unwrap();
    let proof: String = bytes[20..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(proof.len(), 64, "256 bits");
    assert!(rows.iter().all(|row| !row.contains(&proof) && !row.contains(token)), "{rows:?}");
    // A thief with the rows and another key cannot make one either.
    let other =
        crate::app::open(&app.db, kit::Clock::system(), auth::hasher::Hasher::new(), 2).await;
    assert!(other.is_err());
    assert!(!rows.iter().any(|row| row.contains(PASSWORD)));
}
