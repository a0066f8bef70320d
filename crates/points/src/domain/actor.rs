use serde::{Deserialize, Serialize};

use super::MemberId;

/// The caller of a command. What is not theirs looks like what is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// May touch their own account, and sell for the merchants they belong to.
    Member(MemberId),
    /// May touch everything.
    Operator,
    /// Sells for every merchant, and settles the holds that it placed.
    Service(ServiceName),
}

/// The client id of another service, such as `booking`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceName(pub String);

impl Actor {
    /// True when an account of this member is among what the actor may touch.
    pub fn covers(&self, owner: MemberId) -> bool {
        match self {
            Self::Member(member) => *member == owner,
            Self::Operator => true,
            Self::Service(_) => false,
        }
    }

    /// The member who acts, when it is one.
    pub fn member(&self) -> Option<MemberId> {
        match self {
            Self::Member(member) => Some(*member),
            Self::Operator | Self::Service(_) => None,
        }
    }
}

/// A member's role at a merchant.
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
