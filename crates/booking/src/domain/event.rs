//! The events that booking publishes for points.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The kind of the event of a completed booking.
pub const BOOKING_COMPLETED: &str = "booking.completed";

/// The kinds of the events of a [`Membership`].
pub const MERCHANT_REGISTERED: &str = "merchant.registered";
pub const OWNER_LEFT: &str = "owner.left";
pub const STAFF_LINKED: &str = "staff.linked";
pub const STAFF_UNLINKED: &str = "staff.unlinked";

/// The payload of a completed booking. Older versions omit the optional fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingCompleted {
    pub booking_id: Uuid,
    pub merchant_id: Uuid,
    pub member_id: Uuid,
    pub price_minor: i64,
    #[serde(default)]
    pub points_paid: i64,
    /// The part of the price that the points paid, which earns none. When absent, as much as `points_paid`.
    #[serde(default)]
    pub points_value_minor: Option<i64>,
    /// The currency of the price.
    #[serde(default)]
    pub currency: Option<String>,
    /// The completion, whose conversion rule applies.
    #[serde(default)]
    pub occurred_at: Option<DateTime<Utc>>,
}

/// A member who belongs to a merchant: its owner, or a staff member who signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub merchant_id: Uuid,
    pub member_id: Uuid,
}

/// The reason that a completed booking earns no points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEarning {
    /// The purchase is worth less than one point.
    PurchaseTooSmall,
    /// Owners earn nothing at their own merchant.
    OwnMerchant,
    /// The merchant's currency has no value in points.
    TenderValueMissing,
}

impl NoEarning {
    pub const ALL: [Self; 3] =
        [Self::PurchaseTooSmall, Self::OwnMerchant, Self::TenderValueMissing];

    /// Returns the error code of points.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PurchaseTooSmall => "purchase_too_small",
            Self::OwnMerchant => "own_merchant",
            Self::TenderValueMissing => "tender_value_missing",
        }
    }
}
