use chrono::{DateTime, TimeDelta, Utc};

use super::{
    AccountId, Actor, Amount, HoldId, MerchantId, Reference, Refused, ServiceName, TransferId,
    Value,
};

/// Points promised to somebody, until they are captured, released or expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: HoldId,
    pub state: HoldState,
    /// `None` in a tombstone: a hold that was released before it came.
    pub of: Option<Held>,
    /// The service that placed it, which alone settles it: it counts on the points.
    pub placed_by: Option<ServiceName>,
    pub created_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
}

/// Whose points are held, how many, for what, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub account: AccountId,
    pub amount: Amount,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
    /// What the points pay of a price, when a service holds them for one.
    pub value: Option<Value>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    Active,
    /// This many points were spent; the rest is free again.
    Captured {
        captured: i64,
        transfer: TransferId,
    },
    Released,
    Expired,
}

/// How long a hold may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldTime(TimeDelta);

impl HoldTime {
    pub const MIN_SECONDS: i64 = 1;
    /// 31 days.
    pub const MAX_SECONDS: i64 = 31 * 24 * 60 * 60;
    /// When nobody says how long.
    pub const DEFAULT: Self = Self(TimeDelta::minutes(15));

    pub fn new(seconds: i64) -> Result<Self, Refused> {
        if (Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) {
            Ok(Self(TimeDelta::seconds(seconds)))
        } else {
            Err(Refused::HoldTime)
        }
    }

    pub(super) fn from(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.0
    }
}

impl Hold {
    /// What an active hold holds, or why it is active no more.
    pub(super) fn active(&self) -> Result<&Held, Refused> {
        match (self.state, &self.of) {
            (HoldState::Active, Some(held)) => Ok(held),
            (HoldState::Active, None) => Err(Refused::Books),
            (HoldState::Captured { .. }, _) => Err(Refused::HoldCaptured),
            (HoldState::Released, _) => Err(Refused::HoldReleased),
            (HoldState::Expired, _) => Err(Refused::HoldExpired),
        }
    }

    /// Hides what another service holds, or a member, from a service.
    pub(super) fn settled_by(&self, by: &Actor) -> Result<(), Refused> {
        match by {
            Actor::Service(service) if self.placed_by.as_ref() != Some(service) => {
                Err(Refused::NotFound)
            }
            Actor::Service(_) | Actor::Member(_) | Actor::Operator => Ok(()),
        }
    }

    pub(super) fn settled(&self, state: HoldState, now: DateTime<Utc>) -> Self {
        Self { state, settled_at: Some(now), ..self.clone() }
    }

    /// Remembers a release whose hold has not come yet, so that it will be refused when it does.
    pub(super) fn tombstone(id: HoldId, by: ServiceName, now: DateTime<Utc>) -> Self {
        let (state, placed_by) = (HoldState::Released, Some(by));
        Self { id, state, of: None, placed_by, created_at: now, settled_at: Some(now) }
    }
}

impl Held {
    /// True when it holds what was asked for, however long.
    pub(super) fn is_what_was(&self, asked: &Self) -> bool {
        self.account == asked.account
            && self.amount == asked.amount
            && self.merchant == asked.merchant
            && self.reference == asked.reference
            && self.value.as_ref().map(|value| &value.currency)
                == asked.value.as_ref().map(|value| &value.currency)
    }
}

impl HoldState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Captured { .. } => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}
