//! HTTP over sockets with time limits. `axum::serve` has no such limits: see
//! `docs/decisions/0005-our-own-listener.md`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::acceptor::Acceptor;
use super::connection::{Connection, Entered, InFlight};
use crate::config::Limits;
use crate::http::ClientLimits;

/// Maximum size of a request's head. A larger one is answered with 431.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 100;

/// Size up to which an answer is written at once and needs no watching.
const AT_ONCE: u64 = 64 * 1024;

/// Serves until `stop`, then until the requests in flight are answered.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    client_limits: Option<ClientLimits>,
    stop: CancellationToken,
) {
    let http = Arc::new(builder(&limits));
    let graceful = GracefulShutdown::new();
    let acceptor = Acceptor::new(listener, &limits);
    let acceptor = match &client_limits {
        Some(clients) => acceptor.with_address_limit(&limits, clients.proxies()),
        None => acceptor, // the admin port
    };
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.next() => accepted,
            () = stop.cancelled() => break,
        };
        let (peer, in_flight) = (accepted.peer, InFlight::default());
        let socket = TokioIo::new(Connection::new(accepted, in_flight.clone(), &limits));
        let (router, client_limits) = (router.clone(), client_limits.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let entered = in_flight.enter();
            // The socket's address, or the forwarded one if the peer is a trusted proxy.
            let mut client = peer;
            if let Some(clients) = &client_limits {
                client = clients.address(peer, request.headers());
                request.extensions_mut().insert(clients.clone());
            }
            request.extensions_mut().insert(ConnectInfo(client));
            let answer = router.clone().call(request.map(Body::new));
            async move { answer.await.map(|answer| answer.map(|body| held(body, entered))) }
        });
        let connection = http.serve_connection(socket, service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // Protocol errors of clients are of no interest to operators.
            if let Err(error) = connection.await {
                tracing::debug!(error = &*error, "connection ended");
            }
        });
    }
    drop(acceptor);
    graceful.shutdown().await;
}

/// Keeps a request in flight until its answer is written, however long a stream takes.
fn held(body: Body, entered: Entered) -> Body {
    if body.size_hint().upper().is_some_and(|size| size <= AT_ONCE) {
        return body;
    }
    let held = move |frame| {
        let _ = &entered;
        frame
    };
    Body::new(body.map_frame(held))
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout)
        .max_concurrent_streams(100)
        .max_header_list_size(HEAD_BYTES as u32);
    http
}
