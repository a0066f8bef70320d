//! The bodies and the queries of the public API.

use chrono::{DateTime, NaiveDate, Utc};
use kit::ApiError;
use kit::error::Fields;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::{AddStaff, Book, CreateMerchant, FindSlots, Hold, PageQuery, Reschedule};
use crate::domain::{Actor, Currency, Days, Interval, Name, Notice, Owner, SagaState, Status};
use crate::view::{Filter, SagaFilter};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMerchant {
    /// 1 to 100 characters.
    pub(super) name: String,
    /// A zone of the IANA database, such as `Asia/Tokyo`.
    pub(super) time_zone: String,
    /// ISO 4217; JPY when absent.
    pub(super) currency: Option<String>,
    /// Minutes before the start until which a member may cancel or move a booking: 0 (when absent) to 43,200.
    #[serde(default)]
    pub(super) cancellation_notice_minutes: i32,
}

impl NewMerchant {
    pub(super) fn into_command(self, owner_id: Uuid) -> Result<CreateMerchant, ApiError> {
        let mut fields = Fields::new();
        let name = fields.check("name", "invalid_name", Name::try_new(&self.name));
        let zone = fields.check("time_zone", "unknown_time_zone", self.time_zone.parse());
        let currency = Currency::try_new(self.currency.as_deref().unwrap_or("JPY"));
        let currency = fields.check("currency", "invalid_currency", currency);
        let notice = Notice::try_new(self.cancellation_notice_minutes);
        let notice = fields.check("cancellation_notice_minutes", "invalid_notice", notice);
        fields.done(|| {
            let (name, time_zone, currency, notice) = (name?, zone?, currency?, notice?);
            Some(CreateMerchant { owner_id, name, time_zone, currency, notice })
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStaff {
    /// 1 to 100 characters.
    pub(super) name: String,
}

impl NewStaff {
    pub(super) fn into_command(self, owner: Owner, merchant: Uuid) -> Result<AddStaff, ApiError> {
        let mut fields = Fields::new();
        let name = fields.check("name", "invalid_name", Name::try_new(&self.name));
        fields.done(|| Some(AddStaff { owner, merchant_id: merchant, name: name? }))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBooking {
    pub(super) merchant_id: Uuid,
    pub(super) staff_id: Uuid,
    /// Service to book, at its own price and duration. Only the merchant's owner may omit it, to book a time that
    /// costs nothing.
    pub(super) service_id: Option<Uuid>,
    /// RFC 3339; from now to 400 days ahead.
    pub(super) starts_at: DateTime<Utc>,
    /// RFC 3339; 5 minutes to 12 hours later, and exactly the duration of the service, if there is one.
    pub(super) ends_at: DateTime<Utc>,
}

impl NewBooking {
    pub(super) fn into_command(self, actor: Actor) -> Result<Book, ApiError> {
        let Self { merchant_id, staff_id, service_id, starts_at, ends_at } = self;
        let mut fields = Fields::new();
        let interval =
            fields.check("ends_at", "invalid_interval", Interval::try_new(starts_at, ends_at));
        fields.done(|| {
            let interval = interval?;
            Some(Book { actor, merchant_id, staff_id, service_id, interval })
        })
    }
}

/// `{}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// Points that pay a part of the price: at least 1, and worth at most the whole price. In the deployment's own
    /// currency a point pays one minor unit. None when absent.
    pub(super) points: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Keeps only this state.
    status: Option<Status>,
    /// Keeps bookings that start at this time or later.
    from: Option<DateTime<Utc>>,
    /// Keeps bookings that start before this time.
    to: Option<DateTime<Utc>>,
    /// 1 to 100; 20 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl ListQuery {
    pub(super) fn into_parts(self) -> (Filter, Option<i64>, Option<String>) {
        let filter = Filter { status: self.status, from: self.from, to: self.to };
        (filter, self.limit, self.cursor)
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SagaQuery {
    /// Keeps only this state.
    state: Option<SagaState>,
    /// Keeps only open payments, or only the others.
    open: Option<bool>,
    /// Keeps only payments that a person should look at, or only the others.
    needs_attention: Option<bool>,
    /// 1 to 100; 20 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl SagaQuery {
    pub(super) fn into_parts(self) -> (SagaFilter, PageQuery) {
        let Self { state, open, needs_attention, limit, cursor } = self;
        (SagaFilter { state, open, needs_attention }, PageQuery { limit, cursor, seen: None })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// 1 to 100; 20 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl From<PageParams> for PageQuery {
    fn from(page: PageParams) -> Self {
        Self { limit: page.limit, cursor: page.cursor, seen: None }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SlotQuery {
    service_id: Uuid,
    /// All staff who give the service when absent.
    staff_id: Option<Uuid>,
    /// First day, in the merchant's zone.
    from: NaiveDate,
    /// Day after the last one, at most 31 days later.
    to: NaiveDate,
}

impl SlotQuery {
    pub(super) fn into_query(self, merchant_id: Uuid) -> Result<FindSlots, ApiError> {
        let Self { service_id, staff_id, from, to } = self;
        let mut fields = Fields::new();
        let days = fields.check("to", "invalid_period", Days::try_new(from, to));
        fields.done(|| Some(FindSlots { merchant_id, service_id, staff_id, days: days? }))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHold {
    merchant_id: Uuid,
    service_id: Uuid,
    /// Any free staff member when absent.
    staff_id: Option<Uuid>,
    /// On the merchant's wall clock, such as `2030-01-31T09:00`, or with an offset.
    starts_at: String,
}

impl NewHold {
    pub(super) fn into_command(self, actor: Actor) -> Result<Hold, ApiError> {
        let Self { merchant_id, service_id, staff_id, starts_at } = self;
        let mut fields = Fields::new();
        let starts_at = fields.check("starts_at", "invalid_value", starts_at.parse());
        fields.done(|| {
            let starts_at = starts_at?;
            Some(Hold { actor, merchant_id, service_id, staff_id, starts_at })
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTime {
    /// On the merchant's wall clock, such as `2030-01-31T09:00`, or with an offset.
    starts_at: String,
    /// The same staff member when absent.
    staff_id: Option<Uuid>,
}

impl NewTime {
    pub(super) fn into_command(
        self,
        actor: Actor,
        booking_id: Uuid,
    ) -> Result<Reschedule, ApiError> {
        let Self { starts_at, staff_id } = self;
        let mut fields = Fields::new();
        let starts_at = fields.check("starts_at", "invalid_value", starts_at.parse());
        fields.done(|| Some(Reschedule { actor, booking_id, starts_at: starts_at?, staff_id }))
    }
}
