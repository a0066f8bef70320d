//! A stand-in for LINE's Messaging API: members of the demo are told nothing. It can be told to fail.

use std::net::Ipv4Addr;
use std::time::Duration;

use fakeline::FakeLine;
use nix::sys::signal::Signal;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::process::Program;
use crate::ready::Probe;
use crate::settings::Settings;
use crate::supervise::Part;

pub fn part(settings: &Settings) -> anyhow::Result<Part> {
    let Settings { place, ports, .. } = settings;
    Ok(Part {
        name: "line".to_owned(),
        program: Program {
            path: std::env::current_exe()?,
            arguments: vec!["line".to_owned(), ports.line.to_string()],
            environment: Vec::new(),
            user: None,
            directory: place.dir.clone(),
            stack: place.dir.clone(),
        },
        probe: Probe::Http(format!("http://127.0.0.1:{}/taken", ports.line)),
        stop: Signal::SIGTERM,
        grace: Duration::from_secs(5),
        endpoint: format!("http://127.0.0.1:{}/taken", ports.line),
    })
}

/// Serves until `stop`.
pub async fn serve(port: u16, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let router = FakeLine::default().router();
    Ok(axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?)
}
