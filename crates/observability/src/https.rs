//! A client for what is not ours: Slack, LINE, gateways for short messages and tickets. Not `reqwest`: its TLS
//! would be switched on for every program of the workspace, and panics where none has chosen a provider.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// An HTTP client, over TLS or, where a URL says so, in the clear. Its errors may quote the URL: log none of
/// them. Cheap to clone.
pub type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that trusts Mozilla's roots, compiled in: an image needs no certificates of its own.
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
