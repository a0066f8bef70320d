use serde::{Deserialize, Serialize};

use super::MemberId;

/// Who acts for a merchant. A merchant that is not theirs looks like one that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seller {
    /// An operator, or another service: for every merchant.
    Any,
    /// For those that this member belongs to.
    Member(MemberId),
}

/// What a member is to a merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MerchantRole {
    /// Also sets what a purchase is worth.
    Owner,
    Staff,
}

impl MerchantRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Staff => "staff",
        }
    }
}
