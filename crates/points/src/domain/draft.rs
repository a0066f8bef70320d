mod holds;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::books::{Books, Decision, Done, Earned, Entry, Moved, Side, Transfer};
use super::hold::Held;
use super::{
    Account, AccountId, Actor, Adjustment, Amount, Balance, Basis, Command, EventId, Hold,
    Issuance, MemberId, MerchantId, Payer, Rate, Recipient, Reference, Refused, TransferId,
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
    issued: Option<Issuance>,
}

/// Why a transfer is recorded.
struct Cause {
    kind: TransferKind,
    reference: Reference,
    merchant: Option<MerchantId>,
    reverses: Option<TransferId>,
    event: Option<EventId>,
}

impl Cause {
    fn new(kind: TransferKind, merchant: Option<MerchantId>, reference: Reference) -> Self {
        Self { kind, reference, merchant, reverses: None, event: None }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(books: &'a Books, now: DateTime<Utc>, ids: &'a dyn Fn() -> Uuid) -> Self {
        let (accounts, entries) = (Vec::new(), Vec::new());
        Self { books, now, ids, accounts, entries, hold: None, opened: None, issued: None }
    }

    pub(super) fn decide(self, command: Command) -> Result<Decision, Refused> {
        match command {
            Command::Earn { to, basis, rate, merchant, reference, event, by: _ } => {
                if let Some(earned) = event.and_then(|event| self.books.events.get(&event)) {
                    return self.earned_before(earned, to, merchant, &reference);
                }
                let cause = Cause::new(TransferKind::Earn, Some(merchant), reference);
                self.earn(to, (basis, rate, merchant), Cause { event, ..cause })
            }
            Command::Redeem { from, amount, merchant, reference } => {
                self.redeem(from, amount, merchant, reference)
            }
            Command::Transfer { from, to, amount, reference } => {
                self.transfer(from, to, amount, reference)
            }
            Command::Reverse { transfer, reference, by } => self.reverse(transfer, reference, &by),
            Command::Adjust { account, by, seen, reference } => {
                self.adjust(account, by, seen, reference)
            }
            Command::Hold { id, from, amount, merchant, reference, lasts, price, placed_by } => {
                let tender = self.books.tender(price.as_ref().map(|price| &price.currency))?;
                let value = price.map(|price| tender.pays(amount, &price)).transpose()?;
                let held = |account, now| Held {
                    value,
                    account,
                    amount,
                    merchant,
                    reference,
                    expires_at: lasts.from(now),
                };
                self.hold(id, from, held, placed_by)
            }
            Command::Capture { id, amount, by } => self.capture(id, amount, &by),
            Command::Release { id, by } => self.release(id, &by),
            Command::Expire { id } => self.expire(id),
        }
    }

    /// The first answer to an event that has earned, when it is told again.
    fn earned_before(
        &self,
        earned: &Earned,
        to: Recipient,
        merchant: MerchantId,
        reference: &Reference,
    ) -> Result<Decision, Refused> {
        let account = match to {
            Recipient::Account(id) => Some(id),
            Recipient::Member(member) => self.books.by_member.get(&member).copied(),
        };
        let same = account == Some(earned.moved.account)
            && earned.merchant == Some(merchant)
            && earned.reference == *reference;
        if same { Ok(Self::repeated(&earned.moved)) } else { Err(Refused::EventExists) }
    }

    fn earn(
        mut self,
        to: Recipient,
        (basis, rate, merchant): (Basis, Option<Rate>, MerchantId),
        cause: Cause,
    ) -> Result<Decision, Refused> {
        let account = match to {
            Recipient::Account(id) => self.account(id)?,
            Recipient::Member(member) => match self.of_member(member) {
                Ok(account) => account,
                Err(_) => self.open(member),
            },
        };
        if self.books.is_own(merchant, to) {
            return Err(Refused::OwnMerchant);
        }
        let currency = match &basis {
            Basis::Purchase(_, currency) => Some(currency),
            Basis::Points(_) => None,
        };
        let issuance = self.books.issuance_of(merchant).ok_or(Refused::Books)?;
        let tender = self.books.tender(currency)?;
        let amount = issuance.bounds.worth(&basis, rate, tender)?;
        self.issued = Some(issuance.spend(amount)?);
        self.member(account, amount.get(), |balance| balance.earn(amount))?;
        self.system(ISSUANCE, -amount.get());
        self.moved(amount.get(), cause)
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

    /// Gives every member their points back, and takes back what they were given for them. A service takes
    /// back what it captured.
    fn reverse(
        mut self,
        id: TransferId,
        reference: Reference,
        by: &Actor,
    ) -> Result<Decision, Refused> {
        let original = self.books.transfers.get(&id).ok_or(Refused::NotFound)?;
        if let Actor::Service(service) = by {
            if original.placed_by.as_ref() != Some(service) {
                return Err(Refused::NotFound);
            }
            if let Some(moved) = &original.reversed {
                return Ok(Self::repeated(moved));
            }
        }
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
        if original.reversed.is_some() {
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
            Payer::Account(id, actor) => {
                let account = self.account(id)?;
                if actor.covers(account.member) { Ok(account) } else { Err(Refused::NotFound) }
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
        let (available, version) = (balance.available(), balance.version());
        let moved = Moved { transfer, entry, account, points, available, version };
        Ok(self.finish(Done::Moved(moved), transfer, cause))
    }

    fn settled(self, transfer: TransferId, cause: Cause) -> Result<Decision, Refused> {
        let hold = self.hold.clone().ok_or(Refused::Books)?;
        Ok(self.finish(Done::Hold(hold), transfer, cause))
    }

    fn finish(self, done: Done, id: TransferId, cause: Cause) -> Decision {
        let Cause { kind, reference, merchant, reverses, event } = cause;
        let transfer = Transfer {
            id,
            kind,
            reference,
            merchant,
            reverses,
            hold: self.hold.as_ref().map(|hold| hold.id),
            event,
            occurred_at: self.now,
            entries: self.entries,
        };
        let (accounts, opened, issued) = (self.accounts, self.opened, self.issued);
        Decision { done, transfer: Some(transfer), hold: self.hold, accounts, opened, issued }
    }

    /// An answer without a transfer: what was asked for is there.
    fn unchanged(self, hold: &Hold) -> Decision {
        Decision { hold: self.hold, ..Decision::nothing(Done::Hold(hold.clone())) }
    }

    /// The first answer, without a transfer: it was done before.
    fn repeated(moved: &Moved) -> Decision {
        Decision::nothing(Done::Moved(moved.clone()))
    }
}
