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

/// A server on the loopback, until this is dropped.
pub struct Listening {
    pub url: String,
    _stop: DropGuard,
}

/// Serves routes over a real socket, on a free port.
///
/// # Panics
/// When no port is free.
pub async fn listen(routes: Routes) -> Listening {
    listen_on(0, routes).await
}

/// Serves routes on this port of the loopback.
///
/// # Panics
/// When the port is taken.
pub async fn listen_on(port: u16, routes: Routes) -> Listening {
    let socket = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    let url = url(&socket);
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(
        Server::builder()
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpIncoming::from(socket), stopped),
    );
    Listening { url, _stop: stop.drop_guard() }
}

/// Takes connections and never says a word: a peer that hangs.
///
/// # Panics
/// When no port is free.
pub async fn silent() -> Listening {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = url(&socket);
    let stop = CancellationToken::new();
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = socket.accept().await {
            held.push(connection);
        }
    }));
    Listening { url, _stop: stop.drop_guard() }
}

/// A port that nobody listens on now, and its URL.
///
/// # Panics
/// When no port is free.
pub async fn free_port() -> (u16, String) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    (socket.local_addr().expect("its address").port(), url(&socket))
}

fn url(socket: &TcpListener) -> String {
    format!("http://{}", socket.local_addr().expect("its address"))
}
