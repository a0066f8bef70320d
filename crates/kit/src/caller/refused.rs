use crate::error::{Class, Classify, Kind};

/// The reason for refusing a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Missing, malformed, forged, or issued for another service. The answer does not say which.
    #[error("a valid access token is required")]
    Invalid,
    #[error("the access token has expired")]
    Expired,
    /// A valid token whose session has ended.
    #[error("the session has ended; sign in again")]
    Revoked,
    #[error("your roles do not allow this")]
    Forbidden,
    #[error("tokens cannot be verified right now")]
    KeysUnavailable,
    #[error("the router has no verifier: it is not inside `kit::http::edge`")]
    NoVerifier,
}

impl Classify for Refused {
    fn class(&self) -> Class {
        match self {
            Self::Invalid => Kind::Unauthenticated.code("invalid_token"),
            Self::Expired => Kind::Unauthenticated.code("token_expired"),
            Self::Revoked => Kind::Unauthenticated.code("session_revoked"),
            Self::Forbidden => Kind::Forbidden.code("forbidden"),
            Self::KeysUnavailable => Kind::Unavailable.code("keys_unavailable"),
            Self::NoVerifier => Kind::Internal.code("internal_error"),
        }
    }
}
