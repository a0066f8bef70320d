use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::idempotency::Answer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Done, Hold, HoldState, Moved};

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    pub transfer_id: Uuid,
    /// The entry of the account that was asked for, or that paid.
    pub entry_id: Uuid,
    pub account_id: Uuid,
    /// Points moved by this command; negative when an adjustment took them away.
    pub points: i64,
    /// Points available after it.
    pub balance: i64,
    /// The account's version after it.
    pub version: i64,
}

/// Points promised, until they are captured, released or expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    pub hold_id: Uuid,
    /// `active`, `captured`, `released` or `expired`.
    pub state: String,
    /// Absent, like the fields below, when the hold was released before it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// Points spent; the rest is free again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<i64>,
    /// The transfer that captured them: what to reverse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the points pay of a service's price, in the minor units of its currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_minor: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

pub(crate) fn answer(status: StatusCode, done: &Done) -> Answer {
    match done {
        Done::Moved(moved) => Answer::json(status, &Receipt::from(moved)),
        Done::Hold(hold) => Answer::json(status, &HoldView::from(hold)),
    }
}

impl From<&Moved> for Receipt {
    fn from(moved: &Moved) -> Self {
        Self {
            transfer_id: moved.transfer.0,
            entry_id: moved.entry,
            account_id: moved.account.0,
            points: moved.points,
            balance: moved.available,
            version: moved.version,
        }
    }
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> Self {
        let of = hold.of.as_ref();
        let (captured, transfer) = match hold.state {
            HoldState::Captured { captured, transfer } => (Some(captured), Some(transfer)),
            HoldState::Active | HoldState::Released | HoldState::Expired => (None, None),
        };
        Self {
            hold_id: hold.id.0,
            state: hold.state.as_str().to_owned(),
            account_id: of.map(|held| held.account.0),
            points: of.map(|held| held.amount.get()),
            captured,
            transfer_id: transfer.map(|id| id.0),
            reference: of.map(|held| held.reference.as_str().to_owned()),
            value_minor: of.and_then(|held| held.value.as_ref()).map(|value| value.minor),
            expires_at: of.map(|held| held.expires_at),
        }
    }
}
