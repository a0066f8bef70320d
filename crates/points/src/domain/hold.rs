use chrono::{DateTime, TimeDelta, Utc};

use super::{AccountId, Amount, HoldId, MerchantId, Reference, Refused};

/// Points promised to somebody, until they are captured, released or expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: HoldId,
    pub state: HoldState,
    /// `None` in a tombstone: a hold that was released before it came.
    pub of: Option<Held>,
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
    pub expires_at: DateTime<Utc>,
    /// Placed by another service, which alone settles it: it counts on the points.
    pub by_service: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    Active,
    /// This many points were spent; the rest is free again.
    Captured {
        captured: i64,
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

    pub(super) fn settled(&self, state: HoldState, now: DateTime<Utc>) -> Self {
        Self { state, settled_at: Some(now), ..self.clone() }
    }

    /// Remembers a release whose hold has not come yet, so that it will be refused when it does.
    pub(super) fn tombstone(id: HoldId, now: DateTime<Utc>) -> Self {
        Self { id, state: HoldState::Released, of: None, created_at: now, settled_at: Some(now) }
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
