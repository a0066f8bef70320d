use kit::postgres;

use super::audit::log as audit;
use super::gate::{ReservedGuess, Secret};
use super::tokens::OpenSession;
use super::{Auth, Error, Session};
use crate::domain::{Actor, Audience, Client, Email, Guess};
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

impl Auth {
    /// Signs a member in. Takes no idempotency key: to repeat the answer, its credentials would have to be stored. Two
    /// logins are two sessions.
    pub async fn login(&self, login: Login) -> Result<Session, Error> {
        let _timer = metrics::LOGIN_DURATION.start_timer();
        let session = match self.check_password(&login).await {
            Ok((member, guess)) => self.begin_session(&login, &member, guess).await,
            Err(error) => Err(error),
        };
        metrics::login(match &session {
            Ok(_) => "success",
            Err(Error::TooManyAttempts { .. } | Error::Overloaded) => "blocked",
            Err(_) => "failed",
        });
        session
    }

    /// Checks the password. An unknown address takes the same steps as a known one, at the same cost.
    async fn check_password(&self, login: &Login) -> Result<(Credentials, ReservedGuess), Error> {
        let (guess, mut conn) = self.reserve(Secret::Password, &login.email, &login.client).await?;
        let known = members::credentials(&mut conn, &login.email).await?;
        drop(conn); // other requests need it during the hash

        let hash = known.as_ref().map(|known| known.hash.clone());
        match (self.hasher.verify(login.password.clone(), hash).await, known) {
            (Ok(true), Some(member)) if !member.disabled => Ok((member, guess)),
            (Ok(_), known) => {
                self.guess_failed(&guess).await?;
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
                self.return_guess(&guess).await?;
                Err(failure.into())
            }
        }
    }

    async fn begin_session(
        &self,
        login: &Login,
        member: &Credentials,
        guess: ReservedGuess,
    ) -> Result<Session, Error> {
        let Credentials { member_id, changed_at, .. } = *member;
        let (session_id, salt) = (self.clock.id(), random::<32>().map_err(Error::Internal)?);

        let mut tx = postgres::begin(&self.db).await?;
        let opened = (&login.client.device, login.audience);
        let begun =
            sessions::begin(&mut tx, session_id, member_id, changed_at, &salt, opened).await?;
        let Some(ends) = begun else {
            tx.rollback().await?;
            self.return_guess(&guess).await?;
            return Err(Error::InvalidCredentials); // changed or disabled during the hash
        };
        // Read here, in the transaction, and not before the hash: revoking a role either waits for this transaction and
        // ends the session, or came before it.
        let roles = members::roles(&mut tx, member_id).await?;
        let known = guess.device.as_ref();
        let device =
            self.remember_device(&mut tx, known, &login.email, member_id, changed_at).await?;
        let event = Event::new("signed_in", Actor::Member(member_id)).of(member_id);
        self.record(&mut tx, event.in_session(session_id)).await?;
        // Last, because all logins of one address wait for this row.
        self.guess_succeeded(&mut tx, &guess).await?;
        postgres::commit(tx).await?;
        drop(guess);

        let audience = login.audience;
        let (operator, salt) = (audience.is_some(), salt.to_vec());
        let opened = OpenSession {
            member_id,
            session_id,
            generation: 0,
            ends,
            audience,
            operator,
            roles,
            salt,
        };
        let session = Session { device: Some(device), ..self.issue(&opened)? };
        self.strengthen(member, login.password.clone()).await;
        Ok(session)
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
