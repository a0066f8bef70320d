use std::sync::Arc;
use std::time::Duration;

use kit::caller::Refused;
use kit::error::{Class, Outcome};
use kit::{Classify, Kind, idempotency, postgres};

use crate::hasher;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One error for an unknown address and a wrong password, so that it does not tell who is a member.
    #[error("wrong e-mail address or password")]
    InvalidCredentials,
    #[error("too many attempts; try again later")]
    TooManyAttempts { retry_after: Duration },
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    /// The token is malformed, forged or long expired.
    #[error("invalid refresh token")]
    InvalidToken,
    /// The token was exchanged before, so it was copied and the session has ended.
    #[error("refresh token was used before; sign in again")]
    RefreshReused,
    #[error("session has been ended; sign in again")]
    SessionRevoked,
    #[error("session has expired; sign in again")]
    SessionExpired,
    /// A refresh may narrow the audience of a session, and not widen or change it.
    #[error("session was opened for another service; sign in for this one")]
    OtherAudience,
    #[error("session not found")]
    SessionNotFound,
    #[error("member not found")]
    MemberNotFound,
    #[error("profile has changed; read it again")]
    VersionConflict,
    /// An operator who disables their own account might have no one to enable it again.
    #[error("operators cannot disable their own account")]
    OwnAccount,
    /// One error for a code that is wrong, used or expired, and for an unknown address.
    #[error("code is wrong or no longer valid")]
    InvalidCode,
    #[error("unknown client or wrong secret")]
    InvalidClient,
    #[error("password is little more than a word of the service or of the e-mail address")]
    ObviousPassword,
    /// Hashing, encryption or signing failed.
    #[error("{0:#}")]
    Internal(anyhow::Error),
    /// The access token of a member, sent by a service, was refused.
    #[error(transparent)]
    Refused(Refused),
    #[error(transparent)]
    Idempotency(#[from] idempotency::Error),
    #[error("database failure")]
    Database(#[from] sqlx::Error),
    /// A database failure shared by all requests that waited for one look-up.
    #[error("database failure")]
    Shared(#[from] Arc<sqlx::Error>),
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::InvalidCredentials => Kind::Unauthenticated.code("invalid_credentials"),
            Self::TooManyAttempts { retry_after } => {
                Kind::RateLimited.code("too_many_attempts").retry_after(*retry_after)
            }
            // Refused before any work began.
            Self::Overloaded => Kind::Unavailable.code("auth_overloaded").outcome(Outcome::None),
            Self::InvalidToken => Kind::Unauthenticated.code("invalid_token"),
            Self::RefreshReused => Kind::Unauthenticated.code("refresh_token_reused"),
            Self::SessionRevoked => Kind::Unauthenticated.code("session_revoked"),
            Self::SessionExpired => Kind::Unauthenticated.code("session_expired"),
            Self::OtherAudience => Kind::Refused.code("audience_not_of_session"),
            Self::SessionNotFound | Self::MemberNotFound => Kind::NotFound.code("not_found"),
            Self::VersionConflict => {
                Kind::Precondition.code("version_conflict").conflict("profile")
            }
            Self::OwnAccount => Kind::Refused.code("own_account"),
            Self::InvalidCode => Kind::Unauthenticated.code("code_invalid"),
            Self::InvalidClient => Kind::Unauthenticated.code("invalid_client"),
            Self::ObviousPassword => Kind::Refused.code("password_obvious"),
            Self::Internal(_) => Kind::Internal.code("internal_error"),
            Self::Refused(refused) => refused.class(),
            Self::Idempotency(error) => error.class(),
            // A use case is one transaction. Commits before it only count guesses.
            Self::Database(error) => postgres::class(error),
            Self::Shared(error) => postgres::class(error),
        }
    }
}

impl From<hasher::Failure> for Error {
    fn from(failure: hasher::Failure) -> Self {
        match failure {
            hasher::Failure::Overloaded => Self::Overloaded,
            hasher::Failure::Broken => Self::Internal(failure.into()),
        }
    }
}
