//! Access tokens, verified here and by introspection.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use kit::Clock;
use proto::auth::v1::auth_client::AuthClient;
use proto::auth::v1::{ValidateTokenRequest, ValidateTokenResponse};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::grpc::request;
use testkit::tokens::Issuer;
use uuid::Uuid;

use crate::app::{PASSWORD, TestApp, metric, open};

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn an_access_token_says_what_it_must(db: PgPool) {
    let app = TestApp::new(db).await;
    let token = app.member("ada@example.org").await;

    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    let jwks = app.api.get("/.well-known/jwks.json").send().await.expect(200).json();
    assert_eq!(header["kid"], jwks["keys"][0]["kid"]);
    assert_eq!(claims["iss"], "auth");
    assert_eq!(claims["aud"], json!(["auth", "points", "booking", "incidents"]));
    assert_eq!(claims["client_id"], "first_party");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    assert_eq!(claims["nbf"], claims["iat"]);
    for id in ["sub", "sid", "jti"] {
        assert!(claims[id].as_str().unwrap().parse::<Uuid>().is_ok(), "{id}");
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_forged_token_opens_nothing(db: PgPool) {
    let app = TestApp::new(db).await;
    let token = app.member("ada@example.org").await;
    let (header, claims) = (part(&token, 0), part(&token, 1));
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let jwks = app.api.get("/.well-known/jwks.json").send().await.json();
    let public = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    let kid = header["kid"].as_str().unwrap();

    let hs256 =
        format!("{}.{body}", encode(&json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid })));
    let mac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public);
    let mac = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&mac, hs256.as_bytes()));
    let none = encode(&json!({ "alg": "none", "typ": "at+jwt", "kid": kid }));
    let mut promoted = claims.clone();
    promoted["roles"] = json!(["member", "operator"]);
    let mut forever = claims.clone();
    forever["exp"] = json!("never");
    // A forger without the key may still use the key's name.
    let forger = Issuer::with_key(kid, [9; 32], Clock::system());

    for forged in [
        format!("{none}.{body}."),
        format!("{hs256}.{mac}"),
        format!("{head}.{}.{signature}", encode(&promoted)),
        format!("{head}.{}.{signature}", encode(&forever)),
        format!("{head}.{body}.{}", &signature[..40]),
        format!("{head}.{body}"),
        forger.member(Uuid::nil()),
        Issuer::new().member(Uuid::nil()),
        "x".to_owned(),
    ] {
        let reply = app.api.get("/v1/me").bearer(&forged).send().await.expect(401);
        assert_eq!(reply.code(), "invalid_token", "{forged}");
        assert_eq!(validate(&app, &forged).await, ValidateTokenResponse::default());
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_token_ends_after_five_minutes(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    let token = app.member("ada@example.org").await;

    let later = Clock::fixed(Clock::system().now() + TimeDelta::seconds(300 + 31));
    let later = TestApp::with(db, later, auth::hasher::Hasher::new()).await;
    let reply = later.api.get("/v1/me").bearer(&token).send().await.expect(401);
    assert_eq!(reply.code(), "token_expired");
    assert!(!validate(&later, &token).await.active);
    assert_eq!(metric("auth_token_validation_total{status=\"expired\"}"), 1.0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_service_can_ask_whether_a_token_is_valid_right_now(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let login = app.login("ada@example.org", PASSWORD).await.expect(200).json();
    let token = login["access_token"].as_str().unwrap();

    let known = validate(&app, token).await;
    assert!(known.active);
    assert_eq!(login["member_id"], known.member_id.as_str());
    assert_eq!(known.roles, ["member"]);
    assert_eq!(known.expires_at, part(token, 1)["exp"].as_i64().unwrap());

    // The session has ended, and the signature is still correct.
    sqlx::query("DELETE FROM session").execute(&app.db).await.unwrap();
    assert_eq!(validate(&app, token).await, ValidateTokenResponse::default());
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_token_of_another_auth_is_refused(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    let token = app.member("ada@example.org").await;
    sqlx::query("DELETE FROM signing_key").execute(&db).await.unwrap();
    let other = open(&db, Clock::system(), auth::hasher::Hasher::new(), 1).await.unwrap();
    assert!(other.introspect(&token).await.unwrap().is_none());
}

/// Introspects a token as `inspector`, past the guard.
pub async fn validate(app: &TestApp, token: &str) -> ValidateTokenResponse {
    let secret = "s".repeat(32);
    let client = auth::app::ClientSecret::new(secret.clone().into()).unwrap();
    app.auth.put_client("inspector", &client).await.unwrap();
    let ours = app.auth.service_token("inspector", &secret.into()).await.unwrap();
    let ours = secrecy::ExposeSecret::expose_secret(&ours.token).to_owned();

    let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
    let message = ValidateTokenRequest { token: token.to_owned() };
    client.validate_token(request(message, &ours)).await.unwrap().into_inner()
}
