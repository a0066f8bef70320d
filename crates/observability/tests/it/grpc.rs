use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures::StreamExt;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use opentelemetry::trace::Status as SpanStatus;
use proto::points::v1::points_client::PointsClient;
use proto::points::v1::points_server::{Points, PointsServer};
use proto::points::v1::{EarnRequest, EarnResponse, GetBalanceRequest, GetBalanceResponse};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};
use tower::{Layer, ServiceExt};

use crate::support::{eventually, metric, metrics, telemetry};

/// Answers according to the member's id.
pub struct Service;

#[tonic::async_trait]
impl Points for Service {
    async fn earn(&self, _: Request<EarnRequest>) -> Result<Response<EarnResponse>, Status> {
        panic!("earned too much")
    }

    async fn get_balance(
        &self,
        request: Request<GetBalanceRequest>,
    ) -> Result<Response<GetBalanceResponse>, Status> {
        tracing::info!("balance asked");
        match request.get_ref().member_id.as_str() {
            "unknown" => Err(Status::not_found("no such member")),
            "broken" => Err(Status::internal("internal error")),
            "slow" => futures::future::pending().await,
            _ => Ok(Response::new(GetBalanceResponse { available: 7, ..Default::default() })),
        }
    }
}

pub async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(observability::grpc::layer(proto::DESCRIPTORS, "points"))
        .add_service(PointsServer::new(Service));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

pub type Client = PointsClient<observability::grpc::Client<Channel>>;

pub async fn client(address: SocketAddr) -> Client {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    PointsClient::new(observability::grpc::client_layer().layer(channel))
}

pub fn balance_of(member: &str) -> GetBalanceRequest {
    GetBalanceRequest { member_id: member.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_method_answers_internal_is_counted_once_and_the_connection_lives() {
    let telemetry = telemetry();
    let mut client = client(serve().await).await;
    let mut request = Request::new(EarnRequest::default());
    request.metadata_mut().insert("x-request-id", "r-1".parse().unwrap());

    let status = client.earn(request).await.unwrap_err();

    assert_eq!(status.metadata().get("x-request-id").unwrap(), "r-1");
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    let balance = client.get_balance(balance_of("ada")).await.unwrap();
    assert_eq!(balance.get_ref().available, 7, "the connection serves on");

    let line = telemetry.log.line("panicked").await;
    assert_eq!(line["panic"], "earned too much");
    assert_eq!(line["route"], "points.v1.Points/Earn");
    assert_eq!(line["request_id"], "r-1");
    assert_eq!(line["client_ip"], "127.0.0.1");
    assert!(line["stack"].as_str().unwrap().contains("Service"), "{line}");
    let access = telemetry.log.line("call").await;
    assert_eq!((&access["code"], &access["request_id"]), (&"INTERNAL".into(), &"r-1".into()));
    assert_eq!(metric("panic_total"), Some(1.0));
    assert_eq!(metric(r#"panic_by_endpoint_total{endpoint="points.v1.Points/Earn"}"#), Some(1.0));
    let requests = r#"grpc_requests_total{code="INTERNAL",method="points.v1.Points/Earn"}"#;
    assert_eq!(metric(requests), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_servers_own_faults_are_errors() {
    let telemetry = telemetry();
    let mut client = client(serve().await).await;
    for member in ["ada", "unknown", "broken"] {
        let _ = client.get_balance(balance_of(member)).await;
    }
    let spans = telemetry.spans(6).await;
    let server = spans.iter().filter(|span| span.span_kind == observability::SpanKind::Server);
    let ends: Vec<_> = server.map(|span| span.status.clone()).collect();
    assert_eq!(ends, [SpanStatus::Unset, SpanStatus::Unset, SpanStatus::error("")]);
    for code in ["OK", "NOT_FOUND", "INTERNAL"] {
        let labels = format!(r#"{{code="{code}",method="points.v1.Points/GetBalance"}}"#);
        assert_eq!(metric(&format!("grpc_requests_total{labels}")), Some(1.0));
        assert_eq!(metric(&format!("grpc_client_requests_total{labels}")), Some(1.0));
    }
    let count = r#"grpc_request_duration_seconds_count{method="points.v1.Points/GetBalance"}"#;
    assert_eq!(metric(count), Some(3.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_methods_share_one_label() {
    let _telemetry = telemetry();
    let address = serve().await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut grpc = tonic::client::Grpc::new(channel);
    for n in 0..200 {
        grpc.ready().await.unwrap();
        let path = format!("/points.v1.Points/Random{n}").parse().unwrap();
        let codec = tonic_prost::ProstCodec::<GetBalanceRequest, GetBalanceResponse>::default();
        let status = grpc.unary(Request::new(balance_of("ada")), path, codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
    }
    let other = r#"grpc_requests_total{code="UNIMPLEMENTED",method="other"}"#;
    assert_eq!(metric(other), Some(200.0));
    assert!(!metrics().contains("Random"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_is_counted_as_cancelled_on_both_sides() {
    let telemetry = telemetry();
    let mut client = client(serve().await).await;
    let mut request = Request::new(balance_of("slow"));
    request.set_timeout(std::time::Duration::from_millis(50));
    let _ = client.get_balance(request).await.unwrap_err();
    let cancelled = r#"grpc_requests_total{code="CANCELLED",method="points.v1.Points/GetBalance"}"#;
    eventually(|| (metric(cancelled) == Some(1.0)).then_some(())).await;
    telemetry.spans(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_panics_after_its_head_ends_with_internal() {
    let telemetry = telemetry();
    let panicking = tower::service_fn(async |_: http::Request<()>| {
        let stream = futures::stream::once(async { panic!("half way") });
        let body = StreamBody::new(stream.map(|frame: Frame<Bytes>| Ok::<_, Status>(frame)));
        Ok::<_, Infallible>(http::Response::new(tonic::body::Body::new(body)))
    });
    let layer = observability::grpc::layer(proto::DESCRIPTORS, "points");
    let request =
        http::Request::builder().uri("/points.v1.Points/Earn").header("x-request-id", "r-1");
    let answer = layer.layer(panicking).oneshot(request.body(()).unwrap()).await.unwrap();

    let body = answer.into_body().collect().await.unwrap();

    let trailers = body.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], (Code::Internal as i32).to_string());
    assert_eq!(telemetry.log.line("panicked").await["request_id"], "r-1");
    assert_eq!(telemetry.log.line("call").await["code"], "INTERNAL");
    assert_eq!(metric(r#"panic_by_endpoint_total{endpoint="points.v1.Points/Earn"}"#), Some(1.0));
    let requests = r#"grpc_requests_total{code="INTERNAL",method="points.v1.Points/Earn"}"#;
    assert_eq!(metric(requests), Some(1.0));
}
