use std::collections::{HashMap, HashSet};

use super::{
    Account, AccountId, AccountRef, Actor, Command, Currency, Decision, Done, EventId, Hold,
    HoldId, Issuance, MemberId, MerchantId, Moved, Reference, Refused, ServiceName, Tender,
    TransferId, TransferKind,
};

/// The state that the commands of a batch are decided from. It was read from the database and includes the
/// decisions so far. It may be out of date: then the database refuses the whole batch.
#[derive(Debug, Default)]
pub struct WorkingSet {
    pub(super) accounts: HashMap<AccountId, Account>,
    pub(super) by_member: HashMap<MemberId, AccountId>,
    pub(super) holds: HashMap<HoldId, Hold>,
    pub(super) transfers: HashMap<TransferId, ReversibleTransfer>,
    pub(super) events: HashMap<EventId, EventEarning>,
    /// Accounts that another replica has locked, and their members. Commands about them are not decided.
    busy: HashMap<AccountId, MemberId>,
    merchant_members: HashSet<(MerchantId, MemberId)>,
    issuance: HashMap<MerchantId, Issuance>,
    /// The tender values of the currencies that the commands name.
    tenders: HashMap<Currency, Tender>,
}

/// A transfer that may be reversed.
#[derive(Clone, Debug)]
pub struct ReversibleTransfer {
    pub kind: TransferKind,
    pub merchant: Option<MerchantId>,
    /// The service whose hold it captured.
    pub placed_by: Option<ServiceName>,
    /// Its reversal.
    pub reversed: Option<Moved>,
    /// The members' entries, payers first.
    pub entries: Vec<(AccountId, i64)>,
}

/// The earning of an event.
#[derive(Clone, Debug)]
pub struct EventEarning {
    pub moved: Moved,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
}

impl WorkingSet {
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

    pub fn add_transfer(&mut self, id: TransferId, transfer: ReversibleTransfer) {
        self.transfers.insert(id, transfer);
    }

    pub fn add_event(&mut self, event: EventId, earning: EventEarning) {
        self.events.insert(event, earning);
    }

    pub fn add_merchant_member(&mut self, merchant: MerchantId, member: MemberId) {
        self.merchant_members.insert((merchant, member));
    }

    pub fn add_issuance(&mut self, merchant: MerchantId, issuance: Issuance) {
        self.issuance.insert(merchant, issuance);
    }

    pub fn add_tender(&mut self, currency: Currency, tender: Tender) {
        self.tenders.insert(currency, tender);
    }

    /// The memberships that decide about these commands: of those who act for a merchant, and of those who
    /// earn there.
    pub fn memberships<'a>(
        &self,
        commands: impl Iterator<Item = &'a Command>,
    ) -> Vec<(MerchantId, MemberId)> {
        let pairs = commands.flat_map(|command| {
            let actor = self.merchant_of(command).zip(command.merchant_actor());
            let earner = command
                .earning()
                .and_then(|(merchant, account)| Some(merchant).zip(self.member_of(account)));
            actor.into_iter().chain(earner)
        });
        pairs.collect()
    }

    /// The accounts that a command is about, after the decisions so far.
    pub fn accounts_of(&self, command: &Command) -> Vec<Account> {
        let by_member = command.member().and_then(|member| self.by_member.get(&member).copied());
        let ids = self.accounts_behind(command).chain(by_member);
        ids.filter_map(|id| self.accounts.get(&id).cloned()).collect()
    }

    /// True when the account of every hold is here or busy. A hold may have been placed after the accounts were
    /// looked up.
    pub fn is_complete(&self) -> bool {
        let mut terms = self.holds.values().filter_map(|hold| hold.terms.as_ref());
        terms.all(|terms| {
            self.accounts.contains_key(&terms.account) || self.busy.contains_key(&terms.account)
        })
    }

    /// True when a command is about an account that another replica has locked.
    pub fn is_busy(&self, command: &Command) -> bool {
        let member = command.member();
        !self.busy.is_empty()
            && (self.accounts_behind(command).any(|id| self.busy.contains_key(&id))
                || member.is_some_and(|member| self.busy.values().any(|busy| *busy == member)))
    }

    /// The accounts that a command names, and those of the hold or the transfer that it names.
    fn accounts_behind(&self, command: &Command) -> impl Iterator<Item = AccountId> {
        let hold = command.hold().and_then(|id| self.holds.get(&id)?.terms.as_ref());
        let transfer = command.reverses().and_then(|id| self.transfers.get(&id));
        let entries = transfer.into_iter().flat_map(|transfer| &transfer.entries);
        command
            .accounts()
            .chain(hold.map(|terms| terms.account))
            .chain(entries.map(|(account, _)| *account))
    }

    fn member_of(&self, account: AccountRef) -> Option<MemberId> {
        match account {
            AccountRef::Id(id) => Some(self.accounts.get(&id)?.member),
            AccountRef::Member(member) => Some(member),
        }
    }

    fn merchant_of(&self, command: &Command) -> Option<MerchantId> {
        match command {
            Command::Earn(earn) => Some(earn.merchant),
            Command::Capture(capture) => self.holds.get(&capture.hold)?.terms.as_ref()?.merchant,
            _ => None,
        }
    }

    /// True unless a member acts for a merchant that they do not belong to.
    pub(super) fn may_act_for(&self, merchant: Option<MerchantId>, by: &Actor) -> bool {
        by.member().is_none_or(|member| {
            merchant.is_some_and(|merchant| self.merchant_members.contains(&(merchant, member)))
        })
    }

    /// True when the account's member belongs to the merchant.
    pub(super) fn is_own_merchant(&self, merchant: MerchantId, account: AccountRef) -> bool {
        let member = self.member_of(account);
        member.is_some_and(|member| self.merchant_members.contains(&(merchant, member)))
    }

    /// The merchant's issuance after the decisions so far.
    pub(super) fn issuance(&self, merchant: MerchantId) -> Result<Issuance, Refused> {
        self.issuance.get(&merchant).copied().ok_or(Refused::Inconsistent)
    }

    /// The tender value of a currency; without one, of the unit of account.
    pub(super) fn tender(&self, currency: Option<&Currency>) -> Result<Tender, Refused> {
        let Some(currency) = currency else { return Ok(Tender::UNIT) };
        self.tenders.get(currency).copied().ok_or(Refused::TenderValueMissing)
    }

    /// Includes a decision, for the commands after it.
    pub(super) fn apply(&mut self, decision: &Decision) {
        for account in &decision.accounts {
            self.add_account(account.clone());
        }
        if let Some(hold) = &decision.hold {
            self.add_hold(hold.clone());
        }
        let (Done::Moved(moved), Some(transfer)) = (&decision.done, &decision.transfer) else {
            return;
        };
        if let (Some(issued), Some(merchant)) = (decision.issued, transfer.merchant) {
            self.add_issuance(merchant, issued);
        }
        if let Some(original) = transfer.reverses.and_then(|id| self.transfers.get_mut(&id)) {
            original.reversed = Some(moved.clone());
        }
        if let Some(event) = transfer.event {
            let (merchant, reference) = (transfer.merchant, transfer.reference.clone());
            self.add_event(event, EventEarning { moved: moved.clone(), merchant, reference });
        }
    }
}
