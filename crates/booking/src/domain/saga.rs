//! Paying with points: what to ask of points next, and what an answer means. Every answer may come twice
//! and late; one that is not waited for changes nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Status;

/// How far a saga is. `captured`, `released` and `reversed` are its ends.
///
/// ```text
/// holding ──► capturing ──► captured ──► reversing ──► reversed
///    └──► releasing ──► released
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SagaState {
    /// Points is to hold them; the booking is still a hold itself.
    Holding,
    /// The booking is confirmed, and points is to spend what it holds. There is no way back from here but
    /// to cancel the booking.
    Capturing,
    Captured,
    /// It failed; points is to free what it may hold.
    Releasing,
    Released,
    /// The booking was cancelled after it was paid; points is to give them back.
    Reversing,
    Reversed,
}

/// What booking asks of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Hold,
    Capture,
    Release,
    Reverse,
}

/// An answer of points. A failure to answer is none of these: it is asked again. An answer says of which hold it
/// speaks and of how much, and [`Saga::hear`] compares: what exists under our id need not be ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// So many points are held, now or before, and pay so much of the price.
    Held {
        hold_id: Uuid,
        points: i64,
        value_minor: i64,
    },
    /// So many points of the hold were spent by this transfer, now or before.
    Captured {
        hold_id: Uuid,
        points: i64,
        transfer_id: Option<Uuid>,
    },
    /// Nothing of the hold is held any more.
    Released {
        hold_id: Uuid,
    },
    Reversed,
    /// No, for this reason, whenever it is asked.
    Refused(String),
}

/// The payment of a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saga {
    pub saga_id: Uuid,
    pub merchant_id: Uuid,
    pub booking_id: Uuid,
    pub member_id: Uuid,
    pub points: i64,
    /// Of the booking, in the minor unit of `currency`: what the points pay a part of.
    pub price_minor: i64,
    pub currency: String,
    /// The part of the price that the points pay, as points says; 0 until they are held.
    pub value_minor: i64,
    pub state: SagaState,
    /// The booking was cancelled while the capture was on its way.
    pub undo: bool,
    /// Of the capture.
    pub transfer_id: Option<Uuid>,
    /// Why it went back.
    pub failure: Option<String>,
}

/// What an answer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The saga moves on, and perhaps its booking with it.
    Moves { saga: Saga, booking: Option<Status> },
    /// Points refuses what cannot be done without: a person has to look.
    Stuck,
    /// Not what was waited for: an answer that came again, or too late.
    Nothing,
}

/// What points says to a payment that is larger than the balance.
pub const INSUFFICIENT: &str = "insufficient_points";
/// What points says to the release of what was spent.
const CAPTURED: &str = "hold_captured";
/// The answer of points about a hold that is not ours, as if it were not there.
const NOT_FOUND: &str = "not_found";
/// The answer of points when a booking in a currency without a tender value is paid.
pub const TENDER_VALUE_MISSING: &str = "tender_value_missing";
/// The answer of points when the points are worth more than the price, or nothing.
pub const EXCEEDS_PRICE: &str = "exceeds_price";
/// The booking's own hold was over before points answered.
pub const EXPIRED: &str = "hold_expired";
/// The booking was cancelled meanwhile.
pub const CANCELLED: &str = "cancelled";

impl Saga {
    /// What is to be asked now; `None` at an end.
    pub fn next(&self) -> Option<Step> {
        match self.state {
            SagaState::Holding => Some(Step::Hold),
            SagaState::Capturing => Some(Step::Capture),
            SagaState::Releasing => Some(Step::Release),
            SagaState::Reversing => Some(Step::Reverse),
            SagaState::Captured | SagaState::Released | SagaState::Reversed => None,
        }
    }

    /// What this answer to this step means, with the booking where it now stands.
    pub fn hear(&self, step: Step, heard: &Heard, booking: Status) -> Change {
        use SagaState as S;
        if self.next() != Some(step) {
            return Change::Nothing;
        }
        match (step, heard) {
            (Step::Hold, Heard::Held { hold_id, points, value_minor })
                if *hold_id == self.saga_id && *points == self.points =>
            {
                self.held(*value_minor, booking)
            }
            // Its slot is free at once. What may be held all the same, by a call whose answer was lost, is
            // released.
            (Step::Hold, Heard::Refused(why)) => {
                self.fails(why, (booking == Status::Held).then_some(Status::Cancelled))
            }
            (Step::Capture, Heard::Captured { hold_id, points, transfer_id: Some(transfer) })
                if *hold_id == self.saga_id && *points == self.points =>
            {
                let state = if self.undo { S::Reversing } else { S::Captured };
                let transfer_id = Some(*transfer);
                self.moves(Saga { state, transfer_id, ..self.clone() }, None)
            }
            // Nothing was spent, and the booking is cancelled: only the hold is left.
            (Step::Capture, Heard::Refused(_)) if self.undo => self.fails(CANCELLED, None),
            (Step::Release, Heard::Released { hold_id }) if *hold_id == self.saga_id => {
                self.moves(Saga { state: S::Released, ..self.clone() }, None)
            }
            // Another's hold has the id, so that ours can never come to be.
            (Step::Release, Heard::Refused(why)) if why == NOT_FOUND => {
                self.moves(Saga { state: S::Released, ..self.clone() }, None)
            }
            (Step::Reverse, Heard::Reversed) => {
                self.moves(Saga { state: S::Reversed, ..self.clone() }, None)
            }
            // A capture overtook the release. Asked again it names its transfer, which is then reversed.
            (Step::Release, Heard::Refused(why)) if why == CAPTURED => {
                self.moves(Saga { state: S::Capturing, undo: true, ..self.clone() }, None)
            }
            // Refused, or an answer about something that is not ours.
            _ => Change::Stuck,
        }
    }

    /// Points holds what was asked for, and the booking may have ended meanwhile. Points that pay nothing, or more
    /// than the price, are freed again with the slot.
    fn held(&self, value_minor: i64, booking: Status) -> Change {
        if !(1..=self.most()).contains(&value_minor) {
            return self
                .fails(EXCEEDS_PRICE, (booking == Status::Held).then_some(Status::Cancelled));
        }
        let held = Saga { state: SagaState::Capturing, value_minor, ..self.clone() };
        match booking {
            Status::Held => self.moves(held, Some(Status::Confirmed)),
            Status::Expired => self.fails(EXPIRED, None),
            _ => self.fails(CANCELLED, None),
        }
    }

    /// The most that the points may pay. Sagas from before do not know their price; their points, which were
    /// compared with it, pay one minor unit each.
    fn most(&self) -> i64 {
        if self.price_minor == 0 { self.points } else { self.price_minor }
    }

    /// What the end of its booking leads to; `None` when there is nothing to take back any more.
    #[must_use]
    pub fn cancelled(&self) -> Option<Self> {
        use SagaState as S;
        let failure = Some(CANCELLED.to_owned());
        match self.state {
            S::Holding => Some(Self { state: S::Releasing, failure, ..self.clone() }),
            S::Capturing => Some(Self { undo: true, failure, ..self.clone() }),
            S::Captured => Some(Self { state: S::Reversing, failure, ..self.clone() }),
            S::Releasing | S::Released | S::Reversing | S::Reversed => None,
        }
    }

    fn moves(&self, saga: Self, booking: Option<Status>) -> Change {
        Change::Moves { saga, booking }
    }

    fn fails(&self, why: &str, booking: Option<Status>) -> Change {
        let failure = Some(why.to_owned());
        self.moves(Self { state: SagaState::Releasing, failure, ..self.clone() }, booking)
    }
}

impl SagaState {
    pub const ALL: [Self; 7] = [
        Self::Holding,
        Self::Capturing,
        Self::Captured,
        Self::Releasing,
        Self::Released,
        Self::Reversing,
        Self::Reversed,
    ];

    /// The word for it on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holding => "holding",
            Self::Capturing => "capturing",
            Self::Captured => "captured",
            Self::Releasing => "releasing",
            Self::Released => "released",
            Self::Reversing => "reversing",
            Self::Reversed => "reversed",
        }
    }

    /// Nothing is left to do.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Captured | Self::Released | Self::Reversed)
    }
}

impl Step {
    pub const ALL: [Self; 4] = [Self::Hold, Self::Capture, Self::Release, Self::Reverse];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Capture => "capture",
            Self::Release => "release",
            Self::Reverse => "reverse",
        }
    }
}

impl fmt::Display for SagaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown saga state")]
pub struct UnknownSagaState;

impl FromStr for SagaState {
    type Err = UnknownSagaState;

    fn from_str(word: &str) -> Result<Self, UnknownSagaState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(UnknownSagaState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saga(state: SagaState) -> Saga {
        let id = Uuid::from_u128(1);
        Saga {
            saga_id: id,
            merchant_id: id,
            booking_id: id,
            member_id: id,
            points: 5,
            price_minor: 7,
            currency: "JPY".to_owned(),
            value_minor: 0,
            state,
            undo: false,
            transfer_id: None,
            failure: None,
        }
    }

    const ID: Uuid = Uuid::from_u128(1);
    const HELD: Heard = Heard::Held { hold_id: ID, points: 5, value_minor: 5 };

    #[test]
    fn an_answer_that_is_not_waited_for_changes_nothing() {
        for state in SagaState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(saga(state).next().is_none(), state.is_end());
            for step in Step::ALL.into_iter().filter(|step| saga(state).next() != Some(*step)) {
                for heard in [HELD, Heard::Reversed, Heard::Refused("no".to_owned())] {
                    let change = saga(state).hear(step, &heard, Status::Held);
                    assert_eq!(change, Change::Nothing, "{state} {step:?}");
                }
            }
        }
    }

    #[test]
    fn a_booking_is_confirmed_by_the_hold_of_its_points_and_only_while_it_is_held() {
        for status in [Status::Held, Status::Expired, Status::Cancelled] {
            let change = saga(SagaState::Holding).hear(Step::Hold, &HELD, status);
            let Change::Moves { saga, booking } = change else { panic!("{change:?}") };
            let confirms = status == Status::Held;
            assert_eq!(booking.is_some(), confirms);
            assert_eq!(saga.state == SagaState::Capturing, confirms);
            assert_eq!(saga.state == SagaState::Releasing, !confirms);
        }
    }

    #[test]
    fn an_answer_about_anything_but_what_was_asked_for_waits_for_a_person() {
        let (hold_id, other) = (ID, Uuid::from_u128(2));
        let transfer_id = Some(Uuid::nil());
        for heard in [
            Heard::Held { hold_id: other, points: 5, value_minor: 5 },
            Heard::Held { hold_id, points: 1, value_minor: 5 },
            Heard::Held { hold_id, points: 6, value_minor: 5 },
            Heard::Reversed,
        ] {
            let change = saga(SagaState::Holding).hear(Step::Hold, &heard, Status::Held);
            assert_eq!(change, Change::Stuck, "{heard:?}");
        }
        for heard in [
            Heard::Captured { hold_id: other, points: 5, transfer_id },
            Heard::Captured { hold_id, points: 1, transfer_id },
            Heard::Captured { hold_id, points: 5, transfer_id: None },
            HELD,
        ] {
            for undo in [false, true] {
                let saga = Saga { undo, ..saga(SagaState::Capturing) };
                let change = saga.hear(Step::Capture, &heard, Status::Confirmed);
                assert_eq!(change, Change::Stuck, "{heard:?}");
            }
        }
        let released = Heard::Released { hold_id: other };
        let change = saga(SagaState::Releasing).hear(Step::Release, &released, Status::Cancelled);
        assert_eq!(change, Change::Stuck);
    }

    #[test]
    fn points_that_pay_nothing_or_more_than_the_price_are_freed_with_the_slot() {
        // 0: a saga from before, whose points were compared with the price.
        for (price_minor, good, bad) in [(7, [1, 7], [0, 8]), (0, [1, 5], [0, 6])] {
            let saga = Saga { price_minor, ..saga(SagaState::Holding) };
            let hear = |value_minor, booking| {
                saga.hear(Step::Hold, &Heard::Held { hold_id: ID, points: 5, value_minor }, booking)
            };
            for value in good {
                let Change::Moves { saga, booking } = hear(value, Status::Held) else { panic!() };
                assert_eq!((saga.state, saga.value_minor), (SagaState::Capturing, value));
                assert_eq!(booking, Some(Status::Confirmed));
            }
            for value in bad {
                for (stands, becomes) in
                    [(Status::Held, Some(Status::Cancelled)), (Status::Cancelled, None)]
                {
                    let Change::Moves { saga, booking } = hear(value, stands) else { panic!() };
                    assert_eq!(saga.failure.as_deref(), Some(EXCEEDS_PRICE));
                    assert_eq!((saga.state, booking), (SagaState::Releasing, becomes));
                }
            }
        }
    }

    #[test]
    fn a_refused_capture_waits_for_a_person_unless_the_booking_is_off() {
        let refused = Heard::Refused("hold_expired".to_owned());
        let paid = saga(SagaState::Capturing);
        assert_eq!(paid.hear(Step::Capture, &refused, Status::Confirmed), Change::Stuck);
        let off = paid.cancelled().unwrap();
        let change = off.hear(Step::Capture, &refused, Status::Cancelled);
        assert!(matches!(change, Change::Moves { saga, .. } if saga.state == SagaState::Releasing));
    }
}
