//! A client that means what it asks for: it repeats a command, with its key, until it is answered. Of
//! ten requests it hangs up on one, somewhere in the middle.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use super::Acknowledged;
use crate::app::{key, points, uuid};

/// The time that a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Client {
    service: SocketAddr,
    operator: String,
    /// With their owners' tokens.
    accounts: Vec<(Uuid, String)>,
    random: u64,
    socket: Option<TcpStream>,
}

pub struct Command {
    pub key: String,
    request: String,
    account: Uuid,
    lines: Vec<(Uuid, i64)>,
}

impl Client {
    pub fn new(
        service: SocketAddr,
        operator: String,
        accounts: Vec<(Uuid, String)>,
        seed: u64,
    ) -> Self {
        let random = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { service, operator, accounts, random, socket: None }
    }

    /// xorshift64
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn anybody(&mut self) -> (Uuid, String) {
        let n = self.random(self.accounts.len() as u64);
        self.accounts[n as usize].clone()
    }

    pub fn think(&mut self) -> Command {
        let (account, owner) = self.anybody();
        let amount = self.random(200) as i64 + 1;
        let (token, path, body, lines) = match self.random(3) {
            0 => return self.earning(),
            1 => (owner, "redemptions", json!({ "points": amount }), vec![(account, -amount)]),
            _ => {
                let (to, _) = self.anybody();
                let body = json!({ "points": amount, "to_account_id": to });
                (owner, "transfers", body, vec![(account, -amount), (to, amount)])
            }
        };
        command(account, path, &token, &body, lines)
    }

    /// One that is never refused.
    pub fn earning(&mut self) -> Command {
        let (account, _) = self.anybody();
        let amount = self.random(200) as i64 + 1;
        command(account, "earnings", &self.operator, &points(amount), vec![(account, amount)])
    }

    /// Asks once. `None`: it was not answered.
    pub async fn ask(&mut self, command: &Command) -> Option<u16> {
        let answered = self.exchange(&command.request).await;
        if answered.is_err() {
            self.socket = None;
        }
        answered.ok().map(|(status, _)| status)
    }

    /// The effect of the command, or `None` when it was refused for good.
    pub async fn insist(&mut self, command: &Command) -> Option<Acknowledged> {
        loop {
            let patience = match self.random(10) {
                0 => Duration::from_micros(self.random(20_000)),
                _ => PATIENCE,
            };
            match timeout(patience, self.exchange(&command.request)).await {
                Ok(Ok((201, receipt))) => {
                    return Some(Acknowledged {
                        transfer: uuid(&receipt["transfer_id"]),
                        account: command.account,
                        version: receipt["version"].as_i64().unwrap(),
                        lines: command.lines.clone(),
                    });
                }
                Ok(Ok((409 | 422, problem))) if problem["retryable"] == false => return None,
                Ok(Ok((409 | 500..=599, _))) => {}
                Ok(Ok((status, problem))) => panic!("{status}: {problem}"),
                // It was killed, or we hang up.
                Ok(Err(_)) | Err(_) => self.socket = None,
            }
            tokio::task::yield_now().await;
        }
    }

    async fn exchange(&mut self, request: &str) -> std::io::Result<(u16, Value)> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            None => self.socket.insert(TcpStream::connect(self.service).await?),
        };
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            if socket.read_buf(&mut answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            if body.len() >= length.unwrap().parse().unwrap() {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Ok((status, serde_json::from_str(body).unwrap()));
            }
        }
    }
}

fn command(
    account: Uuid,
    path: &str,
    token: &str,
    body: &Value,
    lines: Vec<(Uuid, i64)>,
) -> Command {
    let key = key();
    let body = body.to_string();
    let request = format!(
        "POST /v1/accounts/{account}/{path} HTTP/1.1\r\nhost: points\r\n\
             authorization: Bearer {token}\r\nidempotency-key: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        key,
        body.len()
    );
    Command { key, request, account, lines }
}
