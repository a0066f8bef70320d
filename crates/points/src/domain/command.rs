use serde::{Deserialize, Serialize};

use super::{
    AccountId, Actor, Amount, Basis, Currency, EventId, HoldId, HoldTime, MemberId, MerchantId,
    Price, Rate, Reference, Refused, ServiceName, TransferId, TransferKind,
};

/// What may be asked of the ledger.
#[derive(Clone, Debug)]
pub enum Command {
    Earn {
        to: Recipient,
        basis: Basis,
        /// The merchant's own; `None`: the standard.
        rate: Option<Rate>,
        merchant: MerchantId,
        reference: Reference,
        /// The event that says it was earned: it earns once, for ever.
        event: Option<EventId>,
        by: Actor,
    },
    Redeem {
        from: Payer,
        amount: Amount,
        merchant: Option<MerchantId>,
        reference: Reference,
    },
    Transfer {
        from: Payer,
        to: AccountId,
        amount: Amount,
        reference: Reference,
    },
    Reverse {
        transfer: TransferId,
        reference: Reference,
        by: Actor,
    },
    Adjust {
        account: AccountId,
        by: Adjustment,
        /// The version that was looked at; `None` is any.
        seen: Option<i64>,
        reference: Reference,
    },
    Hold {
        id: HoldId,
        from: Payer,
        amount: Amount,
        merchant: Option<MerchantId>,
        reference: Reference,
        lasts: HoldTime,
        /// What the points are to pay of.
        price: Option<Price>,
        /// The service that placed it for the member.
        placed_by: Option<ServiceName>,
    },
    Capture {
        id: HoldId,
        /// All of it when `None`.
        amount: Option<Amount>,
        by: Actor,
    },
    Release {
        id: HoldId,
        by: Actor,
    },
    /// Releases a hold whose time is over.
    Expire {
        id: HoldId,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Recipient {
    Account(AccountId),
    /// The member's account, opened if there is none yet.
    Member(MemberId),
}

/// Whose points are spent. What is not theirs looks like what is not there.
#[derive(Clone, Debug)]
pub enum Payer {
    Account(AccountId, Actor),
    /// A member whose grant was checked.
    Member(MemberId),
}

/// How an operator corrects a balance: up or down, by 1 to 1,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    Up(Amount),
    Down(Amount),
}

impl Adjustment {
    pub fn new(points: i64) -> Result<Self, Refused> {
        let size = points.checked_abs().ok_or(Refused::Adjustment)?;
        let amount = Amount::new(size).map_err(|_| Refused::Adjustment)?;
        Ok(if points > 0 { Self::Up(amount) } else { Self::Down(amount) })
    }
}

impl Command {
    pub fn kind(&self) -> TransferKind {
        match self {
            Self::Earn { .. } => TransferKind::Earn,
            Self::Redeem { .. } => TransferKind::Redeem,
            Self::Transfer { .. } => TransferKind::Transfer,
            Self::Reverse { .. } => TransferKind::Reverse,
            Self::Adjust { .. } => TransferKind::Adjust,
            Self::Hold { .. } => TransferKind::Hold,
            Self::Capture { .. } => TransferKind::Capture,
            Self::Release { .. } => TransferKind::Release,
            Self::Expire { .. } => TransferKind::Expire,
        }
    }

    /// The accounts it names.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        let payer = |payer: &Payer| match payer {
            Payer::Account(id, _) => Some(*id),
            Payer::Member(_) => None,
        };
        let (first, second) = match self {
            Self::Earn { to: Recipient::Account(id), .. } => (Some(*id), None),
            Self::Redeem { from, .. } | Self::Hold { from, .. } => (payer(from), None),
            Self::Transfer { from, to, .. } => (payer(from), Some(*to)),
            Self::Adjust { account, .. } => (Some(*account), None),
            Self::Earn { to: Recipient::Member(_), .. }
            | Self::Reverse { .. }
            | Self::Capture { .. }
            | Self::Release { .. }
            | Self::Expire { .. } => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Whether the accounts it names are all that it is about.
    pub fn names_accounts_only(&self) -> bool {
        self.member().is_none()
            && self.hold().is_none()
            && self.reverses().is_none()
            && self.event().is_none()
    }

    /// The member whose account it is about, when it does not name the account.
    pub fn member(&self) -> Option<MemberId> {
        match self {
            Self::Earn { to: Recipient::Member(member), .. }
            | Self::Redeem { from: Payer::Member(member), .. }
            | Self::Transfer { from: Payer::Member(member), .. }
            | Self::Hold { from: Payer::Member(member), .. } => Some(*member),
            _ => None,
        }
    }

    /// The hold it is about.
    pub fn hold(&self) -> Option<HoldId> {
        match self {
            Self::Hold { id, .. }
            | Self::Capture { id, .. }
            | Self::Release { id, .. }
            | Self::Expire { id } => Some(*id),
            _ => None,
        }
    }

    /// The member who asks for it as one who sells.
    pub fn seller(&self) -> Option<MemberId> {
        match self {
            Self::Earn { by, .. } | Self::Capture { by, .. } => by.member(),
            _ => None,
        }
    }

    /// The merchant that gives points away, and to whom.
    pub fn earning(&self) -> Option<(MerchantId, Recipient)> {
        match self {
            Self::Earn { merchant, to, .. } => Some((*merchant, *to)),
            _ => None,
        }
    }

    /// The currency whose worth in points decides.
    pub fn currency(&self) -> Option<&Currency> {
        match self {
            Self::Earn { basis: Basis::Purchase(_, currency), .. } => Some(currency),
            Self::Hold { price: Some(price), .. } => Some(&price.currency),
            _ => None,
        }
    }

    /// The event that it is the effect of.
    pub fn event(&self) -> Option<EventId> {
        match self {
            Self::Earn { event, .. } => *event,
            _ => None,
        }
    }

    /// The transfer it undoes.
    pub fn reverses(&self) -> Option<TransferId> {
        match self {
            Self::Reverse { transfer, .. } => Some(*transfer),
            _ => None,
        }
    }
}
