//! Configuration sections that services share. Each is a `clap::Args`, read once at start from flags and the
//! environment; `--help` lists every variable.
//!
//! An argument with `hide_env_values` is a secret: it may also come from the file named by `<VARIABLE>_FILE`,
//! and no message shows it. This holds for a service's own secrets too.

mod load;
mod origin;
mod proxy;
mod quota;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

pub use self::load::{Stop, load};
pub use self::origin::Origin;
pub use self::proxy::Proxy;
pub use self::quota::Quota;

/// Reads a duration such as `250ms`, `5s`, `30m` or `1h 30m`, for `value_parser`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// The ports of a service, and the limits of their clients.
#[derive(Args, Clone, Debug)]
pub struct Listen {
    /// The public HTTP API.
    #[arg(long, env = "HTTP_LISTEN")]
    pub http_listen: SocketAddr,
    /// gRPC, for the other services.
    #[arg(long, env = "GRPC_LISTEN")]
    pub grpc_listen: SocketAddr,
    /// Metrics, detailed health and the log level. Never public.
    #[arg(long, env = "ADMIN_LISTEN")]
    pub admin_listen: SocketAddr,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub edge: Edge,
    #[command(flatten)]
    pub tls: Tls,
}

/// Quotas, trusted proxies and allowed origins.
#[derive(Args, Clone, Debug)]
pub struct Edge {
    /// Quota of one client, as requests/period. Members are counted by id, others by address.
    #[arg(long, env = "RATE_LIMIT", default_value = "1200/1m")]
    pub rate_limit: Quota,
    /// Quota of one address on routes where secrets can be guessed, as requests/period. At most 600 a minute
    /// in production.
    #[arg(long, env = "RATE_LIMIT_STRICT", default_value = "60/1m")]
    pub rate_limit_strict: Quota,
    /// Trusted proxies, as addresses or networks (10.0.0.0/8) separated by commas. X-Forwarded-For is
    /// believed only from them.
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Proxy>,
    /// Origins (https://app.example.org) whose pages may call this API from a browser, separated by commas.
    #[arg(long, env = "CORS_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub cors_allowed_origins: Vec<Origin>,
    /// Debug builds only: the bearer token that allows switching faults on at the admin port.
    #[cfg(debug_assertions)]
    #[arg(long, env = "FAULT_TOKEN", hide_env_values = true)]
    pub fault_token: Option<SecretString>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            rate_limit: Quota::per_minute(1_200),
            rate_limit_strict: Quota::per_minute(60),
            trusted_proxies: Vec::new(),
            cors_allowed_origins: Vec::new(),
            #[cfg(debug_assertions)]
            fault_token: None,
        }
    }
}

/// The largest strict quota that is allowed in production.
const MOST_GUESSES: Quota = Quota::per_minute(600);

impl Edge {
    /// Refuses a strict quota that protects nothing in production.
    pub fn check(&self, environment: &str) -> Result<(), String> {
        let production = ["production", "prod"].iter().any(|p| environment.eq_ignore_ascii_case(p));
        if production && self.rate_limit_strict.is_above(&MOST_GUESSES) {
            return Err(format!(
                "RATE_LIMIT_STRICT allows more than 600 attempts a minute from one address, and \
                 DEPLOYMENT_ENVIRONMENT is {environment}"
            ));
        }
        Ok(())
    }
}

/// Mutual TLS on the gRPC port: all three files or none. Without it calls are not encrypted and the caller's
/// machine is not verified. Service tokens are required either way.
#[derive(Args, Clone, Debug, Default)]
pub struct Tls {
    /// PEM file: this service's certificate and its intermediates.
    #[arg(long, env = "GRPC_TLS_CERT")]
    pub grpc_tls_cert: Option<PathBuf>,
    /// PEM file: the certificate's private key.
    #[arg(long, env = "GRPC_TLS_KEY")]
    pub grpc_tls_key: Option<PathBuf>,
    /// PEM file: the CA that signs the services' certificates. No other CA is trusted.
    #[arg(long, env = "GRPC_TLS_CA")]
    pub grpc_tls_ca: Option<PathBuf>,
}

/// Mutual TLS for calls to https:// addresses: the same three files as [`Tls`].
#[derive(Args, Clone, Debug, Default)]
pub struct PeerTls {
    /// PEM file: this service's certificate and its intermediates.
    #[arg(long, env = "GRPC_TLS_CERT")]
    pub peer_tls_cert: Option<PathBuf>,
    /// PEM file: the certificate's private key.
    #[arg(long, env = "GRPC_TLS_KEY")]
    pub peer_tls_key: Option<PathBuf>,
    /// PEM file: the CA that signs the services' certificates.
    #[arg(long, env = "GRPC_TLS_CA")]
    pub peer_tls_ca: Option<PathBuf>,
}

/// Timeouts and limits of connections.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limits {
    /// Time limit for the first byte of a new connection.
    #[arg(long, env = "FIRST_BYTE_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub first_byte_timeout: Duration,
    /// Time limit for a request's head, and for an idle connection to send a byte.
    #[arg(long, env = "HEADER_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub header_timeout: Duration,
    /// Time limit for an HTTP connection without a request, even if it sends other bytes.
    #[arg(long, env = "IDLE_TIMEOUT", default_value = "1m", value_parser = duration)]
    pub idle_timeout: Duration,
    /// Time limit for a client to accept a byte of an answer.
    #[arg(long, env = "WRITE_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub write_timeout: Duration,
    /// Connections per port. More wait in the kernel's queue.
    #[arg(long, env = "MAX_CONNECTIONS", default_value = "10000")]
    pub max_connections: usize,
    /// Connections per address on the public port. More are closed. TRUSTED_PROXIES are not counted.
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", default_value = "500")]
    pub max_connections_per_address: usize,
    /// Time limit for requests, jobs and deliveries in flight to finish after a stop.
    #[arg(long, env = "DRAIN_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_secs(10),
            max_connections: 10_000,
            max_connections_per_address: 500,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// The service's own database.
#[derive(Args, Clone, Debug)]
pub struct Postgres {
    /// postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
    /// Maximum connections of this process.
    #[arg(long, env = "DATABASE_POOL_MAX", default_value = "16")]
    pub database_pool_max: u32,
    /// Minimum connections kept open.
    #[arg(long, env = "DATABASE_POOL_MIN", default_value = "0")]
    pub database_pool_min: u32,
    /// Time limit for a request to get a connection.
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT", default_value = "450ms", value_parser = duration)]
    pub database_acquire_timeout: Duration,
    /// Maximum age of a connection.
    #[arg(long, env = "DATABASE_MAX_LIFETIME", default_value = "30m", value_parser = duration)]
    pub database_max_lifetime: Duration,
    /// Maximum idle time of a connection.
    #[arg(long, env = "DATABASE_IDLE_TIMEOUT", default_value = "10m", value_parser = duration)]
    pub database_idle_timeout: Duration,
    /// Time limit for one statement, enforced by the server.
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT", default_value = "2s", value_parser = duration)]
    pub database_statement_timeout: Duration,
}

impl Postgres {
    /// Creates a configuration with this database and the defaults of `--help`.
    pub fn new(database_url: impl Into<SecretString>) -> Self {
        Self {
            database_url: database_url.into(),
            database_pool_max: 16,
            database_pool_min: 0,
            database_acquire_timeout: Duration::from_millis(450),
            database_max_lifetime: Duration::from_secs(30 * 60),
            database_idle_timeout: Duration::from_secs(10 * 60),
            database_statement_timeout: Duration::from_secs(2),
        }
    }
}

/// Redis: caches and the revocation feed.
#[derive(Args, Clone, Debug)]
pub struct Redis {
    /// redis://host:port. Without it the service runs uncached.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,
    /// Time limit for one command. After it, the database is asked instead.
    #[arg(long, env = "REDIS_TIMEOUT", default_value = "50ms", value_parser = duration)]
    pub redis_timeout: Duration,
    /// Time limit for connecting.
    #[arg(long, env = "REDIS_CONNECT_TIMEOUT", default_value = "200ms", value_parser = duration)]
    pub redis_connect_timeout: Duration,
    /// Failures within 2 s that open the circuit breaker, if they are half of the calls. Also used for
    /// PostgreSQL, where a service has a breaker in front of it.
    #[arg(long, env = "CIRCUIT_BREAKER_MAX_FAILURES", default_value = "5")]
    pub circuit_breaker_max_failures: u32,
    /// Time until an open circuit breaker lets a call through again, ± 20 %.
    #[arg(long, env = "CIRCUIT_BREAKER_RESET_TIMEOUT", default_value = "1s", value_parser = duration)]
    pub circuit_breaker_reset_timeout: Duration,
}

impl Redis {
    /// Returns the breaker settings for another dependency, with a longer window: its calls take up to 2 s.
    pub fn breaker(&self) -> crate::breaker::Config {
        crate::breaker::Config {
            window: Duration::from_secs(2),
            max_failures: self.circuit_breaker_max_failures,
            reset_timeout: self.circuit_breaker_reset_timeout,
            ..crate::breaker::Config::default()
        }
    }

    /// Creates a configuration with this Redis, or none, and the defaults of `--help`.
    pub fn new(redis_url: Option<SecretString>) -> Self {
        Self {
            redis_url,
            redis_timeout: Duration::from_millis(50),
            redis_connect_timeout: Duration::from_millis(200),
            circuit_breaker_max_failures: 5,
            circuit_breaker_reset_timeout: Duration::from_secs(1),
        }
    }
}

/// The address of auth, and this service's credentials there.
#[derive(Args, Clone, Debug)]
pub struct Auth {
    /// http://host:port of auth's gRPC; https:// with TLS.
    #[arg(long, env = "AUTH_GRPC_URL")]
    pub auth_grpc_url: String,
    /// This service's client id at auth.
    #[arg(long, env = "SERVICE_CLIENT_ID")]
    pub service_client_id: String,
    /// This service's client secret at auth.
    #[arg(long, env = "SERVICE_CLIENT_SECRET", hide_env_values = true)]
    pub service_client_secret: SecretString,
    #[command(flatten)]
    pub tls: PeerTls,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        edge: Edge,
        #[command(flatten)]
        postgres: Postgres,
        #[command(flatten)]
        redis: Redis,
    }

    #[test]
    fn quotas_that_are_as_good_as_none_are_refused_in_production() {
        let strict =
            |quota: &str| Edge { rate_limit_strict: quota.parse().unwrap(), ..Edge::default() };
        for off in ["60000/1m", "601/1m", "11/1s"] {
            let refused = strict(off).check("Production").unwrap_err();
            assert!(refused.contains("RATE_LIMIT_STRICT"), "{refused}");
            assert_eq!(strict(off).check("development"), Ok(()));
        }
        assert_eq!(strict("600/1m").check("production"), Ok(()));
        assert_eq!(Edge::default().check("prod"), Ok(()), "the default is allowed");
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1800)));
        for wrong in ["", "5", "s", "-5s", "99999999999999999999h", "é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_tests_run_with_is_what_help_says() {
        let read = Defaults::parse_from(["", "--database-url", "postgres://x"]);
        let redis = Redis::new(read.redis.redis_url.clone());
        assert_eq!(format!("{:?}", read.limits), format!("{:?}", Limits::default()));
        assert_eq!(format!("{:?}", read.edge), format!("{:?}", Edge::default()));
        assert_eq!(format!("{:?}", read.postgres), format!("{:?}", Postgres::new("postgres://x")));
        assert_eq!(format!("{:?}", read.redis), format!("{redis:?}"));
    }
}
