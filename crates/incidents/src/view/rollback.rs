use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::RunStatus;

/// The rollback of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollbackView {
    pub run_id: Uuid,
    pub service: String,
    /// The executor: dry-run, command or kubernetes.
    pub executor: String,
    /// The target version, once it is known.
    pub target: Option<String>,
    /// The operator; absent when the alert asked for it, by its label `rollback=automatic`.
    pub approved_by: Option<Uuid>,
    /// The status: running, succeeded, failed or interrupted.
    #[schema(value_type = String)]
    pub status: RunStatus,
    pub attempts: i32,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub steps: Vec<StepView>,
}

/// A recorded step of a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    pub attempt: i32,
    /// The step: validate, prepare, perform, verify or record.
    pub step: String,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// True when it succeeded; absent while it runs.
    pub ok: Option<bool>,
    pub detail: String,
}
