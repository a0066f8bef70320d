//! The program itself, which can be killed.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use sqlx::PgPool;
use testkit::auth::FakeAuth;
use testkit::grpc::{Listening, free_port};
use testkit::tokens::Issuer;
use testkit::{eventually, postgres, redis};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

pub struct Service {
    pub address: SocketAddr,
    command: Command,
    process: Child,
    _auth: Listening,
}

impl Service {
    pub async fn start(db: &PgPool, issuer: Issuer) -> Self {
        Self::with(postgres::url(db, "points_app"), issuer).await
    }

    /// With PostgreSQL at the end of this line.
    pub async fn start_on(db: &PgPool, line: SocketAddr, issuer: Issuer) -> Self {
        let options = db.connect_options();
        let database = options.get_database().unwrap();
        Self::with(format!("postgres://points_app@{line}/{database}"), issuer).await
    }

    async fn with(database: String, issuer: Issuer) -> Self {
        let auth = FakeAuth::new(issuer).listen().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_points"));
        let mut ports = Vec::new();
        for variable in ["HTTP_LISTEN", "GRPC_LISTEN", "ADMIN_LISTEN"] {
            let port = free_port().await.0;
            command.env(variable, format!("127.0.0.1:{port}"));
            ports.push(port);
        }
        command
            .env("DATABASE_URL", database)
            .env("DATABASE_ACQUIRE_TIMEOUT", "5s")
            .env("REDIS_URL", redis::url())
            .env("AUTH_GRPC_URL", &auth.url)
            .env("SERVICE_CLIENT_ID", "points")
            .env("SERVICE_CLIENT_SECRET", "a secret that only tests know, 32 bytes")
            // Whoever is killed takes along what it had of everybody's quota.
            .env("RATE_LIMIT", "1000000/1s")
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let address = SocketAddr::from(([127, 0, 0, 1], ports[0]));
        let process = command.spawn().unwrap();
        let service = Self { address, command, process, _auth: auth };
        service.is_up().await;
        service
    }

    async fn is_up(&self) {
        let up = || async { TcpStream::connect(self.address).await.ok() };
        eventually(Duration::from_secs(20), up).await;
    }

    /// SIGKILL, somewhere in the middle of what it does, and a new one.
    pub async fn kill_and_restart(mut self, times: usize, every: Duration) -> Self {
        for _ in 0..times {
            // Not a wait for anything: this is how long it lives.
            sleep(every).await;
            self.kill().await;
            self.restart().await;
        }
        self
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub async fn restart(&mut self) {
        self.process = self.command.spawn().unwrap();
        self.is_up().await;
    }

    pub async fn stop(mut self) {
        self.process.kill().await.unwrap();
    }
}
