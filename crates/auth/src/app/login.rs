use chrono::{DateTime, Utc};
use kit::caller::Role;
use kit::{command, postgres};
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use super::refresh::Signed;
use super::{Auth, Error};
use crate::domain::{ATTEMPTS, Device, Email, Guess, WINDOW};
use crate::keyring::random;
use crate::store::attempts::{self, Attempt};
use crate::store::events::Event;
use crate::store::members::{self, Credentials};
use crate::store::sessions;
use crate::{hasher, metrics};

/// Proves who one is.
#[derive(Clone, Debug)]
pub struct Login {
    pub email: Email,
    pub password: Guess,
    pub device: Device,
}

/// A member who is signed in.
#[derive(Debug)]
pub struct Session {
    pub member_id: Uuid,
    pub session_id: Uuid,
    pub access_token: SecretString,
    /// Prolongs the session, once.
    pub refresh_token: SecretString,
    /// When it ends, however much it is used.
    pub ends: DateTime<Utc>,
}

impl Auth {
    /// Takes no idempotency key: it hands out a credential, and the first answer would have to be
    /// kept to be repeated. Logging in twice is two sessions.
    pub async fn login(&self, command: Login) -> Result<Session, Error> {
        let timer = metrics::LOGIN_DURATION.start_timer();
        let auth = self.clone();
        let outcome = command::run(async move { auth.sign_in(command).await }).await;
        timer.observe_duration();
        metrics::login(&outcome);
        outcome
    }

    /// An unknown address takes the same steps as a known one, at the same cost.
    async fn sign_in(&self, login: Login) -> Result<Session, Error> {
        let Login { email, password, device } = login;
        let mut conn = self.db.acquire().await?;
        let attempt = self.reserve(&mut conn, &email).await?;
        let known = members::credentials(&mut conn, &email).await?;
        drop(conn); // others need it while we hash

        let hash = known.as_ref().map(|known| known.hash.clone());
        match (self.hasher.verify(password, hash).await, known) {
            (Ok(true), Some(member)) => self.begin_session(member, &device, &attempt).await,
            (Ok(_), known) => self.refuse(known, &attempt).await,
            (Err(failure), _) => self.not_checked(failure, &attempt).await,
        }
    }

    /// Before the hash and not after it: otherwise any number of guesses at the same time would all
    /// find that there were few before them.
    pub(super) async fn reserve(
        &self,
        conn: &mut PgConnection,
        email: &Email,
    ) -> Result<Attempt, Error> {
        let account = self.keyring.blind("login", email.as_str().as_bytes());
        let refuse = |retry_after| {
            metrics::failed_attempt("account_locked");
            Error::TooManyAttempts { retry_after }
        };
        if let Some(wait) = attempts::blocked(conn, account, ATTEMPTS).await? {
            return Err(refuse(wait));
        }
        // A guess that came in between took the last one.
        attempts::reserve(conn, account, ATTEMPTS, WINDOW).await?.ok_or_else(|| refuse(WINDOW))
    }

    async fn begin_session(
        &self,
        member: Credentials,
        device: &Device,
        attempt: &Attempt,
    ) -> Result<Session, Error> {
        let Credentials { member_id, hash, roles } = member;
        let (session, salt) = (self.clock.id(), random::<32>().map_err(Error::Random)?);

        let mut tx = postgres::begin(&self.db).await?;
        attempts::succeeded(&mut tx, attempt).await?;
        let begun = sessions::begin(&mut tx, session, member_id, &hash, &salt, device).await?;
        let ends = begun.ok_or(Error::InvalidCredentials)?; // changed while we hashed
        let event = Event { kind: "signed_in", member: Some(member_id), session: Some(session) };
        self.note(&mut tx, event).await?;
        postgres::commit(tx).await?;
        self.issue(Signed { member_id, session, generation: 0, ends }, &roles, &salt)
    }

    async fn refuse<T>(&self, known: Option<Credentials>, attempt: &Attempt) -> Result<T, Error> {
        let mut conn = self.db.acquire().await?;
        attempts::failed(&mut conn, attempt).await?;
        metrics::failed_attempt(if known.is_some() { "wrong_password" } else { "user_not_found" });
        Err(Error::InvalidCredentials)
    }

    async fn not_checked<T>(
        &self,
        failure: hasher::Failure,
        attempt: &Attempt,
    ) -> Result<T, Error> {
        let mut conn = self.db.acquire().await?;
        attempts::returned(&mut conn, attempt).await?;
        Err(failure.into())
    }
}

/// Everybody is a member; what is stored comes on top.
pub(super) fn with_member(stored: &[String]) -> Vec<Role> {
    let stored = stored.iter().filter_map(|role| role.parse().ok());
    std::iter::once(Role::Member).chain(stored).collect()
}
