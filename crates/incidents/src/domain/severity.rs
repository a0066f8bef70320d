use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The severity of an incident. P0 is worst.
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

    /// Returns the severity whose channels are notified. An unverified incident wakes nobody.
    pub fn notified_as(self, verified: bool) -> Self {
        if verified { self } else { Self::P3 }
    }

    /// Returns the next worse severity.
    pub fn worse(self) -> Self {
        match self {
            Self::P0 | Self::P1 => Self::P0,
            Self::P2 => Self::P1,
            Self::P3 => Self::P2,
        }
    }

    /// Returns the next milder severity.
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

/// A name that no severity has.
#[derive(Debug, thiserror::Error)]
#[error("unknown severity: expected P0, P1, P2 or P3")]
pub struct UnknownSeverity;
