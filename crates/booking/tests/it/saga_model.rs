//! Every message between booking and points, any number of times and in any order: all that can come of it.
//! `saga_faults` does the same with the real services, for a few orders.

use std::collections::{HashSet, VecDeque};

use booking::domain::{Change, Failure, Saga, SagaState, Status, Step, StepAnswer};
use uuid::Uuid;

/// A hold in points, as `points.v1.Holds` promises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Held {
    Nothing,
    Points,
    Spent,
    GivenBack,
    /// Also when the release came first: it leaves a mark, and the hold is refused.
    Released,
    /// Another's hold has our id: points answers as if there were none, and ours cannot be placed.
    Foreign,
}

/// An answer to a step: success or the refusal. It may arrive at any later time, and again.
type Answer = (u8, Result<(), &'static str>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    state: SagaState,
    undo: bool,
    paid: bool,
    booking: &'static str,
    held: Held,
    /// Steps whose first success points has kept, and repeats.
    kept: [bool; 4],
    /// Steps that were asked, whose copies may arrive at any later time; a capture even before it is asked,
    /// as from a process that had its database set back.
    asked: [bool; 4],
    answers: Vec<Answer>,
}

const ID: Uuid = Uuid::from_u128(1);
const TRANSFER: Uuid = Uuid::from_u128(7);
const POINTS: i64 = 5;

fn done(step: Step) -> StepAnswer {
    let (hold_id, points) = (ID, POINTS);
    match step {
        Step::Hold => StepAnswer::Held { hold_id, points, value_minor: points },
        Step::Capture => StepAnswer::Captured { hold_id, points, transfer_id: Some(TRANSFER) },
        Step::Release => StepAnswer::Released { hold_id },
        Step::Reverse => StepAnswer::Reversed,
    }
}

fn index(step: Step) -> usize {
    Step::ALL.iter().position(|known| *known == step).unwrap()
}

impl World {
    fn opened(held: Held) -> Self {
        let (none, answers) = ([false; 4], Vec::new());
        let state = SagaState::Holding;
        let asked = [true, true, false, false];
        let (undo, paid) = (false, false);
        Self { state, undo, paid, booking: "held", held, kept: none, asked, answers }
    }

    fn saga(&self) -> Saga {
        Saga {
            saga_id: ID,
            merchant_id: ID,
            booking_id: ID,
            member_id: ID,
            points: POINTS,
            price_minor: POINTS,
            currency: "JPY".to_owned(),
            value_minor: 0,
            state: self.state,
            undo: self.undo,
            transfer_id: self.paid.then_some(TRANSFER),
            failure: None,
        }
    }

    fn stands(&mut self, saga: &Saga) {
        (self.state, self.undo, self.paid) = (saga.state, saga.undo, saga.transfer_id.is_some());
        if let Some(step) = saga.next() {
            self.asked[index(step)] = true;
        }
    }

    /// Returns the world after points has run this step, and its answer. A hold may find too few points.
    fn points(&self, step: Step, poor: bool) -> (Self, StepAnswer) {
        let mut after = self.clone();
        let refused = StepAnswer::Refused;
        let done = done(step);
        if self.kept[index(step)] {
            return (after, done);
        }
        after.held = match (step, self.held) {
            (Step::Hold, Held::Nothing) if poor => {
                return (after, refused(Failure::InsufficientPoints));
            }
            (Step::Hold, Held::Nothing) => Held::Points,
            (Step::Capture, Held::Points) => Held::Spent,
            (Step::Release, Held::Nothing | Held::Points) => Held::Released,
            (Step::Reverse, Held::Spent) => Held::GivenBack,
            (Step::Hold, Held::Foreign) => return (after, refused(Failure::HoldExists)),
            (_, Held::Released) => return (after, refused(Failure::HoldReleased)),
            (_, Held::Spent | Held::GivenBack) => return (after, refused(Failure::HoldCaptured)),
            _ => return (after, refused(Failure::NotFound)),
        };
        after.kept[index(step)] = true;
        (after, done)
    }

    /// `None` when a person would have to look, unless points says something else when it is asked again.
    fn hear(&self, step: Step, heard: &StepAnswer) -> Option<Self> {
        let mut after = self.clone();
        match self.saga().apply(step, heard, self.booking.parse().unwrap()) {
            Change::Moves { saga, booking } => {
                after.stands(&saga);
                after.booking = booking.map_or(self.booking, Status::as_str);
            }
            Change::Nothing => {}
            Change::Stuck => return None,
        }
        Some(after)
    }

    /// All that may happen next.
    fn next(&self) -> Vec<Self> {
        let mut next = Vec::new();
        for step in Step::ALL.into_iter().filter(|step| self.asked[index(*step)]) {
            for poor in [false, true] {
                let (mut after, heard) = self.points(step, poor);
                let answer = match heard {
                    StepAnswer::Refused(failure) => Err(failure.as_str()),
                    _ => Ok(()),
                };
                let answer = (u8::try_from(index(step)).unwrap(), answer);
                if !after.answers.contains(&answer) {
                    after.answers.push(answer);
                    after.answers.sort_unstable();
                }
                next.push(after);
            }
        }
        for (step, answer) in &self.answers {
            let step = Step::ALL[usize::from(*step)];
            let heard = match answer {
                Ok(()) => done(step),
                Err(why) => StepAnswer::Refused(why.parse().unwrap()),
            };
            next.extend(self.hear(step, &heard));
        }
        if ["held", "confirmed"].contains(&self.booking) {
            let mut after = self.clone();
            after.booking = "cancelled";
            if let Some(saga) = self.saga().cancelled() {
                after.stands(&saga);
            }
            next.push(after);
        }
        if self.booking == "held" {
            next.push(Self { booking: "expired", ..self.clone() });
        }
        next
    }

    /// Returns the final world when nothing else happens.
    fn settled(&self) -> Self {
        let mut world = self.clone();
        for _ in 0..8 {
            let Some(step) = world.saga().next() else { return world };
            let (after, heard) = world.points(step, false);
            let Some(heard) = after.hear(step, &heard) else { panic!("stuck: {self:?} {step:?}") };
            world = heard;
        }
        panic!("it does not end: {self:?}");
    }
}

#[test]
fn every_message_any_number_of_times_and_in_any_order_ends_with_points_and_booking_agreeing() {
    let opened = [Held::Nothing, Held::Foreign].map(World::opened);
    let mut seen = HashSet::from(opened.clone());
    let mut open = VecDeque::from(opened);
    let mut ends = HashSet::new();
    while let Some(world) = open.pop_front() {
        let end = world.settled();
        let agree = match (end.booking, end.state) {
            ("confirmed", SagaState::Captured) => end.held == Held::Spent,
            ("cancelled" | "expired", SagaState::Released) => {
                [Held::Released, Held::Foreign].contains(&end.held)
            }
            ("cancelled" | "expired", SagaState::Reversed) => end.held == Held::GivenBack,
            _ => false,
        };
        assert!(agree, "{world:?}\nends as {end:?}");
        ends.insert((end.booking, end.state));
        for next in world.next() {
            if seen.insert(next.clone()) {
                open.push_back(next);
            }
        }
    }
    println!("{} states", seen.len());
    assert_eq!(ends.len(), 5, "every end is there: {ends:?}");
}
