//! Members' own profiles.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use testkit::http::Reply;
use testkit::redis::Server;

use crate::app::{TestApp, metric};

const ADA: &str = "ada@example.org";

async fn me(app: &TestApp, token: &str) -> Reply {
    app.api.get("/v1/me").bearer(token).send().await.expect(200)
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_change_that_waited_too_long_says_that_it_did_nothing(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    let token = app.member(ADA).await;
    let busy = "CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql
                    AS $$ BEGIN RAISE lock_not_available; END $$;
                CREATE TRIGGER busy BEFORE UPDATE ON member EXECUTE FUNCTION busy()";
    sqlx::raw_sql(busy).execute(&db).await.unwrap();
    let refused = rename(&app, &token, "\"1\"", "Eve").await.expect(503);
    assert_eq!(
        (refused.code(), &refused.json()["outcome"]),
        ("database_busy".into(), &json!("none"))
    );
    assert_eq!(me(&app, &token).await.json()["display_name"], "Ada");
}

async fn rename(app: &TestApp, token: &str, tag: &str, name: &str) -> Reply {
    let call = app.api.patch("/v1/me").bearer(token).header("if-match", tag);
    call.json(json!({ "display_name": name })).send().await
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_name_is_changed_by_whoever_has_seen_what_they_change(db: PgPool) {
    let app = TestApp::new(db).await;
    let token = app.member(ADA).await;
    let before = me(&app, &token).await;
    assert_eq!(before.header("etag"), "\"1\"");

    let changed = rename(&app, &token, "\"1\"", " Ada Löwenherz ").await.expect(200);
    assert_eq!(
        (changed.header("etag"), &changed.json()["display_name"]),
        ("\"2\"", &json!("Ada Löwenherz"))
    );
    assert_eq!(me(&app, &token).await.body, changed.body);
    for stale in ["\"1\"", "\"0\"", "2", "*", "W/\"2\"", "\"99\""] {
        let refused = rename(&app, &token, stale, "Eve").await.expect(412);
        assert_eq!(refused.code(), "version_conflict", "{stale}");
    }
    assert_eq!(metric("concurrency_conflict_total{aggregate=\"profile\"}"), 6.0);
    let call = app.api.patch("/v1/me").bearer(&token).json(json!({ "display_name": "Eve" }));
    assert_eq!(call.send().await.expect(428).code(), "precondition_required");
    assert_eq!(me(&app, &token).await.json()["display_name"], "Ada Löwenherz");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn of_many_changes_of_one_version_one_is_made(db: PgPool) {
    let app = TestApp::new(db).await;
    let token = app.member(ADA).await;
    let names: Vec<_> = (0..16).map(|n| format!("Ada {n}")).collect();
    let calls = names.iter().map(|name| rename(&app, &token, "\"1\"", name));
    let replies = futures::future::join_all(calls).await;
    let made: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(me(&app, &token).await.body, made[0].body);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn what_is_wrong_with_a_profile_is_said_and_changes_nothing(db: PgPool) {
    let app = TestApp::new(db).await;
    let token = app.member(ADA).await;
    let before = me(&app, &token).await.body;
    for (body, code) in [
        (json!({ "display_name": "" }), "invalid_length"),
        (json!({ "display_name": "x".repeat(101) }), "invalid_length"),
        (json!({ "display_name": "a\u{7}b" }), "invalid_character"),
        (json!({ "display_name": 1 }), "invalid_type"),
        (json!({}), "missing_field"),
        (json!({ "display_name": "Eve", "email": "eve@example.org" }), "unknown_field"),
        (json!({ "display_name": "Eve", "roles": ["operator"] }), "unknown_field"),
    ] {
        let call = app.api.patch("/v1/me").bearer(&token).header("if-match", "\"1\"");
        assert_eq!(call.json(&body).send().await.expect(422).code(), code, "{body}");
    }
    app.api.patch("/v1/me").header("if-match", "\"1\"").json(json!({})).send().await.expect(401);
    assert_eq!(me(&app, &token).await.body, before);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_profile_is_cached_for_half_an_hour_and_a_change_is_read_at_once(db: PgPool) {
    let server = Server::start().await;
    let app = TestApp::beside(db.clone(), &server).await;
    let other = TestApp::beside(db, &server).await;
    let token = app.member(ADA).await;
    let first = me(&app, &token).await;
    let id = first.json()["member_id"].as_str().unwrap().to_owned();

    let client = redis::Client::open(server.url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let keys = format!("auth:*{id}");
    let keys: Vec<String> = redis::cmd("KEYS").arg(&keys).query_async(&mut raw).await.unwrap();
    let [key] = keys.as_slice() else { panic!("cached once: {keys:?}") };
    let left: i64 = redis::cmd("PTTL").arg(key).query_async(&mut raw).await.unwrap();
    let (shortest, longest) = (Duration::from_mins(24), Duration::from_mins(36));
    let left = Duration::from_millis(left.try_into().unwrap());
    assert!((shortest - Duration::from_secs(30)..=longest).contains(&left), "{left:?}");

    // The database is not asked again: a change behind the cache is not seen.
    sqlx::query("UPDATE member SET display_name = 'Eve'").execute(&app.db).await.unwrap();
    let hits = metric("cache_requests_total{cache=\"auth:profile\",result=\"hit\"}");
    assert_eq!(me(&other, &token).await.body, first.body);
    assert_eq!(metric("cache_requests_total{cache=\"auth:profile\",result=\"hit\"}"), hits + 1.0);

    for n in 1..=10 {
        let name = format!("Ada {n}");
        rename(&app, &token, &format!("\"{n}\""), &name).await.expect(200);
        for replica in [&app, &other] {
            assert_eq!(me(replica, &token).await.json()["display_name"], name.as_str());
        }
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn without_redis_a_profile_comes_from_the_database(db: PgPool) {
    let mut server = Server::start().await;
    let app = TestApp::beside(db, &server).await;
    let token = app.member(ADA).await;
    me(&app, &token).await;
    server.kill();
    rename(&app, &token, "\"1\"", "Ada L").await.expect(200);
    assert_eq!(me(&app, &token).await.json()["display_name"], "Ada L");
    // Redis is back with its old data: the old name must not come back with it.
    server.restart().await;
    assert_eq!(me(&app, &token).await.json()["display_name"], "Ada L");
}
