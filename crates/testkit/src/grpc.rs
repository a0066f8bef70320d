//! Calls a gRPC service, or serves one on a free port.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::metadata::MetadataValue;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

/// A message with a service token and a deadline of 2 s, as `kit::grpc::Peer` sends it. The
/// generated client takes guarded routes as its channel, without a socket.
///
/// # Panics
/// When the token is no header value.
pub fn request<T>(message: T, service_token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {service_token}")).expect("a token");
    request.metadata_mut().insert("authorization", value);
    request.set_timeout(Duration::from_secs(2));
    request
}

/// The stable code of a failure, from its `ErrorInfo`.
pub fn code(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// A server on a free port of the loopback, until this is dropped.
pub struct Listening {
    pub url: String,
    _stop: DropGuard,
}

/// Serves routes over a real socket.
///
/// # Panics
/// When no port is free.
pub async fn listen(routes: Routes) -> Listening {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}", socket.local_addr().expect("its address"));
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(
        Server::builder()
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpIncoming::from(socket), stopped),
    );
    Listening { url, _stop: stop.drop_guard() }
}
