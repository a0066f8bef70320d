//! Points held: placed, captured, released and expired.

use chrono::{DateTime, Utc};

use super::{Cause, Draft, HELD, REDEMPTION};
use crate::domain::books::Decision;
use crate::domain::hold::Held;
use crate::domain::{
    AccountId, Actor, Amount, Hold, HoldId, HoldState, Payer, Refused, ServiceName, TransferId,
    TransferKind,
};

impl Draft<'_> {
    pub(super) fn hold(
        mut self,
        id: HoldId,
        from: Payer,
        held: impl FnOnce(AccountId, DateTime<Utc>) -> Held,
        placed_by: Option<ServiceName>,
    ) -> Result<Decision, Refused> {
        let account = self.payer(from)?;
        let held = held(account.id, self.now);
        if let Some(hold) = self.books.holds.get(&id) {
            return self.held_before(hold, &held, placed_by.as_ref());
        }
        let amount = held.amount;
        let cause = Cause::new(TransferKind::Hold, held.merchant, held.reference.clone());
        let (state, created_at) = (HoldState::Active, self.now);
        self.hold =
            Some(Hold { id, state, of: Some(held), placed_by, created_at, settled_at: None });
        self.member(account, -amount.get(), |balance| balance.hold(amount))?;
        self.system(HELD, amount.get());
        let transfer = TransferId((self.ids)());
        self.settled(transfer, cause)
    }

    /// The answer to a service that places a hold again: the hold, when it is the one that was asked for.
    fn held_before(
        self,
        hold: &Hold,
        asked: &Held,
        placed_by: Option<&ServiceName>,
    ) -> Result<Decision, Refused> {
        let same = placed_by.is_some()
            && hold.placed_by.as_ref() == placed_by
            && hold.of.as_ref().is_none_or(|held| held.is_what_was(asked));
        if !same {
            return Err(Refused::HoldExists);
        }
        match hold.state {
            HoldState::Active | HoldState::Captured { .. } => Ok(self.unchanged(hold)),
            // Or its tombstone: either way the hold comes too late.
            HoldState::Released => Err(Refused::HoldReleased),
            HoldState::Expired => Err(Refused::HoldExpired),
        }
    }

    /// Frees the whole hold, then spends from it: two entries, so that each of the account's versions
    /// has one.
    pub(super) fn capture(
        mut self,
        id: HoldId,
        amount: Option<Amount>,
        by: &Actor,
    ) -> Result<Decision, Refused> {
        let hold = self.books.holds.get(&id).ok_or(Refused::NotFound)?;
        hold.settled_by(by)?;
        if let (Actor::Service(_), Some(held), HoldState::Captured { captured, .. }) =
            (by, &hold.of, hold.state)
            && amount.unwrap_or(held.amount).get() == captured
        {
            return Ok(self.unchanged(hold));
        }
        let held = hold.active()?;
        if hold.placed_by.is_some() && matches!(by, Actor::Member(_)) {
            return Err(Refused::HoldOfService);
        }
        if held.expires_at <= self.now {
            return Err(Refused::HoldExpired);
        }
        let amount = amount.unwrap_or(held.amount);
        if amount.get() > held.amount.get() {
            return Err(Refused::CaptureExceedsHold);
        }
        let transfer = TransferId((self.ids)());
        let captured = HoldState::Captured { captured: amount.get(), transfer };
        self.hold = Some(hold.settled(captured, self.now));
        self.free(held)?;
        let account = self.account(held.account)?;
        self.member(account, -amount.get(), |balance| balance.spend(amount))?;
        self.system(REDEMPTION, amount.get());
        let cause = Cause::new(TransferKind::Capture, held.merchant, held.reference.clone());
        self.settled(transfer, cause)
    }

    /// Releasing what is released already changes nothing, and is no error.
    pub(super) fn release(mut self, id: HoldId, by: &Actor) -> Result<Decision, Refused> {
        let Some(hold) = self.books.holds.get(&id) else {
            let Actor::Service(service) = by else { return Err(Refused::NotFound) };
            let tombstone = Hold::tombstone(id, service.clone(), self.now);
            self.hold = Some(tombstone.clone());
            return Ok(self.unchanged(&tombstone));
        };
        hold.settled_by(by)?;
        let Some(held) = &hold.of else {
            // Nobody but the service knows of its tombstone.
            let by_service = matches!(by, Actor::Service(_));
            return if by_service { Ok(self.unchanged(hold)) } else { Err(Refused::NotFound) };
        };
        if let Actor::Member(_) = by
            && !by.covers(self.account(held.account)?.member)
        {
            return Err(Refused::NotFound);
        }
        if matches!(hold.state, HoldState::Released | HoldState::Expired) {
            return Ok(self.unchanged(hold));
        }
        let held = hold.active()?;
        if hold.placed_by.is_some() && matches!(by, Actor::Member(_)) {
            return Err(Refused::HoldOfService);
        }
        self.hold = Some(hold.settled(HoldState::Released, self.now));
        self.free(held)?;
        let cause = Cause::new(TransferKind::Release, held.merchant, held.reference.clone());
        let transfer = TransferId((self.ids)());
        self.settled(transfer, cause)
    }

    pub(super) fn expire(mut self, id: HoldId) -> Result<Decision, Refused> {
        let hold = self.books.holds.get(&id).ok_or(Refused::NotFound)?;
        let held = hold.active()?;
        if held.expires_at > self.now {
            return Err(Refused::NotFound);
        }
        self.hold = Some(hold.settled(HoldState::Expired, self.now));
        self.free(held)?;
        let cause = Cause::new(TransferKind::Expire, held.merchant, held.reference.clone());
        let transfer = TransferId((self.ids)());
        self.settled(transfer, cause)
    }

    fn free(&mut self, held: &Held) -> Result<(), Refused> {
        let account = self.account(held.account)?;
        self.member(account, held.amount.get(), |balance| balance.free(held.amount))?;
        self.system(HELD, -held.amount.get());
        Ok(())
    }
}
