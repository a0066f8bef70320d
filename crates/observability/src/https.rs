//! An HTTPS client for external services: Slack, LINE, SMS and ticket gateways. Not `reqwest`: its TLS would
//! be enabled in every program of the workspace, and panics where no provider was chosen.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// An HTTP client with TLS, or without it where a URL says so. Its errors may quote the URL and must not be
/// logged. Cheap to clone.
pub type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Creates a client that trusts Mozilla's root certificates, which are compiled in.
pub fn client(connect_timeout: Duration) -> anyhow::Result<Client> {
    let mut plain = HttpConnector::new();
    plain.enforce_http(false);
    plain.set_connect_timeout(Some(connect_timeout));
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(plain);
    Ok(legacy::Client::builder(TokioExecutor::new()).build(connector))
}
