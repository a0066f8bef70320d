//! Peppers: protection from a thief of the database, and rotation.

use argon2::password_hash::PasswordVerifier as _;
use auth::hasher::Hasher;
use kit::Clock;
use sqlx::PgPool;

use crate::app::{PASSWORD, TestApp};

const ADA: &str = "ada@example.org";

/// auth with the peppers of these versions.
async fn with(db: &PgPool, versions: &[u8]) -> TestApp {
    let peppers = versions.iter().map(|v| format!("{v}:{}", format!("{v:02x}").repeat(32)));
    let peppers = peppers.collect::<Vec<_>>().join(",");
    let hasher = Hasher::with(2, 20);
    let hasher =
        if versions.is_empty() { hasher } else { hasher.peppered(peppers.parse().unwrap()) };
    TestApp::with(db.clone(), Clock::system(), hasher).await
}

async fn hash(db: &PgPool) -> String {
    sqlx::query_scalar("SELECT hash FROM member_password").fetch_one(db).await.unwrap()
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_stolen_hash_is_not_even_opened_by_the_right_password(db: PgPool) {
    let app = with(&db, &[1]).await;
    app.register(ADA).await.expect(202);
    let stolen = hash(&db).await;
    assert!(stolen.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid=AQ$"), "{stolen}");
    let thief = argon2::Argon2::default();
    assert!(thief.verify_password(PASSWORD.as_bytes(), stolen.as_str()).is_err());
    app.login(ADA, PASSWORD).await.expect(200);
    app.login(ADA, "wrong").await.expect(401);

    // Without the pepper auth cannot check it either, which is an internal error and not a wrong password.
    let without = with(&db, &[]).await;
    assert_eq!(without.login(ADA, PASSWORD).await.expect(500).code(), "internal_error");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_pepper_is_taken_on_and_replaced_as_members_sign_in(db: PgPool) {
    let app = with(&db, &[]).await;
    let token = app.member(ADA).await;
    assert!(!hash(&db).await.contains("keyid"));
    for (versions, keyid) in [(&[1][..], "keyid=AQ$"), (&[1, 2], "keyid=Ag$"), (&[2], "keyid=Ag$")]
    {
        let app = with(&db, versions).await;
        app.login(ADA, "wrong").await.expect(401);
        app.login(ADA, PASSWORD).await.expect(200);
        assert!(hash(&db).await.contains(keyid), "{versions:?}: {}", hash(&db).await);
        app.login(ADA, PASSWORD).await.expect(200);
    }
    // The password is the same one, so no session has ended.
    app.api.get("/v1/me").bearer(&token).send().await.expect(200);
    // A return to a lower version keeps the hashes made with the higher one.
    let back = with(&db, &[2, 1]).await;
    back.login(ADA, PASSWORD).await.expect(200);
    assert!(hash(&db).await.contains("keyid=Ag$"));
}
