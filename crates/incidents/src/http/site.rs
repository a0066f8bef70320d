//! The public status page, and the files that pages load.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures::{Stream, StreamExt as _};
use kit::ApiError;
use tokio_stream::wrappers::WatchStream;

use super::App;
use super::streams::Streams;
use crate::app::Incidents;
use crate::pages;

/// The lifetime of a stream of changes. Browsers reconnect by themselves, and a shutdown need not wait.
const STREAM: Duration = Duration::from_secs(60);

const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml; charset=utf-8";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(status))
        .route("/changes", get(changes))
        .route("/assets/site.css", get(|| async { asset("text/css; charset=utf-8", pages::CSS) }))
        .route("/assets/site.js", get(|| async { asset(SCRIPT, pages::SCRIPT) }))
        .route("/assets/icon.svg", get(|| async { asset(PICTURE, pages::ICON) }))
}

async fn status(State(incidents): State<Incidents>) -> Result<Html<String>, ApiError> {
    Ok(Html(pages::status(&incidents.overview().await?).into_string()))
}

/// Streams an event `change` after every change.
async fn changes(
    State(incidents): State<Incidents>,
    State(streams): State<Streams>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let from = peer.map_or(nobody, |Extension(ConnectInfo(peer))| peer.ip());
    let place = streams.enter(from)?;
    let changes = WatchStream::from_changes(incidents.changes())
        // Browsers do not dispatch an event without data.
        .map(move |_| {
            let _ = &place;
            Ok(Event::default().event("change").data("something happened"))
        });
    let stream = changes.take_until(tokio::time::sleep(STREAM));
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(5))))
}

fn asset(media_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "public, max-age=60")], text).into_response()
}
