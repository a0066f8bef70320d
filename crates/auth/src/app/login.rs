use chrono::{DateTime, Utc};
use kit::caller::Role;
use kit::{command, postgres};
use secrecy::SecretString;
use uuid::Uuid;

use super::audit::log as audit;
use super::gate::{Reserved, Secret};
use super::refresh::Signed;
use super::{Auth, Error};
use crate::domain::{Actor, Audience, Client, DeviceToken, Email, Guess};
use crate::keyring::random;
use crate::metrics;
use crate::store::events::Event;
use crate::store::members::{self, Credentials};
use crate::store::sessions;

/// A login with an address and its password.
#[derive(Clone, Debug)]
pub struct Login {
    pub email: Email,
    pub password: Guess,
    pub client: Client,
    /// The service that the access token is for. Without it the token is for all services, and lacks the role `operator`.
    pub audience: Option<Audience>,
}

/// A member who is signed in.
#[derive(Debug)]
pub struct Session {
    pub member_id: Uuid,
    pub session_id: Uuid,
    pub access_token: SecretString,
    /// Prolongs the session once.
    pub refresh_token: SecretString,
    /// The latest end, however much the session is used.
    pub ends: DateTime<Utc>,
    /// After a login, the token for the device's next login.
    pub device: Option<DeviceToken>,
}

impl Auth {
    /// Signs a member in. Takes no idempotency key: to repeat the answer, its credentials would have to be stored. Two
    /// logins are two sessions.
    pub async fn login(&self, command: Login) -> Result<Session, Error> {
        let timer = metrics::LOGIN_DURATION.start_timer();
        let auth = self.clone();
        let outcome = command::run(async move { auth.sign_in(command).await }).await;
        timer.observe_duration();
        metrics::login(&outcome);
        outcome
    }

    /// Checks the password. An unknown address takes the same steps as a known one, at the same cost.
    async fn sign_in(&self, login: Login) -> Result<Session, Error> {
        let (guess, mut conn) = self.reserve(Secret::Password, &login.email, &login.client).await?;
        let known = members::credentials(&mut conn, &login.email).await?;
        drop(conn); // other requests need it during the hash

        let hash = known.as_ref().map(|known| known.hash.clone());
        match (self.hasher.verify(login.password.clone(), hash).await, known) {
            (Ok(true), Some(member)) if !member.disabled => {
                let session = self.begin_session(&member, &login, &guess).await?;
                drop(guess);
                self.strengthen(&member, login.password).await;
                Ok(session)
            }
            (Ok(_), known) => {
                self.wrong(&guess).await?;
                let member = known.as_ref().map(|known| known.member_id);
                audit(&Event::new("sign_in_failed", Actor::Stranger).of(member));
                metrics::failed_attempt(match known {
                    Some(member) if member.disabled => "account_locked",
                    Some(_) => "wrong_password",
                    None => "user_not_found",
                });
                Err(Error::InvalidCredentials)
            }
            (Err(failure), _) => {
                self.unchecked(&guess).await?;
                Err(failure.into())
            }
        }
    }

    async fn begin_session(
        &self,
        member: &Credentials,
        login: &Login,
        guess: &Reserved,
    ) -> Result<Session, Error> {
        let Credentials { member_id, changed_at, .. } = *member;
        let (session, salt) = (self.clock.id(), random::<32>().map_err(Error::Random)?);

        let mut tx = postgres::begin(&self.db).await?;
        let opened = (&login.client.device, login.audience);
        let begun = sessions::begin(&mut tx, session, member_id, changed_at, &salt, opened).await?;
        let Some(ends) = begun else {
            tx.rollback().await?;
            self.unchecked(guess).await?;
            return Err(Error::InvalidCredentials); // changed or disabled during the hash
        };
        // Read here, in the transaction, and not before the hash: revoking a role either waits for this transaction and
        // ends the session, or came before it.
        let roles = members::roles(&mut tx, member_id).await?;
        let known = guess.device.as_ref();
        let device =
            self.remember_device(&mut tx, known, &login.email, member_id, changed_at).await?;
        let event = Event::new("signed_in", Actor::Member(member_id)).of(member_id);
        self.note(&mut tx, event.in_session(session)).await?;
        // Last, because all logins of one address wait for this row.
        self.right(&mut tx, guess).await?;
        postgres::commit(tx).await?;

        let audience = login.audience;
        let operator = audience.is_some();
        let signed = Signed { member_id, session, generation: 0, ends, audience, operator };
        Ok(Session { device: Some(device), ..self.issue(signed, &roles, &salt)? })
    }

    /// Stores a stronger hash while the password is known. A failure does not fail the login.
    async fn strengthen(&self, member: &Credentials, password: Guess) {
        let Ok(Some(hash)) = self.hasher.strengthen(password, &member.hash).await else { return };
        let Ok(mut conn) = self.db.acquire().await else { return };
        if members::rehash(&mut conn, member.member_id, &member.hash, &hash).await.is_ok() {
            tracing::info!(member_id = %member.member_id, "stored a stronger password hash");
        }
    }
}

/// Adds the role `member`, which is not stored because all members have it.
pub(super) fn with_member(stored: &[String]) -> Vec<Role> {
    let stored = stored.iter().filter_map(|role| role.parse().ok());
    std::iter::once(Role::Member).chain(stored).collect()
}
