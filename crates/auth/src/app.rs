//! What may be asked of auth: one file per use case.

mod addressee;
mod audit;
mod devices;
mod disable;
mod gate;
mod grants;
mod housekeeping;
mod introspect;
mod keys;
mod login;
mod mail;
mod me;
mod notices;
mod operate;
mod password;
mod post;
mod proof;
mod refresh;
mod register;
mod revocations;
mod service_token;
mod sessions;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use kit::cache::Cache;
use kit::caller::{Refused, Verifier};
use kit::error::Outcome;
use kit::redis::Redis;
use kit::{Classify, Clock, Kind, idempotency, postgres};
use sqlx::PgPool;
use thiserror::Error;

pub use addressee::Addressee;
pub use grants::{HoldPoints, IssuedGrant};
pub use introspect::Introspection;
pub use keys::PublicKey;
pub use login::{Login, Session};
pub use me::{Profile, Rename};
pub use password::ChangePassword;
pub use proof::{Proof, Proven};
pub use register::Register;
pub use service_token::{ClientSecret, ServiceToken, WeakSecret};
pub use sessions::SessionView;

use crate::hasher::{self, Hasher};
use crate::keyring::Keyring;
use crate::metrics;
pub(crate) use gate::Secret;

use gate::Gate;
use keys::Keys;

/// Accounts, logins and tokens. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Auth {
    db: PgPool,
    redis: Redis,
    clock: Clock,
    hasher: Hasher,
    keyring: Arc<Keyring>,
    keys: Keys,
    gate: Gate,
    verifier: Verifier,
    profiles: Cache<Profile>,
}

impl Auth {
    /// Loads the signing keys, or makes the first one.
    pub async fn open(
        db: PgPool,
        redis: Redis,
        clock: Clock,
        hasher: Hasher,
        keyring: Keyring,
    ) -> anyhow::Result<Self> {
        metrics::declare();
        let held = keys::load(&db, &keyring, &clock).await?;
        let verifier = Verifier::empty("auth", clock.clone());
        verifier.set_keys(held.public.iter().map(PublicKey::to_pair).collect());
        let keys = Keys::new(held);
        Ok(Self {
            profiles: Cache::new("auth:profile", me::PROFILE_TTL, redis.clone(), &db),
            db,
            redis,
            clock,
            hasher,
            keyring: keyring.into(),
            keys,
            gate: Gate::new(),
            verifier,
        })
    }

    /// Knows our own keys: for the routes of auth itself.
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// What tokens are to be verified with.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.held().public.clone()
    }
}

#[derive(Debug, Error)]
pub enum Error {
    /// One error for an unknown address and a wrong password: nobody learns who is a member.
    #[error("wrong e-mail address or password")]
    InvalidCredentials,
    #[error("too many attempts; try again later")]
    TooManyAttempts { retry_after: Duration },
    #[error("too many passwords to hash")]
    Overloaded,
    /// Malformed, forged or long forgotten.
    #[error("this is no refresh token of ours")]
    InvalidToken,
    /// Exchanged before: it was copied, so the session has ended for everybody.
    #[error("this refresh token was used before; sign in again")]
    RefreshReused,
    #[error("this session has been ended; sign in again")]
    SessionRevoked,
    #[error("this session is over; sign in again")]
    SessionExpired,
    /// A refresh may narrow what the session was opened for, and nothing else.
    #[error("this session was opened for another service; sign in for this one")]
    OtherAudience,
    #[error("no such session")]
    SessionNotFound,
    #[error("no such member")]
    MemberNotFound,
    #[error("the profile has changed; read it again")]
    VersionConflict,
    /// Nobody else could open it again.
    #[error("nobody disables their own account")]
    OwnAccount,
    /// Wrong, used, too old, or for an address that nobody has: one error for all.
    #[error("this code is wrong or no longer valid")]
    InvalidCode,
    #[error("unknown client or wrong secret")]
    InvalidClient,
    #[error("this password is little more than a word of the service, or of the e-mail address")]
    ObviousPassword,
    #[error("a password could not be hashed")]
    Hash,
    #[error("no random bytes: {0:#}")]
    Random(anyhow::Error),
    #[error("a token could not be signed: {0:#}")]
    Sign(anyhow::Error),
    /// An access token that a service brings on behalf of a member.
    #[error(transparent)]
    Refused(Refused),
    #[error(transparent)]
    Idempotency(#[from] idempotency::Error),
    #[error("database failure")]
    Database(#[from] sqlx::Error),
    /// The same, for all who waited for one look-up.
    #[error("database failure")]
    Shared(#[from] Arc<sqlx::Error>),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::InvalidCredentials
            | Self::InvalidClient
            | Self::InvalidCode
            | Self::InvalidToken
            | Self::RefreshReused
            | Self::SessionRevoked
            | Self::SessionExpired => Kind::Unauthenticated,
            Self::TooManyAttempts { .. } => Kind::RateLimited,
            Self::Overloaded => Kind::Unavailable,
            Self::MemberNotFound | Self::SessionNotFound => Kind::NotFound,
            Self::VersionConflict => Kind::Precondition,
            Self::OwnAccount | Self::ObviousPassword | Self::OtherAudience => Kind::Refused,
            Self::Refused(refused) => refused.kind(),
            Self::Hash | Self::Random(_) | Self::Sign(_) => Kind::Internal,
            Self::Idempotency(error) => error.kind(),
            Self::Database(error) => postgres::kind(error),
            Self::Shared(error) => postgres::kind(error),
        }
    }

    fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::InvalidCredentials => "invalid_credentials",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Overloaded => "auth_overloaded",
            Self::InvalidToken => "invalid_token",
            Self::RefreshReused => "refresh_token_reused",
            Self::SessionRevoked => "session_revoked",
            Self::SessionExpired => "session_expired",
            Self::MemberNotFound | Self::SessionNotFound => "not_found",
            Self::VersionConflict => "version_conflict",
            Self::OwnAccount => "own_account",
            Self::OtherAudience => "audience_not_of_session",
            Self::ObviousPassword => "password_obvious",
            Self::InvalidClient => "invalid_client",
            Self::InvalidCode => "code_invalid",
            Self::Hash | Self::Random(_) | Self::Sign(_) => "internal_error",
            Self::Refused(refused) => return refused.code(),
            Self::Idempotency(error) => return error.code(),
            Self::Database(error) => return postgres::code(error),
            Self::Shared(error) => return postgres::code(error),
        })
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyAttempts { retry_after } => Some(*retry_after),
            Self::Idempotency(error) => error.retry_after(),
            _ => None,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            // Refused before anything was begun.
            Self::Overloaded => Outcome::None,
            Self::Idempotency(error) => error.outcome(),
            // A use case is one transaction. What some commit before it counts guesses, and nothing else.
            Self::Database(error) => postgres::outcome(error),
            Self::Shared(error) => postgres::outcome(error),
            _ => self.kind().outcome(),
        }
    }

    fn conflict(&self) -> Option<&'static str> {
        matches!(self, Self::VersionConflict).then_some("profile")
    }
}

impl From<hasher::Failure> for Error {
    fn from(failure: hasher::Failure) -> Self {
        match failure {
            hasher::Failure::Overloaded => Self::Overloaded,
            hasher::Failure::Broken => Self::Hash,
        }
    }
}
