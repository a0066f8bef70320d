use serde::{Deserialize, Serialize};

use super::MemberId;

/// The caller of a command. Things that are not theirs look like things that do not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// May touch their own account, and act for the merchants they belong to.
    Member(MemberId),
    /// May touch everything.
    Operator,
    /// Acts for every merchant, holds points that their member granted to it, and settles the holds that it
    /// placed.
    Service(ServiceName),
}

/// The client id of another service, such as `booking`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceName(pub String);

impl Actor {
    /// True unless the account is another member's. What a service may do with it is checked where it calls.
    pub fn may_use_account_of(&self, owner: MemberId) -> bool {
        self.member().is_none_or(|member| member == owner)
    }

    /// The member who acts, unless an operator or a service does.
    pub fn member(&self) -> Option<MemberId> {
        match self {
            Self::Member(member) => Some(*member),
            Self::Operator | Self::Service(_) => None,
        }
    }

    /// The service that acts, unless a person does.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Service(service) => Some(service),
            Self::Member(_) | Self::Operator => None,
        }
    }
}

/// A member's role at a merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MerchantRole {
    /// May also set the merchant's conversion rules.
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
