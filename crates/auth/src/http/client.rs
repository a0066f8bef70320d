//! The origin of a request.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};

use crate::domain::{Client, DEVICE_LIFE, Device, DeviceToken, Network};

/// `__Host-`: only this host can set it, for itself alone, over TLS.
const NAME: &str = "__Host-device";

/// Extracts the client. Never refuses: unknown parts are left out.
pub(super) struct RequestClient(pub(super) Client);

impl<S: Send + Sync> FromRequestParts<S> for RequestClient {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self(Client {
            device: Device::new(agent.unwrap_or_default()),
            network: peer.map(|ConnectInfo(address)| Network::of(address.ip())),
            known: cookie(&parts.headers).and_then(DeviceToken::parse),
        }))
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == NAME).map(|(_, value)| value.trim())
}

/// The cookie that marks a device as known. No script can read it, and no other site can have it sent.
pub(super) fn remember(device: &DeviceToken) -> Option<HeaderValue> {
    let value = device.encode();
    let life = DEVICE_LIFE.as_secs();
    let cookie =
        format!("{NAME}={value}; Path=/; Max-Age={life}; Secure; HttpOnly; SameSite=Strict");
    HeaderValue::try_from(cookie).ok()
}
