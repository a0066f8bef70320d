//! The commands of the ledger: one struct for each.

use serde::{Deserialize, Serialize};

use super::{
    AccountId, Actor, Amount, Basis, Currency, EventId, HoldDuration, HoldId, MemberId, MerchantId,
    Price, Rate, Reference, Refused, TransferId, TransferKind,
};

/// A command for the ledger. It moves points, or nothing.
#[derive(Clone, Debug)]
pub enum Command {
    Earn(Earn),
    Redeem(Redeem),
    Transfer(Transfer),
    Reverse(Reverse),
    Adjust(Adjust),
    Hold(PlaceHold),
    Capture(Capture),
    Release(Release),
    /// Releases a hold that has expired.
    Expire(HoldId),
}

/// Credits an account.
#[derive(Clone, Debug)]
pub struct Earn {
    pub to: AccountRef,
    pub basis: Basis,
    /// The merchant's own rate; `None` is the standard rate.
    pub rate: Option<Rate>,
    pub merchant: MerchantId,
    pub reference: Reference,
    /// The event that is the reason. It earns once, for ever.
    pub event: Option<EventId>,
    pub by: Actor,
}

/// Spends points of an account.
#[derive(Clone, Debug)]
pub struct Redeem {
    pub from: AccountRef,
    pub amount: Amount,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
    pub by: Actor,
}

/// Gives points to another member.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub from: AccountRef,
    pub to: AccountId,
    pub amount: Amount,
    pub reference: Reference,
    pub by: Actor,
}

/// Undoes a transfer, once.
#[derive(Clone, Debug)]
pub struct Reverse {
    pub transfer: TransferId,
    pub reference: Reference,
    pub by: Actor,
}

/// Corrects an account that an operator has looked at.
#[derive(Clone, Debug)]
pub struct Adjust {
    pub account: AccountId,
    pub adjustment: Adjustment,
    /// The version that the operator looked at.
    pub seen: i64,
    pub reference: Reference,
}

/// Makes points unavailable, to be captured or released later.
#[derive(Clone, Debug)]
pub struct PlaceHold {
    pub id: HoldId,
    pub from: AccountRef,
    pub amount: Amount,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
    pub lasts: HoldDuration,
    /// The price that the points pay a part of, when a service holds them.
    pub price: Option<Price>,
    pub by: Actor,
}

/// Spends held points.
#[derive(Clone, Debug)]
pub struct Capture {
    pub hold: HoldId,
    /// `None` is all of them.
    pub amount: Option<Amount>,
    pub by: Actor,
}

/// Makes held points available again.
#[derive(Clone, Debug)]
pub struct Release {
    pub hold: HoldId,
    pub by: Actor,
}

/// An account, by its id or by its member.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum AccountRef {
    #[serde(rename = "Account")]
    Id(AccountId),
    /// An earning opens the member's account when there is none.
    Member(MemberId),
}

/// A correction of a balance, up or down, by 1 to 1,000,000,000 points.
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

impl AccountRef {
    fn id(self) -> Option<AccountId> {
        match self {
            Self::Id(id) => Some(id),
            Self::Member(_) => None,
        }
    }

    fn member(self) -> Option<MemberId> {
        match self {
            Self::Id(_) => None,
            Self::Member(member) => Some(member),
        }
    }
}

impl Command {
    pub fn kind(&self) -> TransferKind {
        match self {
            Self::Earn(_) => TransferKind::Earn,
            Self::Redeem(_) => TransferKind::Redeem,
            Self::Transfer(_) => TransferKind::Transfer,
            Self::Reverse(_) => TransferKind::Reverse,
            Self::Adjust(_) => TransferKind::Adjust,
            Self::Hold(_) => TransferKind::Hold,
            Self::Capture(_) => TransferKind::Capture,
            Self::Release(_) => TransferKind::Release,
            Self::Expire(_) => TransferKind::Expire,
        }
    }

    /// The account that is credited or pays, as the command refers to it.
    fn account(&self) -> Option<AccountRef> {
        match self {
            Self::Earn(earn) => Some(earn.to),
            Self::Redeem(redeem) => Some(redeem.from),
            Self::Transfer(transfer) => Some(transfer.from),
            Self::Hold(hold) => Some(hold.from),
            Self::Adjust(adjust) => Some(AccountRef::Id(adjust.account)),
            Self::Reverse(_) | Self::Capture(_) | Self::Release(_) | Self::Expire(_) => None,
        }
    }

    /// The accounts that the command names by their ids.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        let second = match self {
            Self::Transfer(transfer) => Some(transfer.to),
            _ => None,
        };
        self.account().and_then(AccountRef::id).into_iter().chain(second)
    }

    /// The member whose account the command uses without naming its id.
    pub fn member(&self) -> Option<MemberId> {
        self.account().and_then(AccountRef::member)
    }

    /// True when the command needs nothing but the accounts that it names by their ids.
    pub fn names_accounts_only(&self) -> bool {
        self.member().is_none()
            && self.hold().is_none()
            && self.reverses().is_none()
            && self.event().is_none()
    }

    /// The hold that the command places or settles.
    pub fn hold(&self) -> Option<HoldId> {
        match self {
            Self::Hold(hold) => Some(hold.id),
            Self::Capture(capture) => Some(capture.hold),
            Self::Release(release) => Some(release.hold),
            Self::Expire(hold) => Some(*hold),
            _ => None,
        }
    }

    /// The member who acts for a merchant.
    pub fn merchant_actor(&self) -> Option<MemberId> {
        match self {
            Self::Earn(earn) => earn.by.member(),
            Self::Capture(capture) => capture.by.member(),
            _ => None,
        }
    }

    /// The merchant that gives points away, and the account that receives them.
    pub fn earning(&self) -> Option<(MerchantId, AccountRef)> {
        match self {
            Self::Earn(earn) => Some((earn.merchant, earn.to)),
            _ => None,
        }
    }

    /// The currency whose tender value the decision needs.
    pub fn currency(&self) -> Option<&Currency> {
        match self {
            Self::Earn(Earn { basis: Basis::Purchase(_, currency), .. }) => Some(currency),
            Self::Hold(PlaceHold { price: Some(price), .. }) => Some(&price.currency),
            _ => None,
        }
    }

    /// The event that is the reason of an earning.
    pub fn event(&self) -> Option<EventId> {
        match self {
            Self::Earn(earn) => earn.event,
            _ => None,
        }
    }

    /// The transfer that the command undoes.
    pub fn reverses(&self) -> Option<TransferId> {
        match self {
            Self::Reverse(reverse) => Some(reverse.transfer),
            _ => None,
        }
    }
}
