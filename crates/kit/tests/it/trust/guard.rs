//! Services and the methods they may call.

use kit::caller::{ServiceCaller, Verifier};
use kit::grpc::{Allowlist, guard};
use proto::points::v1::points_client::PointsClient;
use proto::points::v1::points_server::{Points, PointsServer};
use proto::points::v1::{EarnRequest, EarnResponse, GetBalanceRequest, GetBalanceResponse};
use std::sync::Arc;
use std::time::Duration;
use testkit::grpc::{code, listen, request};
use testkit::tokens::Issuer;
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

/// Answers with its view of the caller.
pub struct Mirror;

#[tonic::async_trait]
impl Points for Mirror {
    async fn earn(&self, request: Request<EarnRequest>) -> Result<Response<EarnResponse>, Status> {
        let caller = request.extensions().get::<ServiceCaller>().unwrap();
        let left = kit::deadline::remaining().unwrap_or_default().as_millis();
        Ok(Response::new(EarnResponse {
            entry_id: caller.name.clone(),
            balance: left.try_into().unwrap(),
            ..EarnResponse::default()
        }))
    }

    async fn get_balance(
        &self,
        _: Request<GetBalanceRequest>,
    ) -> Result<Response<GetBalanceResponse>, Status> {
        Ok(Response::new(GetBalanceResponse::default()))
    }
}

const ALLOW: Allowlist = &[("/points.v1.Points/Earn", &["booking"])];
const OPEN: Allowlist = &[("/points.v1.Points/GetBalance", &["*"])];

pub fn mirror(verifier: Verifier, allow: Allowlist) -> Routes {
    guard(Routes::new(PointsServer::new(Mirror)), verifier, allow)
}

pub fn mirror_for_booking(verifier: Verifier) -> Routes {
    mirror(verifier, ALLOW)
}

async fn earn(request: Request<EarnRequest>) -> Result<EarnResponse, Status> {
    let routes = mirror(Issuer::new().verifier(), ALLOW);
    PointsClient::new(routes).earn(request).await.map(Response::into_inner)
}

#[tokio::test]
async fn a_service_on_the_list_is_let_in_by_name_with_its_deadline() {
    let token = Issuer::new().service("booking");
    let reply = earn(request(EarnRequest::default(), &token)).await.unwrap();
    assert_eq!(reply.entry_id, "booking");
    assert!((1..=2000).contains(&reply.balance), "{} ms left", reply.balance);
}

#[tokio::test]
async fn no_token_or_another_kind_is_unauthenticated() {
    let issuer = Issuer::new();
    let mut none = Request::new(EarnRequest::default());
    none.set_timeout(Duration::from_secs(2));
    let stranger = Issuer::with_key("test-key", [9; 32], kit::Clock::system());
    for request in [
        none,
        request(EarnRequest::default(), &issuer.member(Uuid::nil())),
        request(EarnRequest::default(), &stranger.service("booking")),
        request(EarnRequest::default(), "nonsense"),
    ] {
        let refused = earn(request).await.unwrap_err();
        assert_eq!(
            (refused.code(), code(&refused).as_str()),
            (Code::Unauthenticated, "invalid_token")
        );
    }
}

#[tokio::test]
async fn a_service_that_is_not_on_the_list_is_denied() {
    let refused = earn(request(EarnRequest::default(), &Issuer::new().service("incidents"))).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), code(&refused).as_str()), (Code::PermissionDenied, "forbidden"));
    // A service cannot name itself `*` to match an open list.
    let star = earn(request(EarnRequest::default(), &Issuer::new().service("*"))).await;
    assert_eq!(star.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_method_that_is_not_listed_is_denied() {
    let mut client = PointsClient::new(mirror(Issuer::new().verifier(), ALLOW));
    let token = Issuer::new().service("booking");
    let refused = client.get_balance(request(GetBalanceRequest::default(), &token)).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_guarded_call_needs_a_deadline() {
    let token = Issuer::new().service("booking");
    for wrong in [None, Some(""), Some("2"), Some("2s"), Some("-1S")] {
        let mut request = request(EarnRequest::default(), &token);
        request.metadata_mut().remove("grpc-timeout");
        if let Some(wrong) = wrong {
            request.metadata_mut().insert("grpc-timeout", wrong.parse().unwrap());
        }
        let refused = earn(request).await.unwrap_err();
        let said = (refused.code(), code(&refused));
        assert_eq!(said, (Code::InvalidArgument, "deadline_required".to_owned()), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_open_method_needs_neither() {
    let mut client =
        PointsClient::new(mirror(Verifier::empty("points", kit::Clock::system()), OPEN));
    client.get_balance(GetBalanceRequest::default()).await.unwrap();
}

/// Begins, and ends once it is told to.
#[derive(Clone, Default)]
struct Slow {
    began: Arc<Notify>,
    go_on: Arc<Notify>,
    ended: Arc<Notify>,
}

#[tonic::async_trait]
impl Points for Slow {
    async fn earn(&self, _: Request<EarnRequest>) -> Result<Response<EarnResponse>, Status> {
        self.began.notify_one();
        self.go_on.notified().await;
        self.ended.notify_one();
        Ok(Response::new(EarnResponse::default()))
    }

    async fn get_balance(
        &self,
        _: Request<GetBalanceRequest>,
    ) -> Result<Response<GetBalanceResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tokio::test]
async fn a_call_ends_though_its_client_hangs_up_or_its_deadline_passes() {
    let (slow, token) = (Slow::default(), Issuer::new().service("booking"));
    let routes = Routes::new(PointsServer::new(slow.clone()));
    let server = listen(guard(routes, Issuer::new().verifier(), ALLOW)).await;
    for deadline in [None, Some(Duration::from_millis(100))] {
        let mut client = PointsClient::connect(server.url.clone()).await.unwrap();
        let mut earning = request(EarnRequest::default(), &token);
        if let Some(deadline) = deadline {
            earning.set_timeout(deadline);
        }
        let call = tokio::spawn(async move { client.earn(earning).await.map(drop) });
        slow.began.notified().await;
        if deadline.is_none() {
            call.abort();
        }
        let answer = call.await;
        assert!(answer.is_err() || answer.unwrap().is_err(), "{deadline:?}: nobody waits any more");
        // By now the server knows.
        tokio::time::sleep(Duration::from_millis(100)).await;
        slow.go_on.notify_one();
        let ended = timeout(Duration::from_secs(5), slow.ended.notified()).await;
        assert!(ended.is_ok(), "{deadline:?}: the call was cut off");
    }
}
