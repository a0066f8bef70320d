//! Alertmanager's webhook, version 4.
//!
//! Alertmanager repeats a delivery after a 5xx only: after a 4xx, even 429, the alert is lost. So our own failures
//! are 503, and 4xx means that no repetition would help.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use chrono::{DateTime, Datelike as _, Utc};
use kit::error::Class;
use kit::http::RawJson;
use kit::{ApiError, Classify, Kind};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::app::{Delivery, Incidents, Origin};
use crate::domain::Alert;
use crate::view::Received;

/// Alertmanager's bearer token, kept as a keyed hash and compared in constant time.
#[derive(Clone)]
pub struct Credential {
    key: hmac::Key,
    tag: hmac::Tag,
}

/// Proof that a request has the token, before its body is read.
pub(super) struct Alertmanager;

/// A delivery as Alertmanager sends it. Unknown fields are ignored, so that a newer Alertmanager loses no alerts.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    #[schema(example = "4")]
    version: String,
    /// The number of the group's alerts that were left out.
    #[serde(default)]
    truncated_alerts: u64,
    alerts: Vec<AlertMessage>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AlertMessage {
    status: AlertStatus,
    fingerprint: String,
    starts_at: DateTime<Utc>,
    #[serde(default)]
    ends_at: Option<DateTime<Utc>>,
    #[serde(default)]
    labels: HashMap<String, String>,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AlertStatus {
    Firing,
    Resolved,
}

#[derive(Debug, Error)]
enum Refused {
    #[error("the webhook's bearer token is missing or wrong")]
    Credential,
    #[error("the body is not an Alertmanager payload of version 4")]
    Payload,
}

/// Receives alerts from Alertmanager. Safe to repeat.
#[utoipa::path(
    post, path = "/v1/alerts", request_body = Payload,
    responses((status = 200, description = "Kept", body = Received)),
    security(()),
)]
pub(super) async fn receive(
    _: Alertmanager,
    State(incidents): State<Incidents>,
    RawJson(payload): RawJson,
) -> Result<Json<Received>, ApiError> {
    let message: Payload = serde_json::from_slice(&payload).map_err(|_| Refused::Payload)?;
    if message.version != "4" {
        return Err(Refused::Payload.into());
    }
    let incomplete = message.truncated_alerts > 0;
    let alerts = message.alerts.into_iter().map(Alert::try_from).collect::<Result<_, _>>()?;
    let origin = Origin::Alertmanager;
    Ok(Json(incidents.receive(Delivery { origin, payload, alerts, incomplete }).await?))
}

impl Credential {
    /// Keeps a keyed hash of the token instead of the token.
    pub fn new(token: &SecretString) -> Self {
        let token = token.expose_secret().as_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, token);
        let tag = hmac::sign(&key, token);
        Self { key, tag }
    }

    fn is(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.tag.as_ref()).is_ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Alertmanager
where
    Credential: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Refused::Credential.into());
        };
        let token = value.as_bytes().strip_prefix(b"Bearer ").ok_or(Refused::Credential)?;
        if !Credential::from_ref(state).is(token) {
            return Err(Refused::Credential.into());
        }
        Ok(Self)
    }
}

impl TryFrom<AlertMessage> for Alert {
    type Error = Refused;

    fn try_from(message: AlertMessage) -> Result<Self, Refused> {
        // A fingerprint is never cut: two alerts must not become one.
        let length = message.fingerprint.chars().count();
        if !(1..=Self::MAX_FINGERPRINT_CHARS).contains(&length)
            || message.fingerprint.contains('\0')
        {
            return Err(Refused::Payload);
        }
        // PostgreSQL does not know all of chrono's years.
        let possible = |time: &DateTime<Utc>| (0..=9_999).contains(&time.year());
        if !possible(&message.starts_at) || !message.ends_at.iter().all(possible) {
            return Err(Refused::Payload);
        }
        let ends_at = match message.status {
            AlertStatus::Firing => None,
            AlertStatus::Resolved => Some(message.ends_at.unwrap_or(message.starts_at)),
        };
        Ok(Self {
            fingerprint: message.fingerprint,
            starts_at: message.starts_at,
            ends_at,
            labels: Self::texts(message.labels),
            annotations: Self::texts(message.annotations),
        })
    }
}

impl Classify for Refused {
    fn class(&self) -> Class {
        match self {
            Self::Credential => Kind::Unauthenticated.code("invalid_token"),
            Self::Payload => Kind::Malformed.code("malformed_payload"),
        }
    }
}
