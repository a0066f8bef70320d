//! The server under test, as its clients see it: a process of its own, so that its CPU time is its own.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::config::What;

/// The addresses and the token of a server, in the first line of its standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) http: SocketAddr,
    /// The address of its metrics, if it has any.
    pub(crate) admin: Option<SocketAddr>,
    /// An access token that allows everything.
    pub(crate) operator: String,
}

pub(crate) struct Server {
    pub(crate) greeting: Greeting,
    pub(crate) pid: u32,
    _process: Child,
}

impl Server {
    pub(crate) async fn start(what: What, trace_ratio: f64, otlp: &str) -> anyhow::Result<Self> {
        let name = match what {
            What::Points => "points",
            What::Noop => "noop",
            What::Bare => "bare",
        };
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", name, "--trace-ratio", &trace_ratio.to_string(), "--otlp", otlp])
            .stdout(Stdio::null()) // its log: written, and read by nobody
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(process.stderr.take().context("a piped stderr")?).lines();
        let first = lines.next_line().await?.context("the server ended before it began")?;
        let greeting = serde_json::from_str(&first).with_context(|| format!("server: {first}"))?;
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                complain(&line)
            }
        });
        Ok(Self { greeting, pid: process.id().context("a running server")?, _process: process })
    }
}

#[expect(clippy::print_stderr, reason = "the server's own complaint")]
fn complain(line: &str) {
    eprintln!("server: {line}");
}
