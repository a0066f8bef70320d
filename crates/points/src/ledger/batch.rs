//! The commands of a batch, decided one by one.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use kit::idempotency;
use sqlx::PgConnection;
use uuid::Uuid;

use super::submission::{Claim, LedgerAnswer, Posted, Reply, Submission};
use crate::domain::{self, Account, AccountId, Command, Decision, Done, WorkingSet};
use crate::error::Error;
use crate::store::{self, BatchRows, FirstAnswer, Issued, KeyId, RecordedAnswer};

/// A batch: the replies so far, and the decisions to write.
pub(super) struct Batch<'a> {
    /// The answers to keys that were used before.
    first_answers: HashMap<KeyId, FirstAnswer>,
    /// The keys of this batch, each with the index of its first command.
    keys: HashMap<KeyId, usize>,
    submissions: Vec<&'a Submission>,
    pub(super) replies: Vec<Reply>,
    /// The decisions, each with the index of its command.
    decisions: Vec<Decision>,
    decided: Vec<usize>,
    /// The month of the merchants' budgets.
    month: NaiveDate,
}

impl<'a> Batch<'a> {
    pub(super) fn new(first_answers: HashMap<KeyId, FirstAnswer>, month: NaiveDate) -> Self {
        Self {
            first_answers,
            keys: HashMap::new(),
            submissions: Vec::new(),
            replies: Vec::new(),
            decisions: Vec::new(),
            decided: Vec::new(),
            month,
        }
    }

    /// Decides the next command. A refused command gets its answer and leaves no trace.
    pub(super) fn decide(
        &mut self,
        submission: &'a Submission,
        set: &mut WorkingSet,
        now: DateTime<Utc>,
        ids: &dyn Fn() -> Uuid,
    ) {
        self.submissions.push(submission);
        let reply = self.reply(submission, set, now, ids);
        self.replies.push(reply);
    }

    fn reply(
        &mut self,
        submission: &Submission,
        set: &mut WorkingSet,
        now: DateTime<Utc>,
        ids: &dyn Fn() -> Uuid,
    ) -> Reply {
        let command = &submission.command;
        let key = submission.key();
        if let (Some(key), Some(claim)) = (&key, &submission.claim)
            && let Some(answer) = self.replay(command, key, claim)
        {
            // Also renews the cache: the process that ran the command may have ended before it did.
            let accounts = set.accounts_of(command);
            return Ok(Posted { answer: answer?, accounts, opened: None });
        }
        if set.is_busy(command) {
            return Err(Error::Busy);
        }
        let decision = domain::decide(set, command, now, ids)?;
        let index = self.replies.len();
        if let Some(key) = key {
            self.keys.insert(key, index);
        }
        self.decided.push(index);
        // A decision without a transfer repeats an earlier one: the cache is renewed as for a replay.
        let accounts = match decision.transfer {
            Some(_) => decision.accounts.clone(),
            None => set.accounts_of(command),
        };
        let (answer, opened) = (LedgerAnswer::first(&decision), decision.opened);
        self.decisions.push(decision);
        Ok(Posted { answer, accounts, opened })
    }

    /// The answer to a key that was used before, or earlier in this batch.
    fn replay(
        &self,
        command: &Command,
        key: &KeyId,
        claim: &Claim,
    ) -> Option<Result<LedgerAnswer, Error>> {
        let (fingerprint, success, body) = match self.first_answers.get(key) {
            Some(first) => (&first.fingerprint[..], first.success, &first.body[..]),
            None => {
                let first = *self.keys.get(key)?;
                let claim = self.submissions.get(first)?.claim.as_ref()?;
                let (success, body) = self.replies.get(first)?.as_ref().ok()?.answer.recorded();
                (&claim.key.fingerprint[..], success, body)
            }
        };
        Some(if fingerprint == claim.key.fingerprint {
            Ok(LedgerAnswer::replay(command, success, body.to_vec()))
        } else {
            Err(idempotency::Error::Reused.into())
        })
    }

    /// True when there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    pub(super) async fn write(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let mut accounts: HashMap<AccountId, &Account> = HashMap::new();
        for account in self.decisions.iter().flat_map(|decision| &decision.accounts) {
            accounts.insert(account.id, account);
        }
        let mut accounts: Vec<_> = accounts.into_values().cloned().collect();
        // The order in which every transaction locks them.
        accounts.sort_unstable_by_key(|account| account.id.0);
        let opened: Vec<_> = self.decisions.iter().filter_map(|decision| decision.opened).collect();
        let answers: Vec<_> = self.decided.iter().filter_map(|index| self.answer(*index)).collect();
        let rows = BatchRows {
            decisions: &self.decisions,
            accounts: &accounts,
            opened: &opened,
            answers: &answers,
            month: self.month,
            issued: &self.issued(),
        };
        store::write(conn, &rows).await
    }

    /// The answer to record under the key of a command, if it has one.
    fn answer(&self, index: usize) -> Option<RecordedAnswer<'_>> {
        let Claim { principal, key } = self.submissions.get(index)?.claim.as_ref()?;
        let (success, body) = self.replies.get(index)?.as_ref().ok()?.answer.recorded();
        Some(RecordedAnswer { principal, key, success, body })
    }

    /// The points that each merchant gives away in this batch.
    fn issued(&self) -> BTreeMap<Uuid, Issued> {
        let mut issued: BTreeMap<Uuid, Issued> = BTreeMap::new();
        for decision in &self.decisions {
            let merchant = decision.transfer.as_ref().and_then(|transfer| transfer.merchant);
            if let (Some(merchant), Some(issuance), Done::Moved(moved)) =
                (merchant, decision.issued, &decision.done)
            {
                let of_merchant = issued.entry(merchant.0).or_default();
                of_merchant.points += moved.points;
                of_merchant.budget = issuance.bounds.budget_points();
            }
        }
        issued
    }
}
