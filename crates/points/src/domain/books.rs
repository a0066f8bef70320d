use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::draft::Draft;
use super::{
    Account, AccountId, Balance, Command, Currency, EventId, Hold, HoldId, Issuance, MemberId,
    MerchantId, Recipient, Reference, Refused, ServiceName, Tender, TransferId, TransferKind,
};

/// What the commands of a batch need to know, as it is after those already decided. Everything in it
/// is locked in the database, so a decision holds until the commit.
#[derive(Debug, Default)]
pub struct Books {
    pub(super) accounts: HashMap<AccountId, Account>,
    pub(super) by_member: HashMap<MemberId, AccountId>,
    pub(super) holds: HashMap<HoldId, Hold>,
    pub(super) transfers: HashMap<TransferId, Recorded>,
    pub(super) events: HashMap<EventId, Earned>,
    /// Accounts that somebody else has locked, and their members: nothing is decided about them.
    busy: HashMap<AccountId, MemberId>,
    /// Which member belongs to which merchant.
    pub(super) sellers: HashSet<(MerchantId, MemberId)>,
    pub(super) issuance: HashMap<MerchantId, Issuance>,
    /// What points are worth, in the currencies that these commands name.
    pub(super) tenders: HashMap<Currency, Tender>,
}

/// A transfer that may be reversed.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub kind: TransferKind,
    pub merchant: Option<MerchantId>,
    /// The service whose hold it captured.
    pub placed_by: Option<ServiceName>,
    /// Its reversal.
    pub reversed: Option<Moved>,
    /// The members' entries, payers first.
    pub lines: Vec<(AccountId, i64)>,
}

/// The earning of an event.
#[derive(Clone, Debug)]
pub struct Earned {
    pub moved: Moved,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
}

/// The effect of an allowed command.
#[derive(Debug)]
pub struct Decision {
    pub done: Done,
    pub transfer: Option<Transfer>,
    /// The hold as it is now.
    pub hold: Option<Hold>,
    /// The accounts as they are now.
    pub accounts: Vec<Account>,
    /// The one of them that was not there before.
    pub opened: Option<AccountId>,
    /// The merchant's issuance, with this earning.
    pub issued: Option<Issuance>,
}

impl Decision {
    /// An answer that changes nothing.
    pub(super) fn nothing(done: Done) -> Self {
        let (accounts, transfer, hold) = (Vec::new(), None, None);
        Self { done, transfer, hold, accounts, opened: None, issued: None }
    }
}

/// The answer to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Moved(Moved),
    Hold(Hold),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub transfer: TransferId,
    pub entry: Uuid,
    pub account: AccountId,
    pub points: i64,
    /// What the account could spend after it, and its version.
    pub available: i64,
    pub version: i64,
}

/// One movement of points, as it is recorded.
#[derive(Debug)]
pub struct Transfer {
    pub id: TransferId,
    pub kind: TransferKind,
    pub reference: Reference,
    pub merchant: Option<MerchantId>,
    pub reverses: Option<TransferId>,
    pub hold: Option<HoldId>,
    pub event: Option<EventId>,
    pub occurred_at: DateTime<Utc>,
    /// They sum to zero.
    pub entries: Vec<Entry>,
}

#[derive(Debug)]
pub struct Entry {
    pub id: Uuid,
    pub side: Side,
    pub amount: i64,
}

/// Whose side of a transfer it is. The system's accounts have no balance.
#[derive(Debug)]
pub enum Side {
    Member(AccountId, Balance),
    System(&'static str),
}

impl Books {
    pub fn add_account(&mut self, account: Account) {
        self.by_member.insert(account.member, account.id);
        self.accounts.insert(account.id, account);
    }

    pub fn add_busy(&mut self, id: AccountId, member: MemberId) {
        self.busy.insert(id, member);
    }

    pub fn add_hold(&mut self, hold: Hold) {
        self.holds.insert(hold.id, hold);
    }

    pub fn add_transfer(&mut self, id: TransferId, transfer: Recorded) {
        self.transfers.insert(id, transfer);
    }

    pub fn add_earned(&mut self, event: EventId, earned: Earned) {
        self.events.insert(event, earned);
    }

    pub fn add_seller(&mut self, merchant: MerchantId, member: MemberId) {
        self.sellers.insert((merchant, member));
    }

    pub fn add_issuance(&mut self, merchant: MerchantId, issuance: Issuance) {
        self.issuance.insert(merchant, issuance);
    }

    pub fn add_tender(&mut self, currency: Currency, tender: Tender) {
        self.tenders.insert(currency, tender);
    }

    /// What a merchant has given away, with what was decided so far.
    pub fn issuance_of(&self, merchant: MerchantId) -> Option<Issuance> {
        self.issuance.get(&merchant).copied()
    }

    /// The members of whom it matters whether they belong to a merchant: who sells, and who is given points.
    pub fn memberships<'a>(
        &self,
        commands: impl Iterator<Item = &'a Command>,
    ) -> Vec<(MerchantId, MemberId)> {
        let pairs = commands.flat_map(|command| {
            let seller = self.merchant_of(command).zip(command.seller());
            let given =
                command.earning().and_then(|(merchant, to)| Some(merchant).zip(self.recipient(to)));
            seller.into_iter().chain(given)
        });
        pairs.collect()
    }

    /// The member who is given points, when their account is known.
    fn recipient(&self, to: Recipient) -> Option<MemberId> {
        match to {
            Recipient::Account(id) => Some(self.accounts.get(&id)?.member),
            Recipient::Member(member) => Some(member),
        }
    }

    /// True when a member would be given points at a merchant of their own.
    pub(super) fn is_own(&self, merchant: MerchantId, to: Recipient) -> bool {
        self.recipient(to).is_some_and(|member| self.sellers.contains(&(merchant, member)))
    }

    pub(super) fn tender(&self, currency: Option<&Currency>) -> Result<Tender, Refused> {
        let Some(currency) = currency else { return Ok(Tender::UNIT) };
        self.tenders.get(currency).copied().ok_or(Refused::TenderValueMissing)
    }

    fn merchant_of(&self, command: &Command) -> Option<MerchantId> {
        match command {
            Command::Earn { merchant, .. } => Some(*merchant),
            Command::Capture { id, .. } => self.holds.get(id)?.of.as_ref()?.merchant,
            _ => None,
        }
    }

    /// Whether nobody sells here for a merchant that is not theirs.
    fn permits(&self, command: &Command) -> bool {
        command.seller().is_none_or(|member| {
            let merchant = self.merchant_of(command);
            merchant.is_some_and(|merchant| self.sellers.contains(&(merchant, member)))
        })
    }

    /// The accounts that a command is about, as the commands so far have left them.
    pub fn accounts_of(&self, command: &Command) -> Vec<Account> {
        let hold = command.hold().and_then(|id| self.holds.get(&id)?.of.as_ref());
        let transfer = command.reverses().and_then(|id| self.transfers.get(&id));
        let ids = command
            .accounts()
            .chain(command.member().and_then(|member| self.by_member.get(&member).copied()))
            .chain(hold.map(|held| held.account))
            .chain(transfer.iter().flat_map(|transfer| transfer.lines.iter().map(|(id, _)| *id)));
        ids.filter_map(|id| self.accounts.get(&id).cloned()).collect()
    }

    /// True when the account of every hold is here, or known to be busy. One may have come after the accounts
    /// were locked.
    pub fn is_complete(&self) -> bool {
        let mut held = self.holds.values().filter_map(|hold| hold.of.as_ref());
        held.all(|held| {
            self.accounts.contains_key(&held.account) || self.busy.contains_key(&held.account)
        })
    }

    /// True when a command is about an account that somebody else has locked.
    pub fn is_busy(&self, command: &Command) -> bool {
        let hold = command.hold().and_then(|id| self.holds.get(&id)?.of.as_ref());
        let transfer = command.reverses().and_then(|id| self.transfers.get(&id));
        let mut ids = command
            .accounts()
            .chain(hold.map(|held| held.account))
            .chain(transfer.iter().flat_map(|transfer| transfer.lines.iter().map(|(id, _)| *id)));
        let member = command.member();
        !self.busy.is_empty()
            && (ids.any(|id| self.busy.contains_key(&id))
                || member.is_some_and(|member| self.busy.values().any(|busy| *busy == member)))
    }

    /// Decides one command, and applies it if it is allowed. A command that is refused leaves no trace.
    pub fn decide(
        &mut self,
        command: &Command,
        now: DateTime<Utc>,
        ids: &dyn Fn() -> Uuid,
    ) -> Result<Decision, Refused> {
        if !self.permits(command) {
            return Err(Refused::NotFound);
        }
        let decision = Draft::new(self, now, ids).decide(command.clone())?;
        self.apply(&decision);
        Ok(decision)
    }

    fn apply(&mut self, decision: &Decision) {
        for account in &decision.accounts {
            self.add_account(account.clone());
        }
        if let Some(hold) = &decision.hold {
            self.add_hold(hold.clone());
        }
        let reversed = decision.transfer.as_ref().and_then(|transfer| transfer.reverses);
        let Done::Moved(moved) = &decision.done else { return };
        if let Some(issued) = decision.issued
            && let Some(merchant) =
                decision.transfer.as_ref().and_then(|transfer| transfer.merchant)
        {
            self.add_issuance(merchant, issued);
        }
        if let Some(recorded) = reversed.and_then(|id| self.transfers.get_mut(&id)) {
            recorded.reversed = Some(moved.clone());
        }
        if let Some(transfer) = &decision.transfer
            && let Some(event) = transfer.event
        {
            let (merchant, reference) = (transfer.merchant, transfer.reference.clone());
            self.add_earned(event, Earned { moved: moved.clone(), merchant, reference });
        }
    }
}
