//! The signing keys, and their storage.

use std::time::Duration;

use auth::hasher::Hasher;
use kit::Clock;
use proto::auth::v1::GetKeysRequest;
use proto::auth::v1::auth_client::AuthClient;
use sqlx::PgPool;
use testkit::eventually;

use crate::app::{TestApp, lock_waits, open};

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_first_start_makes_a_key_and_the_next_ones_keep_it(db: PgPool) {
    // This transaction holds the table, so that all wait for it before one continues.
    let mut first = db.begin().await.unwrap();
    sqlx::query("LOCK TABLE signing_key").execute(&mut *first).await.unwrap();
    let starts = (0..4).map(|_| open(&db, Clock::system(), Hasher::new(), 1));
    let go = async {
        lock_waits(&db, 4).await;
        first.commit().await.unwrap();
    };
    let started = futures::join!(futures::future::join_all(starts), go).0;
    let kids: Vec<_> =
        started.into_iter().map(|auth| auth.unwrap().public_keys()[0].kid.clone()).collect();
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");

    let app = TestApp::new(db).await;
    assert_eq!(app.auth.public_keys()[0].kid, kids[0]);
    assert_eq!(app.count("signing_key").await, 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn keys_are_published_the_same_over_both_transports(db: PgPool) {
    let app = TestApp::new(db).await;
    let jwks = app.api.get("/.well-known/jwks.json").send().await.expect(200).json();
    let jwk = &jwks["keys"][0];
    assert_eq!((&jwk["kty"], &jwk["crv"]), (&"OKP".into(), &"Ed25519".into()));
    assert_eq!(jwk.as_object().unwrap().len(), 6, "nothing private: {jwk}");

    let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
    let keys = client.get_keys(GetKeysRequest {}).await.unwrap().into_inner().keys;
    assert_eq!(jwk["kid"], keys[0].kid.as_str());
    let x = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        &keys[0].public_key,
    );
    assert_eq!(jwk["x"], x.as_str());
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_wrong_key_encryption_key_is_refused_at_start(db: PgPool) {
    open(&db, Clock::system(), Hasher::new(), 1).await.unwrap();
    let error = open(&db, Clock::system(), Hasher::new(), 2).await.err().unwrap();
    assert!(format!("{error:#}").contains("AUTH_KEY_ENCRYPTION_KEY"), "{error:#}");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_service_cannot_rewrite_what_it_never_rewrites(db: PgPool) {
    let app = testkit::postgres::app_pool(&db, "auth_app");
    for statement in [
        "UPDATE member SET email = 'x@example.org'",
        "UPDATE member_password SET member_id = gen_random_uuid()",
        "UPDATE session SET member_id = gen_random_uuid()",
        "UPDATE session SET expires_at = now() + interval '1 year'",
        "UPDATE security_event SET kind = 'x'",
        "DELETE FROM security_event",
        "DELETE FROM member",
        "UPDATE signing_key SET sealed_seed = ''",
        "DELETE FROM service_client",
        "CREATE TABLE mine ()",
    ] {
        let refused = sqlx::query(statement).execute(&app).await.unwrap_err();
        let code = refused.as_database_error().and_then(|e| e.code().map(|c| c.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
}

/// Moves the creation of the keys into the past.
async fn later(app: &TestApp, minutes: i32) {
    let sql = "UPDATE signing_key SET signs_from = signs_from - make_interval(mins => $1)";
    sqlx::query(sql).bind(minutes).execute(&app.db).await.unwrap();
}

fn kid(token: &str) -> String {
    let engine = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = base64::Engine::decode(engine, token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_new_key_is_published_first_signs_later_and_the_old_one_verifies_to_its_end(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    let old = app.member("ada@example.org").await;
    app.auth.rotate_keys(false).await.unwrap();

    // A start loads what a running process sees at its next reload.
    let published = TestApp::new(db.clone()).await;
    assert_eq!(published.auth.public_keys().len(), 2);
    let still = published.token("ada@example.org").await;
    assert_eq!(kid(&still), kid(&old), "nobody may know the new one yet");

    later(&app, 3).await;
    let signing = TestApp::new(db.clone()).await;
    let new = signing.token("ada@example.org").await;
    assert_ne!(kid(&new), kid(&old));
    for token in [&old, &new] {
        signing.api.get("/v1/me").bearer(token).send().await.expect(200);
    }

    later(&app, 24 * 60).await;
    let grants = TestApp::new(db.clone()).await;
    assert_eq!(
        grants.auth.public_keys().len(),
        2,
        "a grant that the old one signed is good for a day"
    );
    later(&app, 7).await;
    let over = TestApp::new(db).await;
    assert_eq!(over.auth.public_keys().len(), 1);
    over.api.get("/v1/me").bearer(&new).send().await.expect(200);
    over.api.get("/v1/me").bearer(&old).send().await.expect(401);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_running_process_follows_and_an_old_key_is_replaced_by_itself(db: PgPool) {
    let app = TestApp::new(db).await;
    later(&app, 31 * 24 * 60).await;
    let _jobs = app.start_jobs();
    let two = || async { (app.auth.public_keys().len() == 2).then_some(()) };
    eventually(Duration::from_secs(20), two).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_leaked_key_opens_nothing_any_more_and_sessions_go_on(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let session = app.session("ada@example.org").await;
    let _jobs = app.start_jobs();

    app.auth.rotate_keys(true).await.unwrap();
    let stolen = session["access_token"].as_str().unwrap();
    let refused = || async {
        let reply = app.api.get("/v1/me").bearer(stolen).send().await;
        (reply.status == 401).then_some(())
    };
    eventually(Duration::from_secs(20), refused).await;
    let fresh = app.refresh(&session).await.expect(200).json();
    let fresh = fresh["access_token"].as_str().unwrap();
    app.api.get("/v1/me").bearer(fresh).send().await.expect(200);
}
