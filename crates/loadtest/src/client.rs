//! Requests of points' clients.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use loadtest::closed_loop::{self, Figures};

use crate::server::Greeting;
use crate::service;

#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Earnings of all accounts.
    Everybody,
    /// Earnings of one account.
    One,
    /// Reads of a few balances.
    Balance,
    /// The route that does nothing.
    Nothing,
}

pub(crate) async fn run(
    server: &Greeting,
    target: Target,
    connections: usize,
    each: Duration,
) -> anyhow::Result<Figures> {
    let requests = || {
        let mut requests = Requests::new(target, server.operator.clone());
        move || requests.next()
    };
    closed_loop::run(server.http, connections, each, requests, |status| status < 300).await
}

/// The requests of one client.
struct Requests {
    target: Target,
    operator: String,
    random: u64,
}

const BODY: &str =
    r#"{"points":1,"merchant_id":"00000000-0000-0000-0000-000000000000","reference":"bench"}"#;

impl Requests {
    fn new(target: Target, operator: String) -> Self {
        // Other keys in every run: a repeated one would be answered without any work.
        let random = RandomState::new().hash_one(0) | 1;
        Self { target, operator, random }
    }

    /// xorshift64
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn next(&mut self) -> String {
        match self.target {
            Target::Nothing => "GET /v1/nothing HTTP/1.1\r\nhost: points\r\n\r\n".to_owned(),
            Target::Balance => {
                let account = service::account(self.random() % 100);
                let operator = &self.operator;
                format!(
                    "GET /v1/accounts/{account} HTTP/1.1\r\nhost: points\r\n\
                     authorization: Bearer {operator}\r\n\r\n"
                )
            }
            Target::Everybody => {
                let account = self.random() % service::ACCOUNTS;
                self.earn(account)
            }
            Target::One => self.earn(0),
        }
    }

    fn earn(&mut self, account: u64) -> String {
        // As random as pgbench's, so that the index has as much to do.
        let key = (self.random(), self.random());
        format!(
            "POST /v1/accounts/{}/earnings HTTP/1.1\r\nhost: points\r\n\
             authorization: Bearer {}\r\nidempotency-key: {:016x}-{:016x}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
            service::account(account),
            self.operator,
            key.0,
            key.1,
            BODY.len()
        )
    }
}
