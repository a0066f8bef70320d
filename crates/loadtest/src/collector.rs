//! A trace collector that takes everything and keeps nothing: what a real one costs is not ours.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tokio::net::TcpListener;

/// A gRPC message of no bytes.
const EMPTY: &[u8] = &[0; 5];

/// Starts one, and says where it is.
pub(crate) async fn start() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let routes = Router::new().route(export, post(take));
    tokio::spawn(axum::serve(listener, routes).into_future());
    Ok(format!("http://{address}"))
}

async fn take(body: Body) -> Response {
    let _ = body.collect().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(EMPTY)).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    let media_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", media_type);
    response
}
