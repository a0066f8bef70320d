use serde::Deserialize;
use utoipa::ToSchema;

/// The service that an access token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    Auth,
    Points,
    Booking,
    Incidents,
}

impl Audience {
    /// The name in the token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Points => "points",
            Self::Booking => "booking",
            Self::Incidents => "incidents",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        let known = [Self::Auth, Self::Points, Self::Booking, Self::Incidents];
        known.into_iter().find(|audience| audience.as_str() == name)
    }
}
