//! What becomes of the commands of a batch, one by one.

use std::collections::{BTreeMap, HashMap};

use axum::http::StatusCode;
use chrono::NaiveDate;
use kit::idempotency::{self, Answer};
use sqlx::PgConnection;
use uuid::Uuid;

use super::ledger::{Claim, Posted, Verdict, Work};
use super::{Error, view};
use crate::domain::{Account, AccountId, Books, Decision, Done};
use crate::store::{self, Answered, Batch, Kept};

/// Takes the commands of a batch one by one, and remembers what to write.
pub(super) struct Desk<'a> {
    kept: HashMap<store::KeyName, Kept>,
    /// Keys used in this batch, and where.
    used: HashMap<store::KeyName, usize>,
    works: Vec<&'a Work>,
    pub(super) verdicts: Vec<Verdict>,
    decisions: Vec<Decision>,
    /// Which verdict each decision made.
    made: Vec<usize>,
    /// Whose budgets are used.
    month: NaiveDate,
}

impl<'a> Desk<'a> {
    pub(super) fn new(kept: HashMap<store::KeyName, Kept>, month: NaiveDate) -> Self {
        Self {
            kept,
            used: HashMap::new(),
            works: Vec::new(),
            verdicts: Vec::new(),
            decisions: Vec::new(),
            made: Vec::new(),
            month,
        }
    }

    pub(super) fn decide(
        &mut self,
        work: &'a Work,
        books: &mut Books,
        now: chrono::DateTime<chrono::Utc>,
        ids: &dyn Fn() -> Uuid,
    ) {
        self.works.push(work);
        let name = work.key();
        if let (Some(name), Some(claim)) = (&name, &work.claim)
            && let Some(mut verdict) = self.replay(name, claim)
        {
            if let Ok(posted) = &mut verdict {
                // Whoever did it may have ended before readers were told.
                posted.accounts = books.accounts_of(&work.command);
            }
            return self.verdicts.push(verdict);
        }
        if books.is_busy(&work.command) {
            return self.verdicts.push(Err(Error::Busy));
        }
        let verdict = match books.decide(&work.command, now, ids) {
            Ok(decision) => {
                if let Some(name) = name {
                    self.used.insert(name, self.verdicts.len());
                }
                self.made.push(self.verdicts.len());
                let (answer, opened) = (answer(&decision), decision.opened);
                // Also of a command that was done before: its replica may have ended before readers were told.
                let accounts = match decision.transfer {
                    Some(_) => decision.accounts.clone(),
                    None => books.accounts_of(&work.command),
                };
                self.decisions.push(decision);
                Ok(Posted { answer, accounts, opened })
            }
            Err(refused) => Err(refused.into()),
        };
        self.verdicts.push(verdict);
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    /// The answer to a key that was used before, or earlier in this batch.
    fn replay(&self, name: &store::KeyName, claim: &Claim) -> Option<Verdict> {
        let again = |fingerprint: &[u8], status: StatusCode, body: &[u8]| {
            if fingerprint != claim.key.fingerprint {
                return Err(idempotency::Error::Reused.into());
            }
            let answer = Answer { status, body: body.to_vec(), replayed: true };
            Ok(Posted { answer, accounts: Vec::new(), opened: None })
        };
        if let Some(kept) = self.kept.get(name) {
            let status = u16::try_from(kept.status).ok().and_then(|s| StatusCode::from_u16(s).ok());
            return Some(again(&kept.fingerprint, status?, &kept.body));
        }
        let first = *self.used.get(name)?;
        let first_key = &self.works.get(first)?.claim.as_ref()?.key;
        let first = &self.verdicts.get(first)?.as_ref().ok()?.answer;
        Some(again(&first_key.fingerprint, first.status, &first.body))
    }

    pub(super) async fn write(&self, tx: &mut PgConnection) -> sqlx::Result<()> {
        let mut accounts: HashMap<AccountId, &Account> = HashMap::new();
        for account in self.decisions.iter().flat_map(|decision| &decision.accounts) {
            accounts.insert(account.id, account);
        }
        let mut accounts: Vec<_> = accounts.into_values().cloned().collect();
        // The order in which everybody locks them.
        accounts.sort_unstable_by_key(|account| account.id.0);
        let opened: Vec<_> = self.decisions.iter().filter_map(|decision| decision.opened).collect();
        let issued = self.issued();
        let answered: Vec<_> = self
            .made
            .iter()
            .filter_map(|index| {
                let claim = self.works.get(*index)?.claim.as_ref()?;
                let answer = &self.verdicts.get(*index)?.as_ref().ok()?.answer;
                Some(Answered { principal: &claim.principal, key: &claim.key, answer })
            })
            .collect();
        let (decisions, month) = (&self.decisions[..], self.month);
        let (accounts, opened, answered) = (&accounts[..], &opened[..], &answered[..]);
        let batch = Batch { decisions, accounts, opened, answered, month, issued: &issued };
        store::write(tx, &batch).await
    }

    /// What each merchant gives away in this batch, and its budget.
    fn issued(&self) -> BTreeMap<Uuid, (i64, i64)> {
        let mut issued = BTreeMap::new();
        for decision in &self.decisions {
            let merchant = decision.transfer.as_ref().and_then(|transfer| transfer.merchant);
            if let (Some(merchant), Some(issuance), Done::Moved(moved)) =
                (merchant, decision.issued, &decision.done)
            {
                let of = issued.entry(merchant.0).or_insert((0, 0));
                *of = (of.0 + moved.points, issuance.bounds.budget_points());
            }
        }
        issued
    }
}

/// The body of the answer, which is kept with the key.
fn answer(decision: &Decision) -> Answer {
    let status = match &decision.hold {
        None if decision.transfer.is_none() => StatusCode::OK,
        Some(hold) if hold.settled_at.is_some() => StatusCode::OK,
        _ => StatusCode::CREATED,
    };
    view::answer(status, &decision.done)
}
