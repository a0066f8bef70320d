//! Three listeners, one way to stop.

use axum::Router;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::config::Listen;
use crate::health::Health;

/// What a service serves. The admin listener is made from `health` and the process's metrics.
pub struct Servers {
    /// From [`crate::http::edge`].
    pub http: Router,
    /// From [`crate::grpc::guard`].
    pub grpc: Routes,
    pub health: Health,
}

/// Serves until `stop`, then takes no new work and lets what is in flight finish, 10 s at most.
pub async fn serve(_listen: &Listen, _servers: Servers, _stop: CancellationToken) -> anyhow::Result<()> {
    todo!()
}
