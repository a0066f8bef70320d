use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde_json::json;
use uuid::Uuid;

use super::audit::log as audit;
use super::gate::Secret;
use super::notices::Notice;
use super::{Auth, Error};
use crate::domain::{Actor, Client, Email, Guess, Password};
use crate::metrics;
use crate::store::events::Event;
use crate::store::sessions::Which;
use crate::store::{devices, members};

/// A change of the password by its signed-in member.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    pub member: Uuid,
    /// The session of the request; it continues, and all others end.
    pub session: Uuid,
    pub client: Client,
    pub current: Guess,
    pub new: Password,
}

impl Auth {
    /// Replaces a member's password and ends their other sessions. Guesses count like those of a login: a stolen access
    /// token allows them, too.
    pub async fn change_password(
        &self,
        command: ChangePassword,
        mut key: Key,
    ) -> Result<Answer, Error> {
        // The fingerprint is a fast hash of a request with two passwords in it.
        key.fingerprint = self.keyring.blind("change_password", &key.fingerprint);
        let auth = self.clone();
        command::run(async move { auth.replace_password(command, key).await }).await
    }

    async fn replace_password(&self, command: ChangePassword, key: Key) -> Result<Answer, Error> {
        let ChangePassword { member, session, client, current, new } = command;
        let principal = member.to_string();
        let mut tx = postgres::begin(&self.db).await?;
        // Before the guess: after the first time, the password is another one.
        if let Some(answer) = idempotency::claim(&mut tx, &principal, &key).await? {
            return Ok(answer);
        }
        let known = members::secret(&mut tx, member).await?.ok_or(Error::MemberNotFound)?;
        tx.rollback().await?; // other requests need the connection during the hash
        let email = Email::parse(&known.email).map_err(|_| Error::MemberNotFound)?;
        if new.is_obvious(&email) {
            return Err(Error::ObviousPassword);
        }

        let (guess, _) = self.reserve(Secret::Password, &email, &client).await?;
        match self.hasher.verify(current, Some(known.hash.clone())).await {
            Ok(true) => {}
            Ok(false) => {
                self.wrong(&guess).await?;
                let event = Event::new("password_refused", Actor::Member(member)).of(member);
                audit(&event.in_session(session));
                metrics::failed_attempt("wrong_password");
                metrics::refused("current_password");
                return Err(Error::InvalidCredentials);
            }
            Err(failure) => {
                self.unchecked(&guess).await?;
                return Err(failure.into());
            }
        }
        let hash = match self.hasher.hash(new).await {
            Ok(hash) => hash,
            Err(failure) => {
                self.unchecked(&guess).await?;
                return Err(failure.into());
            }
        };

        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, &key).await? {
            tx.rollback().await?;
            self.unchecked(&guess).await?;
            return Ok(answer);
        }
        if !members::replace_hash(&mut tx, member, &known.hash, &hash, self.clock.now()).await? {
            tx.rollback().await?;
            self.unchecked(&guess).await?;
            return Err(Error::InvalidCredentials); // changed meanwhile
        }
        devices::forget_all(&mut tx, member).await?;
        let which = Which::AllBut(session);
        let (kind, by) = ("password_changed", Actor::Member(member));
        let ended = self.end_within(&mut tx, member, which, kind, by).await?;
        self.note(&mut tx, Event::new(kind, by).of(member).in_session(session)).await?;
        self.tell(&mut tx, member, Notice::PasswordChanged).await?;
        // Last, because a login locks the count after the password.
        self.right(&mut tx, &guess).await?;
        let answer = Answer::json(StatusCode::OK, &json!({ "status": "changed" }));
        idempotency::record(&mut tx, &principal, &key, &answer).await?;
        postgres::commit(tx).await?;
        self.announce(&ended);
        Ok(answer)
    }
}
