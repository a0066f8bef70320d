//! The payment of a booking with points, as a state machine: the next step to ask of points, and the effect of
//! its answer. An answer may arrive late or twice; an unexpected one changes nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Failure, Status};

/// The state of a saga. `captured`, `released` and `reversed` are final.
///
/// ```text
/// holding ──► capturing ──► captured ──► reversing ──► reversed
///    └──► releasing ──► released
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SagaState {
    /// Points must hold the member's points; the booking is still a hold itself.
    Holding,
    /// The booking is confirmed, and points must spend the held points. Only a cancellation of the booking
    /// leads back.
    Capturing,
    Captured,
    /// The payment failed; points must release its hold.
    Releasing,
    Released,
    /// The booking was cancelled after the payment; points must give the points back.
    Reversing,
    Reversed,
}

/// A step that booking asks of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Hold,
    Capture,
    Release,
    Reverse,
}

/// An answer of points to a step. A call without an answer is repeated. An answer names its hold and its number
/// of points, and [`Saga::apply`] compares them: a hold under the saga's id may be another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepAnswer {
    /// The points are held, by this call or an earlier one, and pay this part of the price.
    Held {
        hold_id: Uuid,
        points: i64,
        value_minor: i64,
    },
    /// The points of the hold were spent by this transfer, by this call or an earlier one.
    Captured {
        hold_id: Uuid,
        points: i64,
        transfer_id: Option<Uuid>,
    },
    /// The hold has ended.
    Released {
        hold_id: Uuid,
    },
    Reversed,
    /// Points refuses, and repeating the step does not change that.
    Refused(Failure),
}

/// The payment of a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saga {
    pub saga_id: Uuid,
    pub merchant_id: Uuid,
    pub booking_id: Uuid,
    pub member_id: Uuid,
    pub points: i64,
    /// Price of the booking in the minor unit of `currency`.
    pub price_minor: i64,
    pub currency: String,
    /// The part of the price that the points pay, as points says; 0 until they are held.
    pub value_minor: i64,
    pub state: SagaState,
    /// The booking was cancelled during the capture, so the capture must be reversed.
    pub undo: bool,
    /// The transfer of the capture.
    pub transfer_id: Option<Uuid>,
    pub failure: Option<Failure>,
}

/// The effect of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The saga has a new state, and its booking may have a new status.
    Moves { saga: Saga, booking: Option<Status> },
    /// The saga cannot continue: a person must look at it.
    Stuck,
    /// The answer was not expected: it came twice, or too late.
    Nothing,
}

impl Saga {
    /// Returns the next step; `None` in a final state.
    pub fn next(&self) -> Option<Step> {
        match self.state {
            SagaState::Holding => Some(Step::Hold),
            SagaState::Capturing => Some(Step::Capture),
            SagaState::Releasing => Some(Step::Release),
            SagaState::Reversing => Some(Step::Reverse),
            SagaState::Captured | SagaState::Released | SagaState::Reversed => None,
        }
    }

    /// Returns the effect of an answer to a step, given the booking's current status.
    pub fn apply(&self, step: Step, answer: &StepAnswer, booking: Status) -> Change {
        use SagaState as S;
        if self.next() != Some(step) {
            return Change::Nothing;
        }
        match (step, answer) {
            (Step::Hold, StepAnswer::Held { hold_id, points, value_minor })
                if *hold_id == self.saga_id && *points == self.points =>
            {
                self.held(*value_minor, booking)
            }
            // Frees the slot at once. A lost answer may have left a hold, so it is released.
            (Step::Hold, StepAnswer::Refused(failure)) => {
                self.fails(*failure, (booking == Status::Held).then_some(Status::Cancelled))
            }
            (
                Step::Capture,
                StepAnswer::Captured { hold_id, points, transfer_id: Some(transfer) },
            ) if *hold_id == self.saga_id && *points == self.points => {
                let state = if self.undo { S::Reversing } else { S::Captured };
                let transfer_id = Some(*transfer);
                self.moves(Saga { state, transfer_id, ..self.clone() }, None)
            }
            // Nothing was spent, and the booking is cancelled: only the hold is left.
            (Step::Capture, StepAnswer::Refused(_)) if self.undo => {
                self.fails(Failure::Cancelled, None)
            }
            (Step::Release, StepAnswer::Released { hold_id }) if *hold_id == self.saga_id => {
                self.moves(Saga { state: S::Released, ..self.clone() }, None)
            }
            // Another's hold has the id, so ours can never exist.
            (Step::Release, StepAnswer::Refused(Failure::NotFound)) => {
                self.moves(Saga { state: S::Released, ..self.clone() }, None)
            }
            (Step::Reverse, StepAnswer::Reversed) => {
                self.moves(Saga { state: S::Reversed, ..self.clone() }, None)
            }
            // A capture came before the release. The repeated capture names its transfer, which is then reversed.
            (Step::Release, StepAnswer::Refused(Failure::HoldCaptured)) => {
                self.moves(Saga { state: S::Capturing, undo: true, ..self.clone() }, None)
            }
            // A refusal, or an answer about another's hold.
            _ => Change::Stuck,
        }
    }

    /// Returns the effect of a successful hold of points. The booking may have ended meanwhile. Points that pay
    /// nothing, or more than the price, are released together with the slot.
    fn held(&self, value_minor: i64, booking: Status) -> Change {
        if !(1..=self.largest_value()).contains(&value_minor) {
            let freed = (booking == Status::Held).then_some(Status::Cancelled);
            return self.fails(Failure::ExceedsPrice, freed);
        }
        let held = Saga { state: SagaState::Capturing, value_minor, ..self.clone() };
        match booking {
            Status::Held => self.moves(held, Some(Status::Confirmed)),
            Status::Expired => self.fails(Failure::HoldExpired, None),
            _ => self.fails(Failure::Cancelled, None),
        }
    }

    /// Returns the largest value that the points may have. Sagas of an older version do not know their price;
    /// their points, already compared with it, pay one minor unit each.
    fn largest_value(&self) -> i64 {
        if self.price_minor == 0 { self.points } else { self.price_minor }
    }

    /// Returns the saga after the cancellation of its booking; `None` when there is nothing to take back.
    #[must_use]
    pub fn cancelled(&self) -> Option<Self> {
        use SagaState as S;
        let failure = Some(Failure::Cancelled);
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

    fn fails(&self, failure: Failure, booking: Option<Status>) -> Change {
        let (state, failure) = (SagaState::Releasing, Some(failure));
        self.moves(Self { state, failure, ..self.clone() }, booking)
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

    /// Returns its word on the wire and in the database.
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

    /// Returns `true` in a final state.
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
    const HELD: StepAnswer = StepAnswer::Held { hold_id: ID, points: 5, value_minor: 5 };

    #[test]
    fn an_unexpected_answer_changes_nothing() {
        for state in SagaState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(saga(state).next().is_none(), state.is_end());
            for step in Step::ALL.into_iter().filter(|step| saga(state).next() != Some(*step)) {
                let refused = StepAnswer::Refused(Failure::GrantInvalid);
                for answer in [HELD, StepAnswer::Reversed, refused] {
                    let change = saga(state).apply(step, &answer, Status::Held);
                    assert_eq!(change, Change::Nothing, "{state} {step:?}");
                }
            }
        }
    }

    #[test]
    fn a_booking_is_confirmed_by_the_hold_of_its_points_and_only_while_it_is_held() {
        for status in [Status::Held, Status::Expired, Status::Cancelled] {
            let change = saga(SagaState::Holding).apply(Step::Hold, &HELD, status);
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
        for answer in [
            StepAnswer::Held { hold_id: other, points: 5, value_minor: 5 },
            StepAnswer::Held { hold_id, points: 1, value_minor: 5 },
            StepAnswer::Held { hold_id, points: 6, value_minor: 5 },
            StepAnswer::Reversed,
        ] {
            let change = saga(SagaState::Holding).apply(Step::Hold, &answer, Status::Held);
            assert_eq!(change, Change::Stuck, "{answer:?}");
        }
        for answer in [
            StepAnswer::Captured { hold_id: other, points: 5, transfer_id },
            StepAnswer::Captured { hold_id, points: 1, transfer_id },
            StepAnswer::Captured { hold_id, points: 5, transfer_id: None },
            HELD,
        ] {
            for undo in [false, true] {
                let saga = Saga { undo, ..saga(SagaState::Capturing) };
                let change = saga.apply(Step::Capture, &answer, Status::Confirmed);
                assert_eq!(change, Change::Stuck, "{answer:?}");
            }
        }
        let released = StepAnswer::Released { hold_id: other };
        let change = saga(SagaState::Releasing).apply(Step::Release, &released, Status::Cancelled);
        assert_eq!(change, Change::Stuck);
    }

    #[test]
    fn points_that_pay_nothing_or_more_than_the_price_are_freed_with_the_slot() {
        // A price of 0: a saga of an older version, whose points were compared with the price.
        for (price_minor, good, bad) in [(7, [1, 7], [0, 8]), (0, [1, 5], [0, 6])] {
            let saga = Saga { price_minor, ..saga(SagaState::Holding) };
            let hear = |value_minor, booking| {
                let held = StepAnswer::Held { hold_id: ID, points: 5, value_minor };
                saga.apply(Step::Hold, &held, booking)
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
                    assert_eq!(saga.failure, Some(Failure::ExceedsPrice));
                    assert_eq!((saga.state, booking), (SagaState::Releasing, becomes));
                }
            }
        }
    }

    #[test]
    fn a_refused_capture_waits_for_a_person_unless_the_booking_is_off() {
        let refused = StepAnswer::Refused(Failure::HoldExpired);
        let paid = saga(SagaState::Capturing);
        assert_eq!(paid.apply(Step::Capture, &refused, Status::Confirmed), Change::Stuck);
        let off = paid.cancelled().unwrap();
        let change = off.apply(Step::Capture, &refused, Status::Cancelled);
        assert!(matches!(change, Change::Moves { saga, .. } if saga.state == SagaState::Releasing));
    }
}
