//! Three listeners with one stop.
//!
//! * `acceptor` accepts connections; `connection` is a socket with time limits.
//! * `public` serves HTTP over such sockets.
//! * `internal` is the gRPC server, `admin` the port for operators.
//! * `files` raises the limit of open files.
//! * `port` binds, and names the process that already has the port.

mod acceptor;
mod admin;
mod connection;
mod files;
mod internal;
mod port;
mod public;

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::channel::tls;
use crate::command;
use crate::config::{Edge, Limits, Listen};
use crate::health::Health;
use crate::http::ClientLimits;

/// The routers of a service. The admin router is built from `health` and the process's metrics.
pub struct Servers {
    /// Built by [`crate::http::edge`].
    pub http: Router,
    /// Built by [`crate::grpc::guard`].
    pub grpc: Routes,
    pub health: Health,
}

/// Serves until `stop`, then accepts no new work and waits at most 10 s for work in flight.
///
/// # Errors
/// Fails when a port cannot be bound, naming the variable, the port and the process that has it.
pub async fn serve(
    listen: &Listen,
    servers: Servers,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    Listeners::bind(listen)?.serve(servers, stop).await;
    Ok(())
}

/// The three bound ports of a process.
pub struct Listeners {
    http: TcpListener,
    grpc: TcpListener,
    admin: TcpListener,
    limits: Limits,
    edge: Edge,
    grpc_server: Server,
}

/// The addresses of the three ports, useful after binding port 0.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
}

impl Listeners {
    /// Binds all three ports, or none.
    pub fn bind(listen: &Listen) -> anyhow::Result<Self> {
        let tls = tls::server(&listen.tls)?;
        let grpc_server =
            tls.map_or(Ok(Server::builder()), |tls| Server::builder().tls_config(tls));
        Ok(Self {
            grpc_server: grpc_server.context("GRPC_TLS_CERT, GRPC_TLS_KEY or GRPC_TLS_CA")?,
            edge: listen.edge.clone(),
            http: port::bind("HTTP_LISTEN", listen.http_listen)?,
            grpc: port::bind("GRPC_LISTEN", listen.grpc_listen)?,
            admin: port::bind("ADMIN_LISTEN", listen.admin_listen)?,
            limits: files::fitted(listen.limits),
        })
    }

    /// Returns the bound addresses.
    pub fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses {
            http: self.http.local_addr()?,
            grpc: self.grpc.local_addr()?,
            admin: self.admin.local_addr()?,
        })
    }

    /// Serves until `stop`: see [`serve`].
    pub async fn serve(self, servers: Servers, stop: CancellationToken) {
        let (limits, health) = (self.limits, servers.health);
        if let Ok(Addresses { http, grpc, admin }) = self.addresses() {
            tracing::info!(%http, %grpc, %admin, "listening");
        }
        // The admin port stops last, so that the stop can be observed.
        let (work, watchers) = (TaskTracker::new(), CancellationToken::new());
        let http = servers.http.merge(health.public());
        let client_limits = Some(ClientLimits::new(&self.edge, health.redis()));
        work.spawn(public::serve(self.http, http, limits, client_limits, stop.clone()));
        let grpc = internal::Grpc { server: self.grpc_server, routes: servers.grpc };
        work.spawn(internal::serve(self.grpc, grpc, health.clone(), limits, stop.clone()));
        let admin = admin::router(
            &health,
            #[cfg(debug_assertions)]
            self.edge.fault_token,
        );
        tokio::spawn(public::serve(self.admin, admin, limits, None, watchers.clone()));

        stop.cancelled().await;
        health.stop();
        tracing::info!("stopping: waiting for work in flight");
        drain(work, limits).await;
        watchers.cancel();
    }
}

/// Waits for requests, commands, jobs and deliveries in flight. Limited in time, because half-open sockets
/// may never end.
async fn drain(work: TaskTracker, limits: Limits) {
    let deadline = Instant::now() + limits.drain_timeout;
    work.close();
    let requests = timeout_at(deadline, work.wait()).await.is_ok();
    let work = command::drain(deadline.saturating_duration_since(Instant::now())).await;
    if requests && work {
        tracing::info!("stopped");
    } else {
        tracing::warn!(requests, work, "stopped with work still in flight");
    }
}
