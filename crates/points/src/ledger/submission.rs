//! The messages to and from the writers.

use kit::command::{Answer, Success};
use kit::idempotency::Key;

use crate::domain::{Account, AccountId, Command, Decision, Done};
use crate::error::Error;
use crate::store::KeyId;
use crate::view::{HoldView, Receipt};

/// A command for the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    /// `None` for a command of a background job.
    pub(crate) claim: Option<Claim>,
    pub(crate) command: Command,
}

/// An idempotency key and its owner.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) principal: String,
    pub(crate) key: Key,
}

/// The result of a submission.
pub(crate) type Reply = Result<Posted, Error>;

/// A command that was carried out, now or earlier.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) answer: LedgerAnswer,
    /// The accounts that it changed. After a replay, the accounts that it is about, with their present balances.
    pub(crate) accounts: Vec<Account>,
    /// The account that it opened, one of `accounts`.
    pub(crate) opened: Option<AccountId>,
}

/// The answer to a command: commands about holds answer the hold, all others a receipt.
#[derive(Clone, Debug)]
pub(crate) enum LedgerAnswer {
    Receipt(Answer<Receipt>),
    Hold(Answer<HoldView>),
}

impl Submission {
    pub(super) fn key(&self) -> Option<KeyId> {
        self.claim.as_ref().map(|claim| KeyId::new(&claim.principal, &claim.key))
    }
}

impl LedgerAnswer {
    /// The first answer to a command, which the batch records.
    pub(super) fn first(decision: &Decision) -> Self {
        let success = match (&decision.transfer, &decision.hold) {
            (None, None) => Success::Ok,
            (_, Some(hold)) if hold.settled_at.is_some() => Success::Ok,
            _ => Success::Created,
        };
        match &decision.done {
            Done::Moved(moved) => Self::Receipt(Answer::recorded(success, moved.into())),
            Done::Hold(hold) => Self::Hold(Answer::recorded(success, hold.into())),
        }
    }

    /// The recorded answer to a repeated command.
    pub(super) fn replay(command: &Command, success: Success, body: Vec<u8>) -> Self {
        match command.hold() {
            None => Self::Receipt(Answer::replay(success, body)),
            Some(_) => Self::Hold(Answer::replay(success, body)),
        }
    }

    /// The success and the JSON to record.
    pub(super) fn recorded(&self) -> (Success, &[u8]) {
        match self {
            Self::Receipt(answer) => (answer.success(), answer.body()),
            Self::Hold(answer) => (answer.success(), answer.body()),
        }
    }

    pub(crate) fn is_replay(&self) -> bool {
        match self {
            Self::Receipt(answer) => answer.is_replay(),
            Self::Hold(answer) => answer.is_replay(),
        }
    }

    /// # Panics
    /// When the command was about a hold.
    pub(crate) fn into_receipt(self) -> Answer<Receipt> {
        match self {
            Self::Receipt(answer) => answer,
            Self::Hold(_) => unreachable!("only a command about a hold answers a hold"),
        }
    }

    /// # Panics
    /// When the command was not about a hold.
    pub(crate) fn into_hold(self) -> Answer<HoldView> {
        match self {
            Self::Hold(answer) => answer,
            Self::Receipt(_) => unreachable!("a command about a hold answers the hold"),
        }
    }
}
