use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A rollback that has begun.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: Uuid,
    pub incident: Uuid,
    /// The incident's number.
    pub number: String,
    pub service: String,
}

/// The status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Running,
    Succeeded,
    Failed,
    /// Its process has ended in the middle.
    Interrupted,
}

impl RunStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A step of a rollback, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Proves the previous version, while the live one goes on.
    Validate,
    Prepare,
    /// Replaces the live version, which stops here and not sooner.
    Perform,
    /// Checks that the previous version is healthy and stays so.
    Verify,
    /// Writes the rollback into the configuration.
    Record,
}

/// The number of attempts at a rollback.
pub const MAX_ATTEMPTS: i32 = 3;

/// The next part of a run after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Step(i32, Step),
    Succeeded,
    Failed,
}

impl Step {
    pub const ALL: [Self; 5] =
        [Self::Validate, Self::Prepare, Self::Perform, Self::Verify, Self::Record];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Prepare => "prepare",
            Self::Perform => "perform",
            Self::Verify => "verify",
            Self::Record => "record",
        }
    }

    /// Returns the next part. A failed step begins the next attempt, which proves the target again.
    pub fn next(self, attempt: i32, ok: bool) -> Next {
        match (self, ok) {
            (Self::Record, true) => Next::Succeeded,
            (Self::Validate, true) => Next::Step(attempt, Self::Prepare),
            (Self::Prepare, true) => Next::Step(attempt, Self::Perform),
            (Self::Perform, true) => Next::Step(attempt, Self::Verify),
            (Self::Verify, true) => Next::Step(attempt, Self::Record),
            (_, false) if attempt < MAX_ATTEMPTS => Next::Step(attempt + 1, Self::Validate),
            (_, false) => Next::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_fails_it_ends_within_three_attempts_and_never_performs_unproven(
            answers in proptest::collection::vec(any::<bool>(), 0..40),
        ) {
            let mut answers = answers.into_iter().chain(std::iter::repeat(false));
            let (mut attempt, mut step, mut proven) = (1, Step::Validate, 0);
            for _ in 0..16 {
                prop_assert!((1..=MAX_ATTEMPTS).contains(&attempt));
                prop_assert!(step < Step::Perform || proven == attempt, "{step:?} of {attempt}");
                let ok = answers.next().unwrap_or(false);
                if step == Step::Validate && ok {
                    proven = attempt;
                }
                match step.next(attempt, ok) {
                    Next::Step(next, then) => (attempt, step) = (next, then),
                    Next::Succeeded | Next::Failed => return Ok(()),
                }
            }
            prop_assert!(false, "it never ends");
        }
    }
}
