//! Checks that a part is ready: asked, never guessed.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::parts::redis;
use crate::place::Place;
use crate::process::POLL;

/// A check of one part. It reads passwords from the place's secrets each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Answers a query of the superuser.
    Postgres(u16),
    /// Answers PING.
    Redis(u16),
    /// Answers 200 at this URL.
    Http(String),
}

/// One answer takes no longer than this.
const BUDGET: Duration = Duration::from_secs(2);

impl Probe {
    /// Asks once.
    pub async fn holds(&self, place: &Place) -> bool {
        let ask = async {
            match self {
                Self::Postgres(port) => postgres(place, *port).await,
                Self::Redis(port) => answers_ping(place, *port).await,
                Self::Http(url) => {
                    let answer = reqwest::get(url).await?;
                    anyhow::ensure!(answer.status() == 200, "{}", answer.status());
                    Ok(())
                }
            }
        };
        matches!(tokio::time::timeout(BUDGET, ask).await, Ok(Ok(())))
    }

    /// Asks until it holds; false when it does not within `patience`.
    pub async fn holds_within(&self, place: &Place, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.holds(place).await {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

/// The superuser's way in.
pub fn superuser(place: &Place, port: u16) -> anyhow::Result<PgConnectOptions> {
    Ok(PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .password(&place.secret("postgres_password")?)
        .database("postgres")
        .ssl_mode(PgSslMode::Disable)
        .application_name("stack"))
}

async fn postgres(place: &Place, port: u16) -> anyhow::Result<()> {
    let mut db = superuser(place, port)?.connect().await?;
    db.execute("SELECT 1").await?;
    Ok(db.close().await?)
}

async fn answers_ping(place: &Place, port: u16) -> anyhow::Result<()> {
    let password = redis::password(place, redis::OBSERVER)?;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    socket
        .write_all(format!("AUTH {} {password}\r\nPING\r\nQUIT\r\n", redis::OBSERVER).as_bytes())
        .await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.contains("+PONG"), "redis answered something else");
    Ok(())
}
