use axum::extract::{FromRequest, FromRequestParts as _, Request};
use kit::caller::Role;
use kit::http::{Command, Path};
use kit::idempotency::Key;
use kit::{ApiError, Caller};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::App;
use crate::app::Incidents;

/// An operator's command on one incident.
pub(super) struct OnIncident<B> {
    pub(super) incidents: Incidents,
    pub(super) by: Uuid,
    pub(super) id: Uuid,
    pub(super) key: Key,
    pub(super) body: B,
}

impl<B: DeserializeOwned> FromRequest<App> for OnIncident<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        let Path(id) = Path::from_request_parts(&mut parts, app).await?;
        let request = Request::from_parts(parts, body);
        let Command { key, body } = Command::from_request(request, app).await?;
        caller.require(&[Role::Operator])?;
        Ok(Self { incidents: app.incidents.clone(), by: caller.id, id, key, body })
    }
}
