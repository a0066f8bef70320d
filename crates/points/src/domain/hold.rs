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
    /// `None` in a tombstone: the hold was released before it came.
    pub terms: Option<HoldTerms>,
    /// The service that placed it. Its member cannot settle it, because the service counts on the points.
    pub placed_by: Option<ServiceName>,
    pub created_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
}

/// The account, the points, their purpose and their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldTerms {
    pub account: AccountId,
    pub amount: Amount,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
    /// The part of a price that the points pay, when a service holds them for one.
    pub value: Option<Value>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    Active,
    /// `captured` points were spent; the rest is available again.
    Captured {
        captured: i64,
        transfer: TransferId,
    },
    Released,
    Expired,
}

/// The time that a hold may last: 1 second to 31 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldDuration(TimeDelta);

impl HoldDuration {
    pub const MIN_SECONDS: i64 = 1;
    /// 31 days.
    pub const MAX_SECONDS: i64 = 31 * 24 * 60 * 60;
    pub const DEFAULT: Self = Self(TimeDelta::minutes(15));

    pub fn new(seconds: i64) -> Result<Self, Refused> {
        if (Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) {
            Ok(Self(TimeDelta::seconds(seconds)))
        } else {
            Err(Refused::HoldDuration)
        }
    }

    pub(super) fn from(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.0
    }
}

impl Hold {
    /// The terms of an active hold, or the reason why it is not active.
    pub(super) fn active(&self) -> Result<&HoldTerms, Refused> {
        match (self.state, &self.terms) {
            (HoldState::Active, Some(terms)) => Ok(terms),
            (HoldState::Active, None) => Err(Refused::Inconsistent),
            (HoldState::Captured { .. }, _) => Err(Refused::HoldCaptured),
            (HoldState::Released, _) => Err(Refused::HoldReleased),
            (HoldState::Expired, _) => Err(Refused::HoldExpired),
        }
    }

    /// Hides a hold from a service that did not place it.
    pub(super) fn visible_to(&self, by: &Actor) -> Result<(), Refused> {
        match by {
            Actor::Service(service) if self.placed_by.as_ref() != Some(service) => {
                Err(Refused::NotFound("hold"))
            }
            Actor::Service(_) | Actor::Member(_) | Actor::Operator => Ok(()),
        }
    }

    pub(super) fn settled(&self, state: HoldState, now: DateTime<Utc>) -> Self {
        Self { state, settled_at: Some(now), ..self.clone() }
    }

    /// Remembers a release that came before its hold, so that the hold is refused when it comes.
    pub(super) fn tombstone(id: HoldId, by: ServiceName, now: DateTime<Utc>) -> Self {
        let (state, placed_by) = (HoldState::Released, Some(by));
        Self { id, state, terms: None, placed_by, created_at: now, settled_at: Some(now) }
    }
}

impl HoldTerms {
    /// True when both hold the same points for the same purpose, whatever their times and prices.
    pub(super) fn is_same_request(&self, asked: &Self) -> bool {
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
