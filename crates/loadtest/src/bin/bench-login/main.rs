//! Measures the cost of logins, and what they tell: `scripts/bench-login` and `scripts/report-enumeration`.

mod client;
mod enumeration;
mod flood;
mod members;
mod spent;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
pub(crate) struct Config {
    #[command(subcommand)]
    report: Report,
    /// The HTTP address of auth.
    #[arg(long, global = true, env = "AUTH_HTTP", default_value = "127.0.0.1:8081")]
    pub(crate) auth: SocketAddr,
    /// URL of auth's database as the owner of its schema, to make members.
    #[arg(
        long,
        global = true,
        env = "DATABASE_OWNER_URL",
        hide_env_values = true,
        default_value = ""
    )]
    pub(crate) owner_url: String,
    /// The process of auth, to see what it uses.
    #[arg(long, global = true, env = "AUTH_PID", default_value = "0")]
    pub(crate) auth_pid: u32,
    /// The first process of its PostgreSQL.
    #[arg(long, global = true, env = "POSTGRES_PID", default_value = "0")]
    pub(crate) postgres_pid: u32,
    /// Logins offered each second.
    #[arg(long, global = true, env = "OFFERED", default_value = "500")]
    pub(crate) offered: u32,
    /// Seconds to offer logins.
    #[arg(long, global = true, env = "SECONDS", default_value = "30")]
    pub(crate) seconds: u32,
    /// Samples of each answer.
    #[arg(long, global = true, env = "SAMPLES", default_value = "500")]
    pub(crate) samples: usize,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// Logins beyond what the machine can hash.
    Flood,
    /// Makes the schema, from this folder.
    Migrate { from: PathBuf },
    /// Measures how much the time of an answer tells about an address.
    Enumeration,
}

fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    threads.block_on(async {
        match &config.report {
            Report::Migrate { from } => members::migrate(&config, from).await,
            Report::Flood => flood::run(&config).await,
            Report::Enumeration => enumeration::run(&config).await,
        }
    })
}
