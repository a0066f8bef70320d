use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use observability::{Config, Sinks, SpanKind, context};
use tokio::net::TcpListener;

use crate::support::Log;

/// A collector that stores its messages.
async fn collector() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let sink = received.clone();
    let export = async move |message: Bytes| {
        sink.lock().unwrap().extend_from_slice(&message);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        // An empty message: not compressed, no bytes.
        let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)];
        let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, axum::Error>)));
        let grpc = ("content-type", "application/grpc");
        Response::builder().header(grpc.0, grpc.1).body(Body::new(body)).unwrap()
    };
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route(path, post(export));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_reach_the_collector_and_say_who_sent_them() {
    let (address, received) = collector().await;
    let sinks = Sinks { log: Some(Box::new(Log::default())), spans: None };
    let config = Config {
        otlp_endpoint: format!("http://{address}"),
        environment: "staging".to_owned(),
        ..Config::default()
    };
    let guard = observability::init_with("points", "0.1.0", &config, sinks).unwrap();
    context::span("the last work", SpanKind::Internal, async {}).await;
    drop(guard);

    let received = received.lock().unwrap();
    let text = String::from_utf8_lossy(&received);
    for part in [
        "the last work",
        "service.name",
        "points",
        "service.version",
        "0.1.0",
        "service.instance.id",
        "deployment.environment.name",
        "staging",
    ] {
        assert!(text.contains(part), "{part} was not sent: {text}");
    }
}
