//! The states of a booking, and the transitions between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// The state of a booking. `held`, `confirmed` and `completed` occupy the slot; an expired hold does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Held,
    Confirmed,
    Completed,
    Cancelled,
    NoShow,
    Expired,
}

/// A transition that the booking's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("booking is {from} and cannot become {to}")]
pub struct InvalidTransition {
    from: Status,
    to: Status,
}

impl Status {
    const ALL: [Self; 6] = [
        Self::Held,
        Self::Confirmed,
        Self::Completed,
        Self::Cancelled,
        Self::NoShow,
        Self::Expired,
    ];

    /// Returns its word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::NoShow => "no_show",
            Self::Expired => "expired",
        }
    }

    /// Confirms a hold; confirming twice has no further effect.
    pub fn confirm(self) -> Result<Self, InvalidTransition> {
        self.step(&[Self::Held, Self::Confirmed], Self::Confirmed)
    }

    /// Confirms a hold that is paid with points: only once.
    pub fn pay(self) -> Result<Self, InvalidTransition> {
        self.step(&[Self::Held], Self::Confirmed)
    }

    /// Completes a booking after the service.
    pub fn complete(self) -> Result<Self, InvalidTransition> {
        self.step(&[Self::Confirmed], Self::Completed)
    }

    /// Cancels a booking, which frees its slot.
    pub fn cancel(self) -> Result<Self, InvalidTransition> {
        self.step(&[Self::Held, Self::Confirmed], Self::Cancelled)
    }

    /// Marks a booking as missed by its member, which frees the rest of its slot.
    pub fn no_show(self) -> Result<Self, InvalidTransition> {
        self.step(&[Self::Confirmed], Self::NoShow)
    }

    /// Moves a booking to another time. A hold cannot be moved; the member takes another.
    pub fn reschedule(self) -> Result<Self, InvalidTransition> {
        self.step(&[Self::Confirmed], Self::Confirmed)
    }

    fn step(self, allowed: &[Self], to: Self) -> Result<Self, InvalidTransition> {
        if allowed.contains(&self) { Ok(to) } else { Err(InvalidTransition { from: self, to }) }
    }
}

impl InvalidTransition {
    /// Returns the refusal to confirm an expired hold.
    pub fn of_expired_hold() -> Self {
        Self { from: Status::Expired, to: Status::Confirmed }
    }

    /// Returns `true` when the booking was a hold that expired: the request came too late.
    pub fn is_of_expired_hold(self) -> bool {
        self.from == Status::Expired
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown booking status")]
pub struct UnknownStatus;

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or(UnknownStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_confirmed_booking_is_completed() {
        let completable: Vec<_> =
            Status::ALL.into_iter().filter(|status| status.complete().is_ok()).collect();
        assert_eq!(completable, [Status::Confirmed]);
    }

    #[test]
    fn only_a_held_or_confirmed_booking_is_cancelled() {
        let cancellable: Vec<_> =
            Status::ALL.into_iter().filter(|status| status.cancel().is_ok()).collect();
        assert_eq!(cancellable, [Status::Held, Status::Confirmed]);
    }

    #[test]
    fn only_a_confirmed_booking_is_missed_or_moved_and_confirming_twice_is_once() {
        let from = |step: fn(Status) -> Result<Status, InvalidTransition>| {
            Status::ALL.into_iter().filter(|status| step(*status).is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(from(Status::no_show), [Status::Confirmed]);
        assert_eq!(from(Status::reschedule), [Status::Confirmed]);
        assert_eq!(from(Status::confirm), [Status::Held, Status::Confirmed]);
        assert!(Status::Expired.confirm().unwrap_err().is_of_expired_hold());
        assert!(!Status::Cancelled.confirm().unwrap_err().is_of_expired_hold());
    }

    #[test]
    fn every_status_reads_back_from_its_word() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert_eq!("CONFIRMED".parse::<Status>(), Err(UnknownStatus));
    }
}
