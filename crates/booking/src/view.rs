//! The values that use cases read and answer. They name only the domain.

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Booking, SagaState, Service, Status};

/// A filter for a member's bookings.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<Status>,
    /// Keeps bookings that start at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Keeps bookings that start before this time.
    pub to: Option<DateTime<Utc>>,
}

/// The place of a booking or a closure in a list: its start and its id.
pub(crate) type Place = (DateTime<Utc>, Uuid);

#[derive(Debug, Serialize, ToSchema)]
pub struct Page {
    pub items: Vec<Booking>,
    /// Cursor of the next page; null on the last.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Slots {
    /// Time zone of the merchant.
    pub time_zone: &'static str,
    /// Price of each slot in the minor unit of the merchant's currency.
    pub price_minor: i64,
    /// Ordered by start.
    pub items: Vec<Slot>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Slot {
    /// On the merchant's clock.
    pub starts_at: DateTime<FixedOffset>,
    pub ends_at: DateTime<FixedOffset>,
    /// Staff members who are free at this time.
    pub staff_ids: Vec<Uuid>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Merchant {
    pub merchant_id: Uuid,
    pub name: String,
    pub time_zone: String,
    /// ISO 4217.
    pub currency: String,
    /// Minutes before the start until which a member may cancel or move a booking.
    pub cancellation_notice_minutes: i32,
}

/// A merchant that takes no bookings any more.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ClosedMerchant {
    pub merchant_id: Uuid,
    pub closed_at: DateTime<Utc>,
}

/// A merchant and its new owner.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct HandedOver {
    pub merchant_id: Uuid,
    pub owner_id: Uuid,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Staff {
    pub staff_id: Uuid,
    pub merchant_id: Uuid,
    pub name: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StaffServices {
    pub service_ids: Vec<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StaffWithServices {
    pub staff_id: Uuid,
    pub merchant_id: Uuid,
    pub name: String,
    /// Services that this person gives.
    pub service_ids: Vec<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StaffPage {
    pub items: Vec<StaffWithServices>,
    /// Cursor of the next page; null on the last.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ServicePage {
    pub items: Vec<Service>,
    /// Cursor of the next page; null on the last.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Closure {
    pub closure_id: Uuid,
    pub merchant_id: Uuid,
    /// Staff member with time off; null when the merchant is closed.
    pub staff_id: Option<Uuid>,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ClosurePage {
    pub items: Vec<Closure>,
    /// Cursor of the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A message about a booking, and its delivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notification {
    pub notification_id: Uuid,
    /// `booked`, `reminder`, `moved` or `cancelled`.
    pub kind: String,
    /// `pending`, `sent`, `failed`, or `dropped` when the message became untrue.
    pub status: String,
    /// Reason for a failure or a delay.
    pub error_reason: Option<String>,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Notifications {
    /// The oldest first.
    pub items: Vec<Notification>,
}

/// A filter for sagas.
#[derive(Clone, Debug, Default)]
pub struct SagaFilter {
    pub state: Option<SagaState>,
    pub open: Option<bool>,
    pub needs_attention: Option<bool>,
}

/// The payment of a booking with points, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SagaView {
    pub saga_id: Uuid,
    pub booking_id: Uuid,
    pub merchant_id: Uuid,
    pub member_id: Uuid,
    pub points: i64,
    pub state: String,
    /// Reason that the payment failed.
    pub failure: Option<String>,
    /// Failed attempts of the current step.
    pub attempts: i32,
    pub last_error: Option<String>,
    /// Time since which a person should look at the saga. Its retries continue.
    pub needs_attention_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An entry in the log of a saga.
#[derive(Debug, Serialize, ToSchema)]
pub struct SagaStep {
    pub step: String,
    /// `done`, or the reason for a failure.
    pub outcome: String,
    /// State of the saga afterwards.
    pub state: String,
    /// Number of times that the same happened.
    pub times: i32,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SagaWithSteps {
    #[serde(flatten)]
    pub saga: SagaView,
    /// In order.
    pub steps: Vec<SagaStep>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SagaPage {
    pub items: Vec<SagaView>,
    /// Cursor of the next page; null on the last.
    pub next_cursor: Option<String>,
}
