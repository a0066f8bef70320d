//! Points held: placed, captured, released and expired.

use super::{Cause, DecisionBuilder, HELD, REDEMPTION};
use crate::domain::command::{Capture, PlaceHold, Release};
use crate::domain::{
    Actor, Decision, Hold, HoldId, HoldState, HoldTerms, Refused, TransferId, TransferKind,
};

impl DecisionBuilder<'_> {
    pub(super) fn hold(mut self, place: &PlaceHold) -> Result<Decision, Refused> {
        let PlaceHold { id, from, amount, merchant, reference, lasts, price, by } = place;
        let tender = self.set.tender(price.as_ref().map(|price| &price.currency))?;
        let value = price.as_ref().map(|price| tender.pays(*amount, price)).transpose()?;
        let account = self.payer(*from, by)?;
        let terms = HoldTerms {
            account: account.id,
            amount: *amount,
            merchant: *merchant,
            reference: reference.clone(),
            value,
            expires_at: lasts.from(self.now),
        };
        if let Some(hold) = self.set.holds.get(id) {
            return self.held_before(hold, &terms, by);
        }
        let cause = Cause::new(TransferKind::Hold, terms.merchant, &terms.reference);
        self.hold = Some(Hold {
            id: *id,
            state: HoldState::Active,
            terms: Some(terms),
            placed_by: by.service().cloned(),
            created_at: self.now,
            settled_at: None,
        });
        self.member(account, -amount.get(), |balance| balance.hold(*amount))?;
        self.system(HELD, amount.get());
        let transfer = TransferId((self.ids)());
        self.held(transfer, cause)
    }

    /// Answers a service that places its hold again with the hold, if the terms are the same.
    fn held_before(self, hold: &Hold, asked: &HoldTerms, by: &Actor) -> Result<Decision, Refused> {
        let placed_by = by.service();
        let same = placed_by.is_some()
            && hold.placed_by.as_ref() == placed_by
            && hold.terms.as_ref().is_none_or(|terms| terms.is_same_request(asked));
        if !same {
            return Err(Refused::HoldExists);
        }
        match hold.state {
            HoldState::Active | HoldState::Captured { .. } => Ok(self.unchanged(hold)),
            // Or a tombstone. Either way the hold comes too late.
            HoldState::Released => Err(Refused::HoldReleased),
            HoldState::Expired => Err(Refused::HoldExpired),
        }
    }

    /// Frees the whole hold, then spends from it: two entries, so that each of the account's versions
    /// has one.
    pub(super) fn capture(mut self, capture: &Capture) -> Result<Decision, Refused> {
        let Capture { hold: id, amount, by } = capture;
        let hold = self.set.holds.get(id).ok_or(Refused::NotFound("hold"))?;
        let merchant = hold.terms.as_ref().and_then(|terms| terms.merchant);
        if !self.set.may_act_for(merchant, by) {
            return Err(Refused::NotFound("hold"));
        }
        hold.visible_to(by)?;
        if let (Actor::Service(_), Some(terms), HoldState::Captured { captured, .. }) =
            (by, &hold.terms, hold.state)
            && amount.unwrap_or(terms.amount).get() == captured
        {
            return Ok(self.unchanged(hold));
        }
        let terms = hold.active()?;
        if hold.placed_by.is_some() && matches!(by, Actor::Member(_)) {
            return Err(Refused::HoldOfService);
        }
        if terms.expires_at <= self.now {
            return Err(Refused::HoldExpired);
        }
        let amount = amount.unwrap_or(terms.amount);
        if amount.get() > terms.amount.get() {
            return Err(Refused::CaptureExceedsHold);
        }
        let transfer = TransferId((self.ids)());
        let captured = HoldState::Captured { captured: amount.get(), transfer };
        self.hold = Some(hold.settled(captured, self.now));
        self.free(terms)?;
        let account = self.account(terms.account)?;
        self.member(account, -amount.get(), |balance| balance.spend(amount))?;
        self.system(REDEMPTION, amount.get());
        self.held(transfer, Cause::new(TransferKind::Capture, terms.merchant, &terms.reference))
    }

    /// Frees a hold. A hold that is already free stays as it is, without an error.
    pub(super) fn release(mut self, release: &Release) -> Result<Decision, Refused> {
        let Release { hold: id, by } = release;
        let Some(hold) = self.set.holds.get(id) else {
            let service = by.service().ok_or(Refused::NotFound("hold"))?;
            let tombstone = Hold::tombstone(*id, service.clone(), self.now);
            self.hold = Some(tombstone.clone());
            return Ok(self.unchanged(&tombstone));
        };
        hold.visible_to(by)?;
        let Some(terms) = &hold.terms else {
            // People do not see the tombstone of a service.
            let by_service = by.service().is_some();
            return if by_service {
                Ok(self.unchanged(hold))
            } else {
                Err(Refused::NotFound("hold"))
            };
        };
        if !by.may_use_account_of(self.account(terms.account)?.member) {
            return Err(Refused::NotFound("hold"));
        }
        if matches!(hold.state, HoldState::Released | HoldState::Expired) {
            return Ok(self.unchanged(hold));
        }
        let terms = hold.active()?;
        if hold.placed_by.is_some() && matches!(by, Actor::Member(_)) {
            return Err(Refused::HoldOfService);
        }
        self.hold = Some(hold.settled(HoldState::Released, self.now));
        self.free(terms)?;
        let cause = Cause::new(TransferKind::Release, terms.merchant, &terms.reference);
        let transfer = TransferId((self.ids)());
        self.held(transfer, cause)
    }

    pub(super) fn expire(mut self, id: HoldId) -> Result<Decision, Refused> {
        let hold = self.set.holds.get(&id).ok_or(Refused::NotFound("hold"))?;
        let terms = hold.active()?;
        if terms.expires_at > self.now {
            return Err(Refused::NotFound("hold"));
        }
        self.hold = Some(hold.settled(HoldState::Expired, self.now));
        self.free(terms)?;
        let cause = Cause::new(TransferKind::Expire, terms.merchant, &terms.reference);
        let transfer = TransferId((self.ids)());
        self.held(transfer, cause)
    }

    /// Makes the held points available again.
    fn free(&mut self, terms: &HoldTerms) -> Result<(), Refused> {
        let account = self.account(terms.account)?;
        self.member(account, terms.amount.get(), |balance| balance.free(terms.amount))?;
        self.system(HELD, -terms.amount.get());
        Ok(())
    }
}
