//! The decisions of the ledger. Each command either changes accounts, and is recorded as a transfer whose
//! entries sum to zero, or is refused and changes nothing.

mod holds;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::command::{Adjust, Earn, Redeem, Reverse, Transfer as TransferCommand};
use super::{
    Account, AccountId, AccountRef, Actor, Adjustment, Amount, Balance, Basis, Command, Decision,
    Done, Entry, EventEarning, EventId, Hold, Issuance, MemberId, MerchantId, Moved, Reference,
    Refused, Side, Transfer, TransferId, TransferKind, WorkingSet,
};

const ISSUANCE: &str = "issuance";
const REDEMPTION: &str = "redemption";
const ADJUSTMENT: &str = "adjustment";
const HELD: &str = "held";

/// Decides one command, and includes the decision in the working set.
pub fn decide(
    set: &mut WorkingSet,
    command: &Command,
    now: DateTime<Utc>,
    ids: &dyn Fn() -> Uuid,
) -> Result<Decision, Refused> {
    let decision = DecisionBuilder::new(set, now, ids).decide(command)?;
    set.apply(&decision);
    Ok(decision)
}

/// A decision in the making.
struct DecisionBuilder<'a> {
    set: &'a WorkingSet,
    now: DateTime<Utc>,
    ids: &'a dyn Fn() -> Uuid,
    accounts: Vec<Account>,
    entries: Vec<Entry>,
    hold: Option<Hold>,
    opened: Option<AccountId>,
    issued: Option<Issuance>,
}

/// The reason of a transfer.
struct Cause {
    kind: TransferKind,
    reference: Reference,
    merchant: Option<MerchantId>,
    reverses: Option<TransferId>,
    event: Option<EventId>,
}

impl Cause {
    fn new(kind: TransferKind, merchant: Option<MerchantId>, reference: &Reference) -> Self {
        Self { kind, reference: reference.clone(), merchant, reverses: None, event: None }
    }
}

impl<'a> DecisionBuilder<'a> {
    fn new(set: &'a WorkingSet, now: DateTime<Utc>, ids: &'a dyn Fn() -> Uuid) -> Self {
        let (accounts, entries) = (Vec::new(), Vec::new());
        Self { set, now, ids, accounts, entries, hold: None, opened: None, issued: None }
    }

    fn decide(self, command: &Command) -> Result<Decision, Refused> {
        match command {
            Command::Earn(earn) => self.earn(earn),
            Command::Redeem(redeem) => self.redeem(redeem),
            Command::Transfer(transfer) => self.transfer(transfer),
            Command::Reverse(reverse) => self.reverse(reverse),
            Command::Adjust(adjust) => self.adjust(adjust),
            Command::Hold(hold) => self.hold(hold),
            Command::Capture(capture) => self.capture(capture),
            Command::Release(release) => self.release(release),
            Command::Expire(id) => self.expire(*id),
        }
    }

    fn earn(mut self, earn: &Earn) -> Result<Decision, Refused> {
        let Earn { to, basis, rate, merchant, reference, event, by } = earn;
        if !self.set.may_act_for(Some(*merchant), by) {
            return Err(Refused::NotFound("merchant"));
        }
        if let Some(first) = event.and_then(|event| self.set.events.get(&event)) {
            return self.earned_before(first, earn);
        }
        let account = match to {
            AccountRef::Id(id) => self.account(*id)?,
            AccountRef::Member(member) => match self.account_of(*member) {
                Ok(account) => account,
                Err(_) => self.open(*member),
            },
        };
        if self.set.is_own_merchant(*merchant, *to) {
            return Err(Refused::OwnMerchant);
        }
        let currency = match basis {
            Basis::Purchase(_, currency) => Some(currency),
            Basis::Points(_) => None,
        };
        let issuance = self.set.issuance(*merchant)?;
        let amount = issuance.bounds.worth(basis, *rate, self.set.tender(currency)?)?;
        self.issued = Some(issuance.spend(amount)?);
        self.member(account, amount.get(), |balance| balance.earn(amount))?;
        self.system(ISSUANCE, -amount.get());
        let cause = Cause::new(TransferKind::Earn, Some(*merchant), reference);
        self.moved(amount.get(), Cause { event: *event, ..cause })
    }

    /// Repeats the first answer to an event that has already earned.
    fn earned_before(&self, first: &EventEarning, earn: &Earn) -> Result<Decision, Refused> {
        let account = match earn.to {
            AccountRef::Id(id) => Some(id),
            AccountRef::Member(member) => self.set.by_member.get(&member).copied(),
        };
        let same = account == Some(first.moved.account)
            && first.merchant == Some(earn.merchant)
            && first.reference == earn.reference;
        if same { Ok(Self::repeated(&first.moved)) } else { Err(Refused::EventExists) }
    }

    fn redeem(mut self, redeem: &Redeem) -> Result<Decision, Refused> {
        let Redeem { from, amount, merchant, reference, by } = redeem;
        let account = self.payer(*from, by)?;
        self.member(account, -amount.get(), |balance| balance.spend(*amount))?;
        self.system(REDEMPTION, amount.get());
        self.moved(amount.get(), Cause::new(TransferKind::Redeem, *merchant, reference))
    }

    fn transfer(mut self, transfer: &TransferCommand) -> Result<Decision, Refused> {
        let TransferCommand { from, to, amount, reference, by } = transfer;
        let (from, to) = (self.payer(*from, by)?, self.account(*to)?);
        if from.id == to.id {
            return Err(Refused::SelfTransfer);
        }
        self.member(from, -amount.get(), |balance| balance.spend(*amount))?;
        self.member(to, amount.get(), |balance| balance.earn(*amount))?;
        self.moved(amount.get(), Cause::new(TransferKind::Transfer, None, reference))
    }

    fn adjust(mut self, adjust: &Adjust) -> Result<Decision, Refused> {
        let account = self.account(adjust.account)?;
        if adjust.seen != account.balance.version() {
            return Err(Refused::VersionConflict);
        }
        let points = match adjust.adjustment {
            Adjustment::Up(amount) => amount.get(),
            Adjustment::Down(amount) => -amount.get(),
        };
        self.member(account, points, |balance| match adjust.adjustment {
            Adjustment::Up(amount) => balance.earn(amount),
            Adjustment::Down(amount) => balance.spend(amount),
        })?;
        self.system(ADJUSTMENT, -points);
        self.moved(points, Cause::new(TransferKind::Adjust, None, &adjust.reference))
    }

    /// Gives every member their points back, and takes back the points that they were given for them. A service
    /// reverses its own captures only, and may repeat itself.
    fn reverse(mut self, reverse: &Reverse) -> Result<Decision, Refused> {
        let missing = Refused::NotFound("transfer");
        let original = self.set.transfers.get(&reverse.transfer).ok_or(missing)?;
        if let Actor::Service(service) = &reverse.by {
            if original.placed_by.as_ref() != Some(service) {
                return Err(missing);
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
        // The entry of a capture that freed the hold stays.
        let stays = |entry: i64| original.kind == TransferKind::Capture && entry > 0;
        let mut points = 0;
        for (account, entry) in original.entries.iter().filter(|(_, entry)| !stays(*entry)) {
            let amount = Amount::new(entry.abs()).map_err(|_| Refused::Inconsistent)?;
            let account = self.account(*account)?;
            self.member(account, -entry, |balance| {
                if *entry > 0 { balance.take_back(amount) } else { balance.refund(amount) }
            })?;
            if let Some(system) = system {
                self.system(system, *entry);
            }
            points = amount.get();
        }
        let cause = Cause::new(TransferKind::Reverse, original.merchant, &reverse.reference);
        self.moved(points, Cause { reverses: Some(reverse.transfer), ..cause })
    }
}

/// The steps that decisions are made of.
impl DecisionBuilder<'_> {
    /// The account after the steps so far.
    fn account(&self, id: AccountId) -> Result<Account, Refused> {
        let changed = self.accounts.iter().find(|account| account.id == id);
        let account = changed.or_else(|| self.set.accounts.get(&id));
        account.cloned().ok_or(Refused::NotFound("account"))
    }

    fn account_of(&self, member: MemberId) -> Result<Account, Refused> {
        let id = self.set.by_member.get(&member);
        self.account(*id.ok_or(Refused::NotFound("account"))?)
    }

    fn open(&mut self, member: MemberId) -> Account {
        let account = Account::open(AccountId((self.ids)()), member, self.now);
        self.opened = Some(account.id);
        account
    }

    /// The account that pays, if the actor may use it. A service names the member whose grant it has, never an
    /// account.
    fn payer(&self, from: AccountRef, by: &Actor) -> Result<Account, Refused> {
        let account = match (from, by) {
            (AccountRef::Id(_), Actor::Service(_)) => return Err(Refused::NotFound("account")),
            (AccountRef::Id(id), Actor::Member(_) | Actor::Operator) => self.account(id)?,
            (AccountRef::Member(member), _) => self.account_of(member)?,
        };
        let permitted = by.may_use_account_of(account.member);
        if permitted { Ok(account) } else { Err(Refused::NotFound("account")) }
    }

    /// Adds an entry of a member's account.
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

    /// Adds an entry of one of the system's accounts.
    fn system(&mut self, name: &'static str, amount: i64) {
        self.entries.push(Entry { id: (self.ids)(), side: Side::System(name), amount });
    }

    /// Answers with the first member's entry.
    fn moved(self, points: i64, cause: Cause) -> Result<Decision, Refused> {
        let transfer = TransferId((self.ids)());
        let mut entries = self.entries.iter();
        let first = entries.find_map(|entry| Some((entry.id, entry.side.member()?)));
        let (entry, (account, balance)) = first.ok_or(Refused::Inconsistent)?;
        let (available, version) = (balance.available(), balance.version());
        let moved = Moved { transfer, entry, account, points, available, version };
        Ok(self.finish(Done::Moved(moved), transfer, cause))
    }

    /// Answers with the hold.
    fn held(self, transfer: TransferId, cause: Cause) -> Result<Decision, Refused> {
        let hold = self.hold.clone().ok_or(Refused::Inconsistent)?;
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

    /// Answers with the hold, without a transfer.
    fn unchanged(self, hold: &Hold) -> Decision {
        Decision { hold: self.hold, ..Decision::unchanged(Done::Hold(hold.clone())) }
    }

    /// Repeats the first answer, without a transfer.
    fn repeated(moved: &Moved) -> Decision {
        Decision::unchanged(Done::Moved(moved.clone()))
    }
}
