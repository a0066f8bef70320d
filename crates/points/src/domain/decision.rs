use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Account, AccountId, Balance, EventId, Hold, HoldId, Issuance, MerchantId, Reference,
    TransferId, TransferKind,
};

/// The effect of an allowed command.
#[derive(Debug)]
pub struct Decision {
    pub done: Done,
    pub transfer: Option<Transfer>,
    /// The hold after the command.
    pub hold: Option<Hold>,
    /// The changed accounts after the command.
    pub accounts: Vec<Account>,
    /// The account that the command opened, one of `accounts`.
    pub opened: Option<AccountId>,
    /// The merchant's issuance after an earning.
    pub issued: Option<Issuance>,
}

impl Decision {
    /// An answer that changes nothing.
    pub(super) fn unchanged(done: Done) -> Self {
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

/// A transfer, seen from the account that was credited or paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub transfer: TransferId,
    pub entry: Uuid,
    pub account: AccountId,
    pub points: i64,
    /// The account's available points after the transfer.
    pub available: i64,
    /// The account's version after the transfer.
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
    /// The amounts sum to zero.
    pub entries: Vec<Entry>,
}

/// One account's side of a transfer.
#[derive(Debug)]
pub struct Entry {
    pub id: Uuid,
    pub side: Side,
    pub amount: i64,
}

/// A member's account with its new balance, or one of the system's, which have none.
#[derive(Debug)]
pub enum Side {
    Member(AccountId, Balance),
    System(&'static str),
}

impl Side {
    pub fn member(&self) -> Option<(AccountId, Balance)> {
        match self {
            Self::Member(account, balance) => Some((*account, *balance)),
            Self::System(_) => None,
        }
    }

    pub fn system(&self) -> Option<&'static str> {
        match self {
            Self::Member(..) => None,
            Self::System(name) => Some(name),
        }
    }
}
