use chrono::{DateTime, Utc};
use kit::postgres;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Incident, Incidents};
use crate::store;

/// An incident with the alerts it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct IncidentDetail {
    #[serde(flatten)]
    pub incident: Incident,
    pub alerts: Vec<AlertView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertView {
    pub fingerprint: String,
    pub starts_at: DateTime<Utc>,
    /// Absent while it fires.
    pub ends_at: Option<DateTime<Utc>>,
    /// As strangers wrote them: escape before showing.
    #[schema(value_type = Object)]
    pub labels: Value,
    #[schema(value_type = Object)]
    pub annotations: Value,
}

impl Incidents {
    pub async fn show(&self, id: Uuid) -> Result<IncidentDetail, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let incident = store::find(&mut conn, id).await?.ok_or(Error::NotFound)?;
        let alerts = store::alerts(&mut conn, id).await?;
        Ok(IncidentDetail { incident, alerts })
    }
}
