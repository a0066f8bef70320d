//! The terms on which a merchant takes bookings.

use thiserror::Error;
use uuid::Uuid;

use super::{Length, Notice, TimeZone};

/// The terms of a merchant.
#[derive(Clone, Debug)]
pub struct Terms {
    /// `None` when the merchant is closed.
    pub owner_id: Option<Uuid>,
    pub zone: TimeZone,
    pub currency: String,
    pub notice: Notice,
}

/// A service, with the terms of its merchant.
#[derive(Clone, Debug)]
pub struct Bookable {
    pub terms: Terms,
    pub length: Length,
    pub price_minor: i64,
}

/// The merchant was closed by an operator: it takes no bookings, and neither earns nor issues points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("merchant is closed")]
pub struct MerchantClosed;

impl Terms {
    /// Refuses a closed merchant.
    pub fn check_open(&self) -> Result<(), MerchantClosed> {
        if self.owner_id.is_some() { Ok(()) } else { Err(MerchantClosed) }
    }
}
