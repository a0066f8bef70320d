//! The reasons that payments with points fail.

use std::str::FromStr;

use thiserror::Error;

/// The reason that a payment fails: a refusal of points, or the end of the booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The booking was cancelled.
    Cancelled,
    /// The payment is larger than the balance.
    InsufficientPoints,
    /// The booking's currency has no value in points.
    TenderValueMissing,
    /// The points are worth more than the price, or nothing.
    ExceedsPrice,
    GrantInvalid,
    GrantExpired,
    /// The hold under the saga's id is another's; points answers as if there were none.
    NotFound,
    /// The saga's id is taken by another's hold.
    HoldExists,
    HoldReleased,
    /// The points are spent already.
    HoldCaptured,
    /// The booking's own hold, or the hold of its points, expired first.
    HoldExpired,
    CaptureExceedsHold,
    NotReversible,
    InvalidAmount,
    BalanceLimitExceeded,
}

impl Failure {
    const ALL: [Self; 15] = [
        Self::Cancelled,
        Self::InsufficientPoints,
        Self::TenderValueMissing,
        Self::ExceedsPrice,
        Self::GrantInvalid,
        Self::GrantExpired,
        Self::NotFound,
        Self::HoldExists,
        Self::HoldReleased,
        Self::HoldCaptured,
        Self::HoldExpired,
        Self::CaptureExceedsHold,
        Self::NotReversible,
        Self::InvalidAmount,
        Self::BalanceLimitExceeded,
    ];

    /// Returns its word in the database and, but for [`Failure::Cancelled`], the error code of points.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::InsufficientPoints => "insufficient_points",
            Self::TenderValueMissing => "tender_value_missing",
            Self::ExceedsPrice => "exceeds_price",
            Self::GrantInvalid => "grant_invalid",
            Self::GrantExpired => "grant_expired",
            Self::NotFound => "not_found",
            Self::HoldExists => "hold_exists",
            Self::HoldReleased => "hold_released",
            Self::HoldCaptured => "hold_captured",
            Self::HoldExpired => "hold_expired",
            Self::CaptureExceedsHold => "capture_exceeds_hold",
            Self::NotReversible => "not_reversible",
            Self::InvalidAmount => "invalid_amount",
            Self::BalanceLimitExceeded => "balance_limit_exceeded",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown payment failure")]
pub struct UnknownFailure;

impl FromStr for Failure {
    type Err = UnknownFailure;

    fn from_str(word: &str) -> Result<Self, UnknownFailure> {
        Self::ALL.into_iter().find(|failure| failure.as_str() == word).ok_or(UnknownFailure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_reads_back_from_its_word() {
        for failure in Failure::ALL {
            assert_eq!(failure.as_str().parse(), Ok(failure));
        }
        assert_eq!("INSUFFICIENT_POINTS".parse::<Failure>(), Err(UnknownFailure));
    }
}
