use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::books::{Books, Decision, Done, Entry, Moved, Side, Transfer};
use super::hold::Held;
use super::{
    Account, AccountId, Adjustment, Amount, Balance, Command, Hold, HoldId, HoldState, HoldTime,
    MemberId, MerchantId, Payer, Recipient, Reference, Refused, Scope, Seller, TransferId,
    TransferKind,
};

const ISSUANCE: &str = "issuance";
const REDEMPTION: &str = "redemption";
const ADJUSTMENT: &str = "adjustment";
const HELD: &str = "held";

/// A decision in the making.
pub(super) struct Draft<'a> {
    books: &'a Books,
    now: DateTime<Utc>,
    ids: &'a dyn Fn() -> Uuid,
    accounts: Vec<Account>,
    entries: Vec<Entry>,
    hold: Option<Hold>,
    opened: Option<AccountId>,
}

/// Why a transfer is recorded.
struct Cause {
    kind: TransferKind,
    reference: Reference,
    merchant: Option<MerchantId>,
    reverses: Option<TransferId>,
}

impl Cause {
    fn new(kind: TransferKind, merchant: Option<MerchantId>, reference: Reference) -> Self {
        Self { kind, reference, merchant, reverses: None }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(books: &'a Books, now: DateTime<Utc>, ids: &'a dyn Fn() -> Uuid) -> Self {
        let (accounts, entries) = (Vec::new(), Vec::new());
        Self { books, now, ids, accounts, entries, hold: None, opened: None }
    }

    pub(super) fn decide(self, command: Command) -> Result<Decision, Refused> {
        match command {
            Command::Earn { to, basis, rate, merchant, reference, by: _ } => {
                self.earn(to, rate.worth(&basis)?, merchant, reference)
            }
            Command::Redeem { from, amount, merchant, reference } => {
                self.redeem(from, amount, merchant, reference)
            }
            Command::Transfer { from, to, amount, reference } => {
                self.transfer(from, to, amount, reference)
            }
            Command::Reverse { transfer, reference } => self.reverse(transfer, reference),
            Command::Adjust { account, by, seen, reference } => {
                self.adjust(account, by, seen, reference)
            }
            Command::Hold { id, from, amount, merchant, reference, lasts } => {
                self.hold(id, from, lasts, (amount, merchant, reference))
            }
            Command::Capture { id, amount, by } => self.capture(id, amount, by),
            Command::Release { id, scope } => self.release(id, scope),
            Command::Expire { id } => self.expire(id),
        }
    }

    fn earn(
        mut self,
        to: Recipient,
        amount: Amount,
        merchant: MerchantId,
        reference: Reference,
    ) -> Result<Decision, Refused> {
        let account = match to {
            Recipient::Account(id) => self.account(id)?,
            Recipient::Member(member) => match self.of_member(member) {
                Ok(account) => account,
                Err(_) => self.open(member),
            },
        };
        self.member(account, amount.get(), |balance| balance.earn(amount))?;
        self.system(ISSUANCE, -amount.get());
        self.moved(amount.get(), Cause::new(TransferKind::Earn, Some(merchant), reference))
    }

    fn redeem(
        mut self,
        from: Payer,
        amount: Amount,
        merchant: Option<MerchantId>,
        reference: Reference,
    ) -> Result<Decision, Refused> {
        let account = self.payer(from)?;
        self.member(account, -amount.get(), |balance| balance.spend(amount))?;
        self.system(REDEMPTION, amount.get());
        self.moved(amount.get(), Cause::new(TransferKind::Redeem, merchant, reference))
    }

    fn transfer(
        mut self,
        from: Payer,
        to: AccountId,
        amount: Amount,
        reference: Reference,
    ) -> Result<Decision, Refused> {
        let (from, to) = (self.payer(from)?, self.account(to)?);
        if from.id == to.id {
            return Err(Refused::SelfTransfer);
        }
        self.member(from, -amount.get(), |balance| balance.spend(amount))?;
        self.member(to, amount.get(), |balance| balance.earn(amount))?;
        self.moved(amount.get(), Cause::new(TransferKind::Transfer, None, reference))
    }

    fn adjust(
        mut self,
        account: AccountId,
        by: Adjustment,
        seen: Option<i64>,
        reference: Reference,
    ) -> Result<Decision, Refused> {
        let account = self.account(account)?;
        if seen.is_some_and(|seen| seen != account.balance.version()) {
            return Err(Refused::VersionConflict);
        }
        let points = match by {
            Adjustment::Up(amount) => amount.get(),
            Adjustment::Down(amount) => -amount.get(),
        };
        self.member(account, points, |balance| match by {
            Adjustment::Up(amount) => balance.earn(amount),
            Adjustment::Down(amount) => balance.spend(amount),
        })?;
        self.system(ADJUSTMENT, -points);
        self.moved(points, Cause::new(TransferKind::Adjust, None, reference))
    }

    /// Gives every member their points back, and takes back what they were given for them.
    fn reverse(mut self, id: TransferId, reference: Reference) -> Result<Decision, Refused> {
        let original = self.books.transfers.get(&id).ok_or(Refused::NotFound)?;
        let system = match original.kind {
            TransferKind::Earn => Some(ISSUANCE),
            TransferKind::Redeem | TransferKind::Capture => Some(REDEMPTION),
            TransferKind::Adjust => Some(ADJUSTMENT),
            TransferKind::Transfer => None,
            TransferKind::Reverse
            | TransferKind::Hold
            | TransferKind::Release
            | TransferKind::Expire => return Err(Refused::NotReversible),
        };
        if original.reversed {
            return Err(Refused::AlreadyReversed);
        }
        // The part of a capture that freed what was held stays done.
        let stays = |line: i64| original.kind == TransferKind::Capture && line > 0;
        let mut points = 0;
        for (account, line) in original.lines.iter().filter(|(_, line)| !stays(*line)) {
            let amount = Amount::new(line.abs()).map_err(|_| Refused::Books)?;
            let account = self.account(*account)?;
            self.member(account, -line, |balance| {
                if *line > 0 { balance.take_back(amount) } else { balance.refund(amount) }
            })?;
            if let Some(system) = system {
                self.system(system, *line);
            }
            points = amount.get();
        }
        let cause = Cause::new(TransferKind::Reverse, original.merchant, reference);
        self.moved(points, Cause { reverses: Some(id), ..cause })
    }

    fn hold(
        mut self,
        id: HoldId,
        from: Payer,
        lasts: HoldTime,
        (amount, merchant, reference): (Amount, Option<MerchantId>, Reference),
    ) -> Result<Decision, Refused> {
        let account = self.payer(from)?;
        if let Some(hold) = self.books.holds.get(&id) {
            // A tombstone, or somebody's hold: either way this one comes too late.
            return Err(if hold.of.is_none() {
                Refused::HoldReleased
            } else {
                Refused::HoldExists
            });
        }
        let held = Held {
            account: account.id,
            amount,
            merchant,
            reference: reference.clone(),
            expires_at: lasts.from(self.now),
            by_service: matches!(from, Payer::Member(_)),
        };
        let (state, created_at) = (HoldState::Active, self.now);
        self.hold = Some(Hold { id, state, of: Some(held), created_at, settled_at: None });
        self.member(account, -amount.get(), |balance| balance.hold(amount))?;
        self.system(HELD, amount.get());
        self.settled(Cause::new(TransferKind::Hold, merchant, reference))
    }

    /// Frees the whole hold, then spends from it: two entries, so that each of the account's versions
    /// has one.
    fn capture(
        mut self,
        id: HoldId,
        amount: Option<Amount>,
        by: Seller,
    ) -> Result<Decision, Refused> {
        let hold = self.books.holds.get(&id).ok_or(Refused::NotFound)?;
        let held = hold.active()?;
        if held.by_service && matches!(by, Seller::Member(_)) {
            return Err(Refused::HoldOfService);
        }
        if held.expires_at <= self.now {
            return Err(Refused::HoldExpired);
        }
        let amount = amount.unwrap_or(held.amount);
        if amount.get() > held.amount.get() {
            return Err(Refused::CaptureExceedsHold);
        }
        let captured = HoldState::Captured { captured: amount.get() };
        self.hold = Some(hold.settled(captured, self.now));
        self.free(held)?;
        let account = self.account(held.account)?;
        self.member(account, -amount.get(), |balance| balance.spend(amount))?;
        self.system(REDEMPTION, amount.get());
        self.settled(Cause::new(TransferKind::Capture, held.merchant, held.reference.clone()))
    }

    /// Releasing what is released already changes nothing, and is no error.
    fn release(mut self, id: HoldId, scope: Scope) -> Result<Decision, Refused> {
        let Some(hold) = self.books.holds.get(&id) else {
            let tombstone = Hold::tombstone(id, self.now);
            return self.tombstone(tombstone, scope);
        };
        let Some(held) = &hold.of else {
            return self.unchanged(hold.clone(), scope == Scope::Service);
        };
        if !scope.covers(self.account(held.account)?.member) {
            return Err(Refused::NotFound);
        }
        if matches!(hold.state, HoldState::Released | HoldState::Expired) {
            return self.unchanged(hold.clone(), true);
        }
        let held = hold.active()?;
        if held.by_service && matches!(scope, Scope::Own(_)) {
            return Err(Refused::HoldOfService);
        }
        self.hold = Some(hold.settled(HoldState::Released, self.now));
        self.free(held)?;
        self.settled(Cause::new(TransferKind::Release, held.merchant, held.reference.clone()))
    }

    fn expire(mut self, id: HoldId) -> Result<Decision, Refused> {
        let hold = self.books.holds.get(&id).ok_or(Refused::NotFound)?;
        let held = hold.active()?;
        if held.expires_at > self.now {
            return Err(Refused::NotFound);
        }
        self.hold = Some(hold.settled(HoldState::Expired, self.now));
        self.free(held)?;
        self.settled(Cause::new(TransferKind::Expire, held.merchant, held.reference.clone()))
    }

    fn free(&mut self, held: &Held) -> Result<(), Refused> {
        let account = self.account(held.account)?;
        self.member(account, held.amount.get(), |balance| balance.free(held.amount))?;
        self.system(HELD, -held.amount.get());
        Ok(())
    }
}

/// The small change of a draft.
impl Draft<'_> {
    /// The account as this draft has left it.
    fn account(&self, id: AccountId) -> Result<Account, Refused> {
        let changed = self.accounts.iter().find(|account| account.id == id);
        changed.or_else(|| self.books.accounts.get(&id)).cloned().ok_or(Refused::NotFound)
    }

    fn of_member(&self, member: MemberId) -> Result<Account, Refused> {
        self.account(*self.books.by_member.get(&member).ok_or(Refused::NotFound)?)
    }

    fn open(&mut self, member: MemberId) -> Account {
        let account = Account::open(AccountId((self.ids)()), member, self.now);
        self.opened = Some(account.id);
        account
    }

    fn payer(&self, payer: Payer) -> Result<Account, Refused> {
        match payer {
            Payer::Member(member) => self.of_member(member),
            Payer::Account(id, scope) => {
                let account = self.account(id)?;
                if scope.covers(account.member) { Ok(account) } else { Err(Refused::NotFound) }
            }
        }
    }

    /// One member's side.
    fn member(
        &mut self,
        account: Account,
        amount: i64,
        change: impl FnOnce(Balance) -> Result<Balance, Refused>,
    ) -> Result<(), Refused> {
        let account = Account { balance: change(account.balance)?, ..account };
        let side = Side::Member(account.id, account.balance);
        self.entries.push(Entry { id: (self.ids)(), side, amount });
        match self.accounts.iter_mut().find(|changed| changed.id == account.id) {
            Some(changed) => *changed = account,
            None => self.accounts.push(account),
        }
        Ok(())
    }

    fn system(&mut self, name: &'static str, amount: i64) {
        self.entries.push(Entry { id: (self.ids)(), side: Side::System(name), amount });
    }

    /// Answers with the first member's entry.
    fn moved(self, points: i64, cause: Cause) -> Result<Decision, Refused> {
        let transfer = TransferId((self.ids)());
        let first = self.entries.iter().find_map(|entry| match entry.side {
            Side::Member(account, balance) => Some((entry.id, account, balance)),
            Side::System(_) => None,
        });
        let (entry, account, balance) = first.ok_or(Refused::Books)?;
        let moved = Moved { transfer, entry, account, points, balance };
        Ok(self.finish(Done::Moved(moved), transfer, cause))
    }

    fn settled(self, cause: Cause) -> Result<Decision, Refused> {
        let hold = self.hold.clone().ok_or(Refused::Books)?;
        let transfer = TransferId((self.ids)());
        Ok(self.finish(Done::Hold(hold), transfer, cause))
    }

    fn finish(self, done: Done, id: TransferId, cause: Cause) -> Decision {
        let Cause { kind, reference, merchant, reverses } = cause;
        let transfer = Transfer {
            id,
            kind,
            reference,
            merchant,
            reverses,
            hold: self.hold.as_ref().map(|hold| hold.id),
            occurred_at: self.now,
            entries: self.entries,
        };
        let (accounts, opened) = (self.accounts, self.opened);
        Decision { done, transfer: Some(transfer), hold: self.hold, accounts, opened }
    }

    fn tombstone(mut self, hold: Hold, scope: Scope) -> Result<Decision, Refused> {
        self.hold = Some(hold.clone());
        self.unchanged(hold, scope == Scope::Service)
    }

    /// An answer without a transfer, for whoever may know that there is such a hold.
    fn unchanged(self, hold: Hold, may_know: bool) -> Result<Decision, Refused> {
        if !may_know {
            return Err(Refused::NotFound);
        }
        let done = Done::Hold(hold);
        Ok(Decision { done, transfer: None, hold: self.hold, accounts: Vec::new(), opened: None })
    }
}
