//! The commands of an operator.

use std::path::PathBuf;

use auth::config::{Client, Grant};
use kit::Clock;
use kit::caller::Role;
use serde_json::json;
use sqlx::PgPool;

use crate::app::TestApp;

fn grant(email: &str, role: Role) -> Grant {
    Grant { email: email.to_owned(), role }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_granted_role_is_in_the_next_token(db: PgPool) {
    let app = TestApp::new(db).await;
    let before = app.member("ada@example.org").await;
    app.verified("ada@example.org").await;
    app.auth.grant(&grant("Ada@Example.org", Role::MerchantAdmin)).await.unwrap();
    app.auth.grant(&grant("ada@example.org", Role::MerchantAdmin)).await.unwrap();

    let roles = |token: String| {
        let verifier = app.auth.verifier();
        async move { verifier.member(&token).await.unwrap().roles }
    };
    assert_eq!(roles(before).await, [Role::Member]);
    let after = app.token("ada@example.org").await;
    assert_eq!(roles(after.clone()).await, [Role::Member, Role::MerchantAdmin]);
    let me = app.api.get("/v1/me").bearer(&after).send().await.expect(200).json();
    assert_eq!(me["roles"], json!(["member", "merchant_admin"]));
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn nobody_unknown_gets_a_role(db: PgPool) {
    let app = TestApp::new(db).await;
    let error = app.auth.grant(&grant("eve@example.org", Role::Operator)).await.unwrap_err();
    assert_eq!(error.to_string(), "no member has this address");
    app.auth.grant(&grant("eve", Role::Operator)).await.unwrap_err();
    assert_eq!(app.count("member_role").await, 0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_client_is_made_from_a_file_with_a_long_secret(db: PgPool) {
    let app = TestApp::new(db).await;
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(Clock::system().id().to_string());
    let client = Client { id: "booking".to_owned(), secret_file: file.clone() };

    app.auth.install_client(&client).await.unwrap_err();
    std::fs::write(&file, "too short\n").unwrap();
    app.auth.install_client(&client).await.unwrap_err();
    let secret = "0123456789abcdef0123456789abcdef";
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    app.auth.install_client(&client).await.unwrap();
    std::fs::remove_file(&file).unwrap();

    app.auth.service_token("booking", &secret.to_owned().into()).await.unwrap();
    let wrong = Client { id: "Booking!".to_owned(), ..client };
    app.auth.install_client(&wrong).await.unwrap_err();
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_role_that_is_taken_back_is_in_no_token_any_more(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    app.verified("ada@example.org").await;
    for role in [Role::Operator, Role::Staff] {
        app.auth.grant(&grant("ada@example.org", role)).await.unwrap();
    }
    let session = app.session("ada@example.org").await;
    app.auth.revoke(&grant("Ada@example.org", Role::Operator)).await.unwrap();

    assert_eq!(app.refresh(&session).await.expect(401).code(), "session_revoked");
    let token = app.token("ada@example.org").await;
    let roles = app.auth.verifier().member(&token).await.unwrap().roles;
    assert_eq!(roles, [Role::Member, Role::Staff]);
    let me = app.api.get("/v1/me").bearer(&token).send().await.expect(200).json();
    assert_eq!(me["roles"], json!(["member", "staff"]));
    for (email, role) in [("ada@example.org", Role::Operator), ("eve@example.org", Role::Staff)] {
        let error = app.auth.revoke(&grant(email, role)).await.unwrap_err();
        assert_eq!(error.to_string(), "no member with this address has this role");
    }
    app.refresh(&session).await.expect(401);
    app.api.get("/v1/me").bearer(&token).send().await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn what_operators_and_strangers_do_is_written_down(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    app.verified("ada@example.org").await;
    app.auth.grant(&grant("ada@example.org", Role::Staff)).await.unwrap();
    app.auth.revoke(&grant("ada@example.org", Role::Staff)).await.unwrap();
    let secret = "0123456789abcdef0123456789abcdef".to_owned();
    let secret = auth::app::ClientSecret::new(secret.into()).unwrap();
    app.auth.put_client("booking", &secret).await.unwrap();
    for email in ["ada@example.org", "eve@example.org"] {
        for _ in 0..5 {
            app.login(email, "wrong").await.expect(401);
        }
    }
    let sql = "SELECT kind, member_id IS NOT NULL FROM security_event ORDER BY occurred_at, kind";
    let events: Vec<(String, bool)> = sqlx::query_as(sql).fetch_all(&app.db).await.unwrap();
    let events: Vec<_> = events.iter().map(|(kind, known)| (kind.as_str(), *known)).collect();
    assert_eq!(
        events,
        [
            ("role_granted", true),
            ("role_revoked", true),
            ("client_secret_set", false),
            ("sign_in_locked", true),
            ("sign_in_locked", false),
        ]
    );
}
