//! A member's own sessions and password.

use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;

use crate::app::{PASSWORD, TestApp, hashes, lock_waits};

const NEW: &str = "a new and different password";

fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

async fn change(app: &TestApp, session: &Value, key: &str, current: &str, new: &str) -> Reply {
    let body = json!({ "current_password": current, "new_password": new });
    app.api.post("/v1/password").bearer(token(session)).key(key).json(body).send().await
}

async fn is_dead(app: &TestApp, session: &Value) {
    let reply = app.api.get("/v1/me").bearer(token(session)).send().await.expect(401);
    assert_eq!(reply.code(), "session_revoked");
    assert_eq!(app.refresh(session).await.expect(401).code(), "session_revoked");
}

async fn lives(app: &TestApp, session: &Value) {
    app.api.get("/v1/me").bearer(token(session)).send().await.expect(200);
    app.refresh(session).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_member_sees_their_sessions_and_ends_one(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let (one, two) = (app.session("ada@example.org").await, app.session("ada@example.org").await);

    let list = app.api.get("/v1/sessions").bearer(token(&two)).send().await.expect(200).json();
    let seen = |index: usize| {
        (&list["sessions"][index]["session_id"], &list["sessions"][index]["current"])
    };
    assert_eq!(seen(0), (&two["session_id"], &json!(true)));
    assert_eq!(seen(1), (&one["session_id"], &json!(false)));
    assert_eq!(list["sessions"].as_array().unwrap().len(), 2);

    let path = format!("/v1/sessions/{}", one["session_id"].as_str().unwrap());
    app.api.delete(&path).bearer(token(&two)).send().await.expect(204);
    app.api.delete(&path).bearer(token(&two)).send().await.expect(404);
    is_dead(&app, &one).await;
    lives(&app, &two).await;
    let list = app.api.get("/v1/sessions").bearer(token(&two)).send().await.json();
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_session_of_somebody_else_looks_like_none(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    app.register("eve@example.org").await.expect(202);
    let (ada, eve) = (app.session("ada@example.org").await, app.session("eve@example.org").await);

    let end = |id: String| app.api.delete(&format!("/v1/sessions/{id}")).bearer(token(&eve)).send();
    let foreign = end(ada["session_id"].as_str().unwrap().to_owned()).await.expect(404);
    let missing = end(uuid::Uuid::max().to_string()).await.expect(404);
    let text = |reply: &Reply| {
        let mut body = reply.json();
        body["request_id"] = Value::Null;
        body
    };
    assert_eq!(text(&foreign), text(&missing));
    assert_eq!(end("x".to_owned()).await.expect(400).code(), "invalid_id");
    lives(&app, &ada).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_logout_ends_this_session_and_one_everywhere_all(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    app.register("eve@example.org").await.expect(202);
    let eve = app.session("eve@example.org").await;
    let mut ada = Vec::new();
    for _ in 0..3 {
        ada.push(app.session("ada@example.org").await);
    }

    app.api.delete("/v1/sessions/current").bearer(token(&ada[0])).send().await.expect(204);
    is_dead(&app, &ada[0]).await;
    lives(&app, &ada[1]).await;
    app.api.delete("/v1/sessions").bearer(token(&ada[1])).send().await.expect(204);
    is_dead(&app, &ada[1]).await;
    is_dead(&app, &ada[2]).await;
    lives(&app, &eve).await;
    app.session("ada@example.org").await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_changed_password_ends_all_other_sessions(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let (mine, other) =
        (app.session("ada@example.org").await, app.session("ada@example.org").await);

    let first = change(&app, &mine, "k", PASSWORD, NEW).await.expect(200);
    let again = change(&app, &mine, "k", PASSWORD, NEW).await.expect(200);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    is_dead(&app, &other).await;
    lives(&app, &mine).await;
    app.login("ada@example.org", PASSWORD).await.expect(401);
    app.login("ada@example.org", NEW).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_stolen_access_token_does_not_help_to_guess_the_password(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let session = app.session("ada@example.org").await;
    let before = hashes();
    for attempt in 0..5 {
        let reply =
            change(&app, &session, &format!("k{attempt}"), "a guess", NEW).await.expect(401);
        assert_eq!(reply.code(), "invalid_credentials");
    }
    let reply = change(&app, &session, "k", PASSWORD, NEW).await.expect(429);
    assert_eq!(reply.code(), "too_many_attempts");
    app.login("ada@example.org", PASSWORD).await.expect(429);
    assert_eq!(hashes() - before, 5);
    // An invalid password costs no guess.
    let reply = change(&app, &session, "k9", "", "short").await.expect(422);
    assert_eq!(reply.fields(), [("new_password".to_owned(), "password_too_short".to_owned())]);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_login_with_a_password_that_changes_meanwhile_begins_no_session(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    // Another transaction has written a new password and not committed, so the login checks the old one.
    let mut change = app.db.begin().await.unwrap();
    let sql = "UPDATE member_password SET hash = hash || 'x', changed_at = now()";
    sqlx::query(sql).execute(&mut *change).await.unwrap();
    let go = async {
        lock_waits(&app.db, 1).await;
        change.commit().await.unwrap();
    };
    let (reply, ()) = futures::join!(app.login("ada@example.org", PASSWORD), go);
    assert_eq!(reply.expect(401).code(), "invalid_credentials");
    assert_eq!(app.count("session").await, 0);
}
