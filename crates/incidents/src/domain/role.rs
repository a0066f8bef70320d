use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A role in the response to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResponseRole)]
pub enum Role {
    Commander,
    TechnicalLead,
    CommunicationsLead,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Commander, Self::TechnicalLead, Self::CommunicationsLead];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commander => "commander",
            Self::TechnicalLead => "technical_lead",
            Self::CommunicationsLead => "communications_lead",
        }
    }

    /// Returns the name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Commander => "commander",
            Self::TechnicalLead => "technical lead",
            Self::CommunicationsLead => "communications lead",
        }
    }
}
