//! The bodies and queries of the public API.

use chrono::{DateTime, NaiveDate, Utc};
use kit::ApiError;
use kit::error::Fields;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::{
    AddStaff, Book, By, CreateMerchant, Filter, FindSlots, Hold, Owner, PageQuery, Reschedule,
    SagaFilter,
};
use crate::domain::{Currency, Days, Interval, Name, Notice, SagaState, Status};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMerchant {
    /// 1 to 100 characters.
    pub(super) name: String,
    /// Of the IANA database, such as `Asia/Tokyo`.
    pub(super) time_zone: String,
    /// ISO 4217; JPY when absent.
    pub(super) currency: Option<String>,
    /// How long before the start a member may still cancel or move a booking: 0 (when absent) to
    /// 43,200.
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
    /// What is to be given, at its own price and in its own time. When absent, only the time is booked,
    /// which costs nothing: for the merchant's owner alone.
    pub(super) service_id: Option<Uuid>,
    /// RFC 3339; from now to 400 days ahead.
    pub(super) starts_at: DateTime<Utc>,
    /// RFC 3339; 5 minutes to 12 hours later, with a service exactly as long as that takes.
    pub(super) ends_at: DateTime<Utc>,
}

impl NewBooking {
    pub(super) fn into_command(self, by: By) -> Result<Book, ApiError> {
        let Self { merchant_id, staff_id, service_id, starts_at, ends_at } = self;
        let mut fields = Fields::new();
        let interval =
            fields.check("ends_at", "invalid_interval", Interval::try_new(starts_at, ends_at));
        fields.done(|| {
            let interval = interval?;
            Some(Book { by, merchant_id, staff_id, service_id, interval })
        })
    }
}

/// `{}`: the path says it all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// Pay a part of the price with these points of yours: 1 to what the whole price is worth, which in the
    /// deployment's own currency is a point for each minor unit. None when absent.
    pub(super) points: Option<i64>,
}

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

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SagaQuery {
    /// Only those in this state.
    state: Option<SagaState>,
    /// Only those that are not at an end, or only those that are.
    open: Option<bool>,
    /// Only those that a person should look at, or only the others.
    needs_attention: Option<bool>,
    /// 1 to 100; 20 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
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
    /// `next_cursor` of the page before.
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
    /// Anybody who gives the service when absent.
    staff_id: Option<Uuid>,
    /// The first day, in the merchant's zone.
    from: NaiveDate,
    /// The first day that is not searched any more, 31 days later at most.
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
    /// Whoever is free when absent.
    staff_id: Option<Uuid>,
    /// On the merchant's wall clock, such as `2030-01-31T09:00`, or with an offset.
    starts_at: String,
}

impl NewHold {
    pub(super) fn into_command(self, by: By) -> Result<Hold, ApiError> {
        let Self { merchant_id, service_id, staff_id, starts_at } = self;
        let mut fields = Fields::new();
        let starts_at = fields.check("starts_at", "invalid_value", starts_at.parse());
        fields.done(|| {
            let starts_at = starts_at?;
            Some(Hold { by, merchant_id, service_id, staff_id, starts_at })
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTime {
    /// On the merchant's wall clock, such as `2030-01-31T09:00`, or with an offset.
    starts_at: String,
    /// The same person when absent.
    staff_id: Option<Uuid>,
}

impl NewTime {
    pub(super) fn into_command(self, by: By, booking_id: Uuid) -> Result<Reschedule, ApiError> {
        let Self { starts_at, staff_id } = self;
        let mut fields = Fields::new();
        let starts_at = fields.check("starts_at", "invalid_value", starts_at.parse());
        fields.done(|| Some(Reschedule { by, booking_id, starts_at: starts_at?, staff_id }))
    }
}
