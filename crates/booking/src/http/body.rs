//! The bodies and queries of the public API.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::Filter;
use crate::domain::Status;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMerchant {
    /// 1 to 100 characters.
    pub(super) name: String,
    /// Of the IANA database, such as `Asia/Tokyo`.
    pub(super) time_zone: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStaff {
    /// 1 to 100 characters.
    pub(super) name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBooking {
    pub(super) merchant_id: Uuid,
    pub(super) staff_id: Uuid,
    /// RFC 3339; from now to 400 days ahead.
    pub(super) starts_at: DateTime<Utc>,
    /// RFC 3339; 5 minutes to 12 hours later.
    pub(super) ends_at: DateTime<Utc>,
    /// In the minor unit of the merchant's currency, 0 to 1,000,000,000.
    pub(super) price_minor: i64,
}

/// `{}`: the path says it all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those in this state.
    status: Option<Status>,
    /// Only those that start at this time or later.
    from: Option<DateTime<Utc>>,
    /// Only those that start before this time.
    to: Option<DateTime<Utc>>,
    /// 1 to 100; 20 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListQuery {
    pub(super) fn into_parts(self) -> (Filter, Option<i64>, Option<String>) {
        let filter = Filter { status: self.status, from: self.from, to: self.to };
        (filter, self.limit, self.cursor)
    }
}
