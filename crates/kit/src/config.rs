//! Configuration sections that services share. Each is a `clap::Args`, read from flags and the
//! environment once, at start; `--help` lists every variable. Secrets may come from a file named by
//! `<VARIABLE>_FILE`.

use std::net::SocketAddr;

use clap::Args;
use secrecy::SecretString;

/// Where a service listens.
#[derive(Args, Clone, Debug)]
pub struct Listen {
    /// The public HTTP API.
    #[arg(long, env = "HTTP_LISTEN")]
    pub http_listen: SocketAddr,
    /// gRPC, for the other services.
    #[arg(long, env = "GRPC_LISTEN")]
    pub grpc_listen: SocketAddr,
    /// Metrics, detailed health and the log-level switch. Never public.
    #[arg(long, env = "ADMIN_LISTEN")]
    pub admin_listen: SocketAddr,
}

/// The service's own database.
#[derive(Args, Clone, Debug)]
pub struct Postgres {
    /// postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
}

/// Redis: caches and the revocation feed.
#[derive(Args, Clone, Debug)]
pub struct Redis {
    /// redis://host:port. Without it the service runs uncached.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,
}

/// Where auth is, and who we are to it.
#[derive(Args, Clone, Debug)]
pub struct Auth {
    /// http://host:port of auth's gRPC.
    #[arg(long, env = "AUTH_GRPC_URL")]
    pub auth_grpc_url: String,
    /// This service's client id at auth.
    #[arg(long, env = "SERVICE_CLIENT_ID")]
    pub service_client_id: String,
    /// This service's client secret at auth.
    #[arg(long, env = "SERVICE_CLIENT_SECRET", hide_env_values = true)]
    pub service_client_secret: SecretString,
}
