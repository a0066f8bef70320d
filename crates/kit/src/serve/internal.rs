//! The gRPC server. It is tonic's own server, because that handles `grpc-timeout`.

use std::convert::Infallible;
use std::time::Duration;

use futures::stream;
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_reflection::server as reflection;

use super::acceptor::Acceptor;
use super::connection::Connection;
use crate::config::Limits;
use crate::health::Health;

/// Time limit for a peer to answer a ping.
const PING: Duration = Duration::from_secs(10);

/// The server, with or without TLS, and its services.
pub(super) struct Grpc {
    pub(super) server: Server,
    pub(super) routes: Routes,
}

/// Serves until `stop`, then until the calls in flight are answered.
pub(super) async fn serve(
    listener: TcpListener,
    Grpc { server, routes }: Grpc,
    health: Health,
    limits: Limits,
    stop: CancellationToken,
) {
    let names = method_services(health.service());
    let reflection = names
        .iter()
        .fold(reflection::Builder::configure(), reflection::Builder::with_service_name)
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .build_v1();
    let routes = match reflection {
        Ok(reflection) => routes.add_service(reflection),
        Err(error) => {
            tracing::error!(error = %error, "the descriptors are malformed: no reflection");
            routes
        }
    };
    let routes = routes.add_service(health.grpc(names, stop.clone()).await);
    // Our own accept loop: tonic's retries without a pause when no file descriptors are left.
    let connections =
        stream::unfold(Acceptor::new(listener, &limits), move |acceptor| async move {
            let connection = Connection::first_byte_only(acceptor.next().await, &limits);
            Some((Ok::<_, Infallible>(connection), acceptor))
        });
    let served = server
        .layer(observability::grpc::layer(proto::DESCRIPTORS, health.service()))
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PING))
        .http2_max_pending_accept_reset_streams(Some(20))
        .max_concurrent_streams(200)
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, stop.cancelled())
        .await;
    if let Err(error) = served {
        tracing::error!(error = %crate::error::Chain(&error), "the gRPC server failed");
    }
}

/// Returns the services of `points.v1` and so on, for a process named `points`.
fn method_services(process: &str) -> Vec<String> {
    let files = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap_or_default().file;
    let ours = files.iter().filter(|file| file.package().split('.').next() == Some(process));
    ours.flat_map(|file| {
        file.service.iter().map(|service| format!("{}.{}", file.package(), service.name()))
    })
    .collect()
}
