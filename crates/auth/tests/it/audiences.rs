//! Audiences: the services that an access token is for.

use auth::config::Grant;
use kit::caller::token::SERVICES;
use kit::caller::{Refused, Role};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::app::{PASSWORD, TestApp};

const ADA: &str = "ada@example.org";

async fn operator(db: PgPool) -> TestApp {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    app.verified(ADA).await;
    for role in [Role::Operator, Role::MerchantAdmin] {
        app.auth.grant(&Grant { email: ADA.to_owned(), role }).await.unwrap();
    }
    app
}

async fn login(app: &TestApp, audience: Option<&str>) -> Value {
    let mut body = json!({ "email": ADA, "password": PASSWORD });
    if let Some(audience) = audience {
        body["audience"] = json!(audience);
    }
    app.api.post("/v1/login").json(body).send().await.expect(200).json()
}

async fn renew(app: &TestApp, session: &Value, audience: Option<&str>) -> Value {
    let mut body = json!({ "refresh_token": session["refresh_token"] });
    if let Some(audience) = audience {
        body["audience"] = json!(audience);
    }
    app.api.post("/v1/refresh").json(body).send().await.expect(200).json()
}

fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn an_operators_token_is_for_one_service_and_no_other_can_use_it(db: PgPool) {
    let app = operator(db).await;
    for audience in SERVICES {
        let first = login(&app, Some(audience)).await;
        let renewed = renew(&app, &first, Some(audience)).await;
        for session in [&first, &renewed] {
            for service in SERVICES {
                let verdict = app.verifier_of(service).member(token(session)).await;
                if service == audience {
                    assert!(verdict.unwrap().roles.contains(&Role::Operator));
                } else {
                    assert_eq!(verdict.err(), Some(Refused::Invalid), "{audience} at {service}");
                }
            }
        }
    }
    // auth itself is one of them.
    let elsewhere = login(&app, Some("booking")).await;
    let refused = app.api.get("/v1/me").bearer(token(&elsewhere)).send().await.expect(401);
    assert_eq!(refused.code(), "invalid_token");
    let here = login(&app, Some("auth")).await;
    let me = app.api.get("/v1/me").bearer(token(&here)).send().await.expect(200).json();
    assert_eq!(me["roles"].as_array().unwrap().len(), 3);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_session_for_all_services_says_nothing_of_an_operator(db: PgPool) {
    let app = operator(db).await;
    let session = login(&app, None).await;
    let narrow = renew(&app, &session, Some("points")).await;
    let wide = renew(&app, &narrow, None).await;
    for session in [&session, &wide] {
        for service in SERVICES {
            let claims = app.verifier_of(service).member(token(session)).await.unwrap();
            assert!(!claims.roles.contains(&Role::Operator), "{service}");
            assert!(claims.roles.contains(&Role::MerchantAdmin), "{service}");
        }
    }
    let claims = app.verifier_of("points").member(token(&narrow)).await.unwrap();
    assert!(!claims.roles.contains(&Role::Operator), "narrower, and still no operator's");
    let elsewhere = app.verifier_of("booking").member(token(&narrow)).await;
    assert_eq!(elsewhere.err(), Some(Refused::Invalid));
    let somebody = format!("/v1/members/{}/disabled", uuid::Uuid::max());
    let refused = app.api.put(&somebody).bearer(token(&session)).send().await.expect(403);
    assert_eq!(refused.code(), "forbidden");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_session_for_one_service_stays_for_that_one(db: PgPool) {
    let app = operator(db).await;
    let session = login(&app, Some("points")).await;
    let body = json!({ "refresh_token": session["refresh_token"], "audience": "booking" });
    let refused = app.api.post("/v1/refresh").json(body).send().await.expect(422);
    assert_eq!(refused.code(), "audience_not_of_session");
    let used = sqlx::query_scalar("SELECT generation FROM session").fetch_one(&app.db);
    let used: i32 = used.await.unwrap();
    assert_eq!(used, 0, "the refused request has used up nothing");
    let renewed = renew(&app, &session, None).await;
    let claims = app.verifier_of("points").member(token(&renewed)).await.unwrap();
    assert!(claims.roles.contains(&Role::Operator));
    let elsewhere = app.verifier_of("booking").member(token(&renewed)).await;
    assert_eq!(elsewhere.err(), Some(Refused::Invalid));
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_session_is_ended_with_its_own_token_for_whichever_service(db: PgPool) {
    let app = operator(db).await;
    for audience in SERVICES {
        let session = login(&app, Some(audience)).await;
        let end = app.api.delete("/v1/sessions/current").bearer(token(&session));
        end.send().await.expect(204);
        assert_eq!(app.refresh(&session).await.expect(401).code(), "session_revoked");
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn an_audience_is_one_of_the_services(db: PgPool) {
    let app = operator(db).await;
    for wrong in [json!("everybody"), json!(""), json!(["auth", "points"]), json!(1)] {
        let body = json!({ "email": ADA, "password": PASSWORD, "audience": wrong });
        let reply = app.api.post("/v1/login").json(body).send().await.expect(422);
        assert_eq!(reply.json()["errors"][0]["field"], "audience", "{wrong}");
    }
}
