//! Grants: a member's consent, signed for one service.

use auth::app::ClientSecret;
use auth::domain::Actor;
use kit::caller::Refused;
use kit::caller::token::GRANT_LIFE;
use proto::auth::v1::auth_client::AuthClient;
use proto::auth::v1::issue_grant_request::Purpose;
use proto::auth::v1::{HoldPoints, IssueGrantRequest, IssueGrantResponse};
use sqlx::PgPool;
use testkit::grpc::{code, request};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::app::TestApp;

const ADA: &str = "ada@example.org";

fn terms() -> HoldPoints {
    HoldPoints {
        hold_id: Uuid::from_u128(1).to_string(),
        points: 50,
        merchant_id: Uuid::from_u128(2).to_string(),
    }
}

async fn service(app: &TestApp, id: &str) -> String {
    let text = "a secret of a service, of 32 bytes at least";
    let secret = ClientSecret::new(text.to_owned().into()).unwrap();
    app.auth.put_client(id, &secret).await.unwrap();
    let issued = app.auth.service_token(id, &text.to_owned().into()).await.unwrap();
    secrecy::ExposeSecret::expose_secret(&issued.token).to_owned()
}

async fn ask(
    app: &TestApp,
    service_token: &str,
    access_token: &str,
    terms: Option<HoldPoints>,
) -> Result<IssueGrantResponse, Status> {
    let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
    let purpose = terms.map(Purpose::HoldPoints);
    let message = IssueGrantRequest { access_token: access_token.to_owned(), purpose };
    client.issue_grant(request(message, service_token)).await.map(tonic::Response::into_inner)
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_grant_says_what_the_member_confirmed_and_for_whom(db: PgPool) {
    let app = TestApp::new(db).await;
    let (booking, token) = (service(&app, "booking").await, app.member(ADA).await);
    let issued = ask(&app, &booking, &token, Some(terms())).await.unwrap();
    assert_eq!(issued.expires_in, 24 * 3600);
    let verifier = app.auth.verifier();
    let grant = verifier.grant(&issued.grant).await.unwrap();
    assert_eq!(grant.sub, verifier.member(&token).await.unwrap().sub);
    assert_eq!((grant.act.as_str(), grant.points), ("booking", 50));
    assert_eq!(grant.hold_id, Uuid::from_u128(1));
    assert_eq!(grant.merchant_id, Uuid::from_u128(2));
    // A grant is accepted as nothing else.
    assert_eq!(verifier.member(&issued.grant).await.err(), Some(Refused::Invalid));
    assert_eq!(verifier.service(&issued.grant).await.err(), Some(Refused::Invalid));
    assert_eq!(verifier.grant(&token).await.err(), Some(Refused::Invalid));
    let nested = ask(&app, &booking, &issued.grant, Some(terms())).await.unwrap_err();
    assert_eq!(code(&nested), "invalid_token");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn only_booking_is_given_grants(db: PgPool) {
    let app = TestApp::new(db).await;
    let token = app.member(ADA).await;
    for other in ["points", "incidents", "inspector"] {
        let other = service(&app, other).await;
        let refused = ask(&app, &other, &token, Some(terms())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let refused = ask(&app, &token, &token, Some(terms())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "a member is no service");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn whoever_is_not_signed_in_any_more_confirms_nothing(db: PgPool) {
    let (app, elsewhere) = (TestApp::new(db.clone()).await, TestApp::new(db).await);
    let booking = service(&app, "booking").await;
    app.register(ADA).await.expect(202);
    // Another replica has ended the session a moment ago, and the feed does not have it yet.
    let (left, closed) = (app.token(ADA).await, app.token(ADA).await);
    elsewhere.api.delete("/v1/sessions/current").bearer(&left).send().await.expect(204);
    let refused = ask(&app, &booking, &left, Some(terms())).await.unwrap_err();
    let ended = (Code::FailedPrecondition, "session_revoked".to_owned());
    assert_eq!((refused.code(), code(&refused)), ended);
    let member = app.auth.verifier().member(&closed).await.unwrap().sub;
    elsewhere.auth.disable(member, Actor::CommandLine).await.unwrap();
    let refused = ask(&app, &booking, &closed, Some(terms())).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), ended);
    for nobody in ["", "nonsense", &booking] {
        let refused = ask(&app, &booking, nobody, Some(terms())).await.unwrap_err();
        let seen = (refused.code(), code(&refused));
        assert_eq!(seen, (Code::FailedPrecondition, "invalid_token".to_owned()), "{nobody}");
    }
    // UNAUTHENTICATED is about the service alone.
    let refused = ask(&app, "nonsense", &closed, Some(terms())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_grant_without_sense_is_refused(db: PgPool) {
    let app = TestApp::new(db).await;
    let (booking, token) = (service(&app, "booking").await, app.member(ADA).await);
    let no_id = |text: &str| text.to_owned();
    for (wrong, expected) in [
        (None, "purpose_missing"),
        (Some(HoldPoints { points: 0, ..terms() }), "invalid_amount"),
        (Some(HoldPoints { points: -5, ..terms() }), "invalid_amount"),
        (Some(HoldPoints { points: 1_000_000_001, ..terms() }), "invalid_amount"),
        (Some(HoldPoints { hold_id: no_id("1"), ..terms() }), "invalid_id"),
        (Some(HoldPoints { merchant_id: no_id(""), ..terms() }), "invalid_id"),
    ] {
        let refused = ask(&app, &booking, &token, wrong).await.unwrap_err();
        let seen = (refused.code(), code(&refused));
        assert_eq!(seen, (Code::InvalidArgument, expected.to_owned()));
    }
}

/// Makes the keys this much older.
async fn later(db: &PgPool, hours: f64) {
    let sql = "UPDATE signing_key SET signs_from = signs_from - make_interval(secs => $1 * 3600)";
    sqlx::query(sql).bind(hours).execute(db).await.unwrap();
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_grant_outlives_a_rotation_and_not_a_leak(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    let (booking, token) = (service(&app, "booking").await, app.member(ADA).await);
    let grant = ask(&app, &booking, &token, Some(terms())).await.unwrap().grant;
    app.auth.rotate_keys(false).await.unwrap();
    // The grant is valid to the end of its life, at every replica.
    later(&db, GRANT_LIFE.as_secs_f64() / 3600.0 + 0.02).await;
    let other = TestApp::new(db.clone()).await;
    assert_eq!(other.auth.public_keys().len(), 2);
    other.auth.verifier().grant(&grant).await.unwrap();

    other.auth.rotate_keys(true).await.unwrap();
    let after = TestApp::new(db).await;
    assert_eq!(after.auth.public_keys().len(), 1);
    assert_eq!(after.auth.verifier().grant(&grant).await.err(), Some(Refused::Invalid));
}
