use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad it is. P0 is worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Severity {
    P0,
    P1,
    P2,
    P3,
}

impl Severity {
    pub const ALL: [Self; 4] = [Self::P0, Self::P1, Self::P2, Self::P3];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }

    /// Whose channels hear of it: what nobody vouches for wakes nobody.
    pub fn told(self, verified: bool) -> Self {
        if verified { self } else { Self::P3 }
    }

    /// One step more severe.
    pub fn worse(self) -> Self {
        match self {
            Self::P0 | Self::P1 => Self::P0,
            Self::P2 => Self::P1,
            Self::P3 => Self::P2,
        }
    }

    /// One step less severe.
    pub fn milder(self) -> Self {
        match self {
            Self::P0 => Self::P1,
            Self::P1 => Self::P2,
            Self::P2 | Self::P3 => Self::P3,
        }
    }
}

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(name: &str) -> Result<Self, UnknownSeverity> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == name).ok_or(UnknownSeverity)
    }
}

/// There is no such severity.
#[derive(Debug, thiserror::Error)]
#[error("a severity is one of P0, P1, P2, P3")]
pub struct UnknownSeverity;
