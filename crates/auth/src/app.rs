//! The use cases of auth, one file each.

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

/// Accounts, logins and tokens. Cheap to clone.
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
    /// Loads the signing keys, and makes the first one if there is none.
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

    /// The verifier for auth's own routes. It has the signing keys already.
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// The keys that verify tokens.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.held().public.clone()
    }
}

#[derive(Debug, Error)]
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
    #[error("cannot hash a password")]
    Hash,
    #[error("cannot get random bytes: {0:#}")]
    Random(anyhow::Error),
    #[error("cannot sign a token: {0:#}")]
    Sign(anyhow::Error),
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
            // Refused before any work began.
            Self::Overloaded => Outcome::None,
            Self::Idempotency(error) => error.outcome(),
            // A use case is one transaction. Commits before it only count guesses.
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
