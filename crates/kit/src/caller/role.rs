use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A permission beyond a person's own data.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Member,
    Staff,
    MerchantAdmin,
    Operator,
}

impl Role {
    /// Returns the name used in tokens, in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Staff => "staff",
            Self::MerchantAdmin => "merchant_admin",
            Self::Operator => "operator",
        }
    }
}

/// The name is not a role's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the role must be member, staff, merchant_admin or operator")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        [Self::Member, Self::Staff, Self::MerchantAdmin, Self::Operator]
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or(UnknownRole)
    }
}
