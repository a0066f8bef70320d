//! Traces: an OTLP receiver and the Jaeger UI, in memory, in a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::Response;
use nix::sys::signal::Signal;
use otlp_embedded::{Config, State, TraceServiceImpl, TraceServiceServer, ui_app};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::process::Program;
use crate::ready::Probe;
use crate::settings::Settings;
use crate::supervise::Part;

pub fn part(settings: &Settings) -> anyhow::Result<Part> {
    let Settings { place, ports, .. } = settings;
    Ok(Part {
        name: "jaeger".to_owned(),
        program: Program {
            path: std::env::current_exe()?,
            arguments: vec!["jaeger".to_owned(), ports.jaeger.to_string(), ports.otlp.to_string()],
            environment: Vec::new(),
            user: None,
            directory: place.dir.clone(),
            stack: place.dir.clone(),
        },
        probe: Probe::Http(format!("http://127.0.0.1:{}/api/services", ports.jaeger)),
        stop: Signal::SIGTERM,
        grace: Duration::from_secs(5),
        endpoint: format!("http://127.0.0.1:{}", ports.jaeger),
    })
}

/// Serves both ports until `stop`.
pub async fn serve(ui: u16, otlp: u16, stop: CancellationToken) -> anyhow::Result<()> {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let state = State::new(Config { max_length: 20_000, max_memory_usage: 256 << 20 });

    let listener = TcpListener::bind(local(ui)).await?;
    let pages = ui_app(state.clone(), "/").layer(map_response(as_page));
    let http = axum::serve(listener, pages).with_graceful_shutdown(stop.clone().cancelled_owned());

    let traces = TraceServiceServer::new(TraceServiceImpl::new(state));
    let grpc = tonic::transport::Server::builder()
        .add_service(traces)
        .serve_with_shutdown(local(otlp), stop.cancelled_owned());

    tokio::try_join!(async { Ok(http.await?) }, async { anyhow::Ok(grpc.await?) })?;
    Ok(())
}

/// The library answers a page of the UI, such as `/trace/<id>`, with 307 and no `Location`.
async fn as_page(mut response: Response) -> Response {
    if response.status() == StatusCode::TEMPORARY_REDIRECT {
        *response.status_mut() = StatusCode::OK;
    }
    response
}
