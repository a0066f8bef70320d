//! Service tokens: how they are issued, and what they give access to.

use auth::app::ClientSecret;
use auth::domain::Actor;
use kit::Clock;
use kit::caller::{ServiceCaller, Verifier};
use kit::config;
use kit::grpc::{Allowlist, Peer, guard};
use proto::auth::v1::auth_client::AuthClient;
use proto::auth::v1::{GetMemberRequest, IssueServiceTokenRequest, ValidateTokenRequest};
use proto::points::v1::points_client::PointsClient;
use proto::points::v1::points_server::{Points, PointsServer};
use proto::points::v1::{EarnRequest, EarnResponse, GetBalanceRequest, GetBalanceResponse};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use std::time::Duration;
use testkit::eventually;
use testkit::grpc::{Listening, code, listen, request};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use crate::app::TestApp;

const SECRET: &str = "a secret of booking, of 32 bytes at least";

/// Answers with the caller's name.
struct Mirror;

#[tonic::async_trait]
impl Points for Mirror {
    async fn earn(&self, request: Request<EarnRequest>) -> Result<Response<EarnResponse>, Status> {
        let caller = request.extensions().get::<ServiceCaller>().unwrap();
        Ok(Response::new(EarnResponse { entry_id: caller.name.clone(), ..EarnResponse::default() }))
    }

    async fn get_balance(
        &self,
        _: Request<GetBalanceRequest>,
    ) -> Result<Response<GetBalanceResponse>, Status> {
        Ok(Response::new(GetBalanceResponse::default()))
    }
}

const ALLOW: Allowlist =
    &[("/points.v1.Points/Earn", &["booking"]), ("/points.v1.Points/GetBalance", &["incidents"])];

fn config(auth: &Listening, id: &str, secret: &str) -> config::Auth {
    config::Auth {
        auth_grpc_url: auth.url.clone(),
        service_client_id: id.to_owned(),
        service_client_secret: secret.to_owned().into(),
        tls: config::PeerTls::default(),
    }
}

async fn with_client(db: PgPool, id: &str) -> TestApp {
    let app = TestApp::new(db).await;
    let secret = ClientSecret::new(SECRET.to_owned().into()).unwrap();
    app.auth.put_client(id, &secret).await.unwrap();
    app
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_service_gets_a_token_and_is_let_in_where_it_is_listed(db: PgPool) {
    let app = with_client(db, "booking").await;
    let auth = listen(auth::grpc::routes(app.auth.clone())).await;
    let verifier = Verifier::from_auth(&config(&auth, "points", "-"), Clock::system()).unwrap();
    let points = listen(guard(Routes::new(PointsServer::new(Mirror)), verifier, ALLOW)).await;
    let peer = Peer::new(&points.url, &config(&auth, "booking", SECRET)).unwrap();

    let earn = || {
        let mut client = PointsClient::new(peer.clone());
        async move { client.earn(EarnRequest::default()).await.ok() }
    };
    let reply = eventually(Duration::from_secs(5), earn).await;
    assert_eq!(reply.into_inner().entry_id, "booking");

    let refused = PointsClient::new(peer).get_balance(GetBalanceRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_wrong_secret_and_an_unknown_client_look_the_same(db: PgPool) {
    let app = with_client(db, "booking").await;
    for (id, secret) in [
        ("booking", "a secret of booking, of 32 bytes at leasT"),
        ("booking", ""),
        ("nobody", SECRET),
        ("", ""),
    ] {
        let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
        let message =
            IssueServiceTokenRequest { client_id: id.to_owned(), client_secret: secret.to_owned() };
        let refused = client.issue_service_token(message).await.unwrap_err();
        assert_eq!(
            (refused.code(), code(&refused).as_str()),
            (Code::Unauthenticated, "invalid_client")
        );
        assert_eq!(refused.message(), "unknown client or wrong secret");
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_replaced_secret_opens_nothing_any_more(db: PgPool) {
    let app = with_client(db, "booking").await;
    app.auth.service_token("booking", &SECRET.to_owned().into()).await.unwrap();
    let fresh = "another secret of booking, just as long";
    let secret = ClientSecret::new(fresh.to_owned().into()).unwrap();
    app.auth.put_client("booking", &secret).await.unwrap();

    app.auth.service_token("booking", &SECRET.to_owned().into()).await.unwrap_err();
    app.auth.service_token("booking", &fresh.to_owned().into()).await.unwrap();
    let stored: Vec<u8> = sqlx::query_scalar("SELECT secret_hash FROM service_client")
        .fetch_one(&app.db)
        .await
        .unwrap();
    assert_ne!(stored, fresh.as_bytes());
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn introspection_is_for_services_only(db: PgPool) {
    let app = TestApp::new(db).await;
    let member = app.member("ada@example.org").await;
    let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
    let message = ValidateTokenRequest { token: member.clone() };

    let refused = client.validate_token(message.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = client.validate_token(request(message, &member)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn an_inspector_learns_whom_to_write_to_and_nothing_else(db: PgPool) {
    let app = with_client(db, "inspector").await;
    app.register("ada@example.org").await.expect(202);
    let member: uuid::Uuid =
        sqlx::query_scalar("SELECT member_id FROM member").fetch_one(&app.db).await.unwrap();
    let token = app.auth.service_token("inspector", &SECRET.to_owned().into()).await.unwrap();
    let ask = |id: String| {
        let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
        let message = request(GetMemberRequest { member_id: id }, token.token.expose_secret());
        async move { client.get_member(message).await.map(Response::into_inner) }
    };
    let known = ask(member.to_string()).await.unwrap();
    assert_eq!((known.display_name.as_str(), known.email.as_str()), ("Ada", ""), "not verified");
    sqlx::query("UPDATE member SET verified_at = now()").execute(&app.db).await.unwrap();
    assert_eq!(ask(member.to_string()).await.unwrap().email, "ada@example.org");

    assert_eq!(code(&ask("ada".to_owned()).await.unwrap_err()), "invalid_id");
    let unknown = ask(Clock::system().id().to_string()).await.unwrap_err();
    app.auth.disable(member, Actor::CommandLine).await.unwrap();
    let disabled = ask(member.to_string()).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (disabled.code(), disabled.message()));
    assert_eq!((unknown.code(), code(&unknown).as_str()), (Code::NotFound, "not_found"));
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn who_is_a_member_no_service_of_ours_may_ask(db: PgPool) {
    let app = with_client(db, "points").await;
    let secret = ClientSecret::new(SECRET.to_owned().into()).unwrap();
    app.auth.put_client("incidents", &secret).await.unwrap();
    app.auth.put_client("booking", &secret).await.unwrap();
    let message = GetMemberRequest { member_id: Clock::system().id().to_string() };
    for service in ["points", "incidents", "booking"] {
        let token = app.auth.service_token(service, &SECRET.to_owned().into()).await.unwrap();
        let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
        let call = request(message.clone(), token.token.expose_secret());
        assert_eq!(client.get_member(call).await.unwrap_err().code(), Code::PermissionDenied);
    }
    let member = app.member("ada@example.org").await;
    let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
    let refused = client.get_member(request(message, &member)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}
