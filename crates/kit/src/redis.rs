//! Redis with 50 ms timeouts and a circuit breaker. It is an optimization; `docs/architecture.md` says what
//! an outage costs. Only one thing is stored in Redis alone: the queue of earnings while PostgreSQL is
//! unavailable, through a separate client ([`Redis::patient`]) and only if Redis syncs to disk.
//!
//! Other programs may write to the same Redis. Values that decide anything are signed: see [`Signer`].

mod signer;

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context as _;
use observability::metrics::{self, IntCounterVec};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

pub use self::signer::{SIGNATURE, Signer, SigningKey};
use crate::breaker::{self, Breaker};

/// Time limit of a health check.
const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// Time limit of a write that waits for the disk.
const PATIENCE: Duration = Duration::from_millis(500);

/// Maximum size of a value, in bytes.
pub const MAX_VALUE: usize = 64 * 1024;

static FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "cache_failures_total",
        "Redis commands that failed, timed out or were not tried.",
        &["operation"],
    )
});

/// A client of one Redis server. Cheap to clone. Without a URL every call returns `Unavailable` at once.
#[derive(Clone)]
pub struct Redis {
    remote: Option<Remote>,
    /// The prefix of every key, so that services share a server and an ACL can separate them.
    service: &'static str,
    signer: Signer,
}

#[derive(Clone)]
struct Remote {
    /// One multiplexed connection; a pool is not needed.
    connection: ConnectionManager,
    breaker: Breaker,
    /// Time limit of a command, including a reconnect.
    timeout: Duration,
}

/// Redis did not answer in time, refused the command, or answered nonsense.
#[derive(Debug, thiserror::Error)]
#[error("redis is unavailable")]
pub struct Unavailable;

impl Redis {
    /// Creates a client of the configured server, and a signer with the service's `secret`. It connects on
    /// the first use, so that a service starts without Redis.
    pub fn new(
        config: &crate::config::Redis,
        service: &'static str,
        secret: &SecretString,
    ) -> anyhow::Result<Self> {
        Self::connect(config, service, Signer::new(secret), "redis")
    }

    /// Creates a client of the same server for writes that must be durable: with its own connection and its
    /// own breaker, named `dependency`, and a time limit of 500 ms.
    pub fn patient(
        config: &crate::config::Redis,
        service: &'static str,
        dependency: &'static str,
        secret: &SecretString,
    ) -> anyhow::Result<Self> {
        let redis_timeout = config.redis_timeout.max(PATIENCE);
        let config = crate::config::Redis { redis_timeout, ..config.clone() };
        Self::connect(&config, service, Signer::new(secret), dependency)
    }

    fn connect(
        config: &crate::config::Redis,
        service: &'static str,
        signer: Signer,
        dependency: &'static str,
    ) -> anyhow::Result<Self> {
        for operation in ["get", "set", "del", "eval"] {
            FAILURES.with_label_values(&[operation]);
        }
        let Some(url) = &config.redis_url else {
            return Ok(Self { remote: None, service, signer });
        };
        let client = Client::open(url.expose_secret())
            .ok() // the error may quote the URL with its password
            .context("REDIS_URL is not a redis:// URL")?;
        let manager = ConnectionManagerConfig::new()
            .set_number_of_retries(0) // with the default of 6, a command takes 9 s during an outage
            .set_connection_timeout(Some(config.redis_connect_timeout))
            .set_response_timeout(Some(config.redis_timeout));
        let connection = ConnectionManager::new_lazy_with_config(client, manager)
            .context("cannot prepare the Redis connection")?;
        let breaker = Breaker::new(
            dependency,
            breaker::Config {
                window: Duration::from_secs(2),
                max_failures: config.circuit_breaker_max_failures,
                slow: config.redis_timeout * 2,
                reset_timeout: config.circuit_breaker_reset_timeout,
                ..breaker::Config::default()
            },
        );
        let timeout = config.redis_timeout;
        Ok(Self { remote: Some(Remote { connection, breaker, timeout }), service, signer })
    }

    /// Creates a client without a server. Every call returns `Unavailable` at once.
    pub fn disabled() -> Self {
        Self { remote: None, service: "", signer: Signer::random() }
    }

    /// Returns the service's signing key for a purpose.
    pub fn signing_key(&self, purpose: &str) -> SigningKey {
        self.signer.key(purpose)
    }

    /// Returns a client of the same server with another service's prefix, for shared keys.
    pub fn of(&self, service: &'static str) -> Self {
        Self { service, ..self.clone() }
    }

    /// Returns true when a Redis is configured, even if it is unavailable.
    pub fn is_enabled(&self) -> bool {
        self.remote.is_some()
    }

    /// Reads a value of at most [`MAX_VALUE`] bytes. It is untrusted input.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        // One byte more than allowed is enough to detect a larger value. Our values are never empty.
        let mut command = redis::cmd("GETRANGE");
        command.arg(self.key(key)).arg(0).arg(MAX_VALUE);
        let value: Vec<u8> = self.send("get", &command).await?;
        Ok(Some(value).filter(|value| (1..=MAX_VALUE).contains(&value.len())))
    }

    /// Stores a value for `ttl`, at least a millisecond.
    pub async fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), Unavailable> {
        if !(1..=MAX_VALUE).contains(&value.len()) {
            return self.del(key).await;
        }
        let mut command = redis::cmd("SET");
        command.arg(self.key(key)).arg(value).arg("PX").arg(milliseconds(ttl));
        self.send("set", &command).await
    }

    /// Deletes a value.
    pub async fn del(&self, key: &str) -> Result<(), Unavailable> {
        self.send("del", redis::cmd("DEL").arg(self.key(key))).await
    }

    /// Runs a script on one key. The whole script is sent each time: a restarted Redis has lost its scripts,
    /// and ours are short.
    pub async fn eval<T: FromRedisValue>(
        &self,
        script: &'static str,
        key: &str,
        arguments: &[&[u8]],
    ) -> Result<T, Unavailable> {
        self.run("EVAL", script, key, arguments).await
    }

    /// Runs a read-only script, which is also possible without permission to write.
    pub async fn eval_ro<T: FromRedisValue>(
        &self,
        script: &'static str,
        key: &str,
        arguments: &[&[u8]],
    ) -> Result<T, Unavailable> {
        self.run("EVAL_RO", script, key, arguments).await
    }

    /// Runs a script once for each key, in one round trip. After an error any number of keys may have been
    /// written.
    pub async fn eval_each(
        &self,
        script: &'static str,
        calls: &[(String, Vec<Vec<u8>>)],
    ) -> Result<(), Unavailable> {
        let mut pipeline = redis::pipe();
        for (key, arguments) in calls {
            pipeline.cmd("EVAL").arg(script).arg(1).arg(self.key(key)).arg(arguments).ignore();
        }
        self.call("eval", async |connection| pipeline.query_async(connection).await).await
    }

    async fn run<T: FromRedisValue>(
        &self,
        command: &'static str,
        script: &'static str,
        key: &str,
        arguments: &[&[u8]],
    ) -> Result<T, Unavailable> {
        let mut command = redis::cmd(command);
        command.arg(script).arg(1).arg(self.key(key)).arg(arguments);
        self.send("eval", &command).await
    }

    /// Returns true when acknowledged writes are on disk: an append-only file, synced before each answer.
    /// False also when Redis does not tell.
    pub async fn is_durable(&self) -> bool {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("appendonly").arg("appendfsync");
        let settings = self.send::<HashMap<String, String>>("get", &command).await;
        settings.is_ok_and(|settings| {
            let says = |name, value| settings.get(name).is_some_and(|found| found == value);
            says("appendonly", "yes") && says("appendfsync", "always")
        })
    }

    /// Checks that Redis answers, bypassing the breaker.
    pub async fn ping(&self) -> Result<(), Unavailable> {
        let remote = self.remote.as_ref().ok_or(Unavailable)?;
        let ping = redis::cmd("PING");
        match timeout(PING_TIMEOUT, ping.query_async(&mut remote.connection.clone())).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Unavailable),
        }
    }

    async fn send<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: &Cmd,
    ) -> Result<T, Unavailable> {
        self.call(operation, async |connection| command.query_async(connection).await).await
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        ask: impl AsyncFnOnce(&mut ConnectionManager) -> RedisResult<T>,
    ) -> Result<T, Unavailable> {
        let remote = self.remote.as_ref().ok_or(Unavailable)?;
        let mut connection = remote.connection.clone();
        let call = async {
            match timeout(remote.timeout, ask(&mut connection)).await {
                Ok(result) => result,
                Err(_) => Err(RedisError::from((ErrorKind::Io, "timed out"))),
            }
        };
        match remote.breaker.call(call, is_outage).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                FAILURES.with_label_values(&[operation]).inc();
                // Without the error's text, which may quote a value.
                tracing::debug!(operation, kind = ?error.kind(), "redis command failed");
                Err(Unavailable)
            }
            Err(breaker::Open { .. }) => {
                FAILURES.with_label_values(&[operation]).inc();
                Err(Unavailable)
            }
        }
    }

    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.service)
    }
}

/// Returns true when Redis itself is in trouble. A key of the wrong type, a forbidden command or a full
/// memory says nothing about the next command.
fn is_outage<T>(result: &RedisResult<T>) -> bool {
    use redis::ServerErrorKind as Server;
    match result.as_ref().err().map(RedisError::kind) {
        None | Some(ErrorKind::Extension | ErrorKind::UnexpectedReturnType) => false,
        Some(ErrorKind::Server(kind)) => {
            matches!(kind, Server::BusyLoading | Server::MasterDown | Server::ClusterDown)
        }
        Some(_) => true,
    }
}

fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
