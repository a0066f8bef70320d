use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::log as audit;
use super::gate::{ReservedGuess, Secret};
use super::notices::Notice;
use super::{Auth, Error};
use crate::domain::{Actor, Client, Email, Guess, Password};
use crate::metrics;
use crate::store::events::Event;
use crate::store::sessions::Selection;
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

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// Always `changed`.
    status: String,
}

impl Auth {
    /// Replaces a member's password and ends their other sessions. Guesses count like those of a login: a stolen access
    /// token allows them, too.
    pub async fn change_password(
        &self,
        change: ChangePassword,
        key: Key,
    ) -> Result<Answer<Changed>, Error> {
        let (member, session) = (change.member, change.session);
        let key = self.blinded("change_password", key);
        // Before the guess: after the first time, the password is another one.
        let mut work = match command::begin(&self.db, member, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let known = members::secret(&mut work, member).await?.ok_or(Error::MemberNotFound)?;
        drop(work); // other requests need the connection during the hash
        let guess = self.check_current_password(&change, &known).await?;
        let hash = self.hash_or_return(change.new, &guess).await?;

        let mut work = match command::begin(&self.db, member, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => {
                self.return_guess(&guess).await?;
                return Ok(answer);
            }
        };
        let now = self.clock.now();
        if !members::replace_hash(&mut work, member, &known.hash, &hash, now).await? {
            drop(work);
            self.return_guess(&guess).await?;
            return Err(Error::InvalidCredentials); // changed meanwhile
        }
        devices::forget_all(&mut work, member).await?;
        let others = Selection::AllBut(session);
        let (kind, by) = ("password_changed", Actor::Member(member));
        let ended = self.end_sessions(&mut work, member, others, kind, by).await?;
        self.record(&mut work, Event::new(kind, by).of(member).in_session(session)).await?;
        self.notify(&mut work, member, Notice::PasswordChanged).await?;
        // Last, because a login locks the count after the password.
        self.guess_succeeded(&mut work, &guess).await?;
        let answer = work.commit(Success::Ok, Changed { status: "changed".to_owned() }).await?;
        self.revoke_locally(&ended);
        Ok(answer)
    }

    async fn check_current_password(
        &self,
        change: &ChangePassword,
        known: &members::Secret,
    ) -> Result<ReservedGuess, Error> {
        let email = Email::parse(&known.email).map_err(|_| Error::MemberNotFound)?;
        if change.new.is_obvious(&email) {
            return Err(Error::ObviousPassword);
        }
        let (guess, _) = self.reserve(Secret::Password, &email, &change.client).await?;
        match self.hasher.verify(change.current.clone(), Some(known.hash.clone())).await {
            Ok(true) => Ok(guess),
            Ok(false) => {
                self.guess_failed(&guess).await?;
                let (member, by) = (change.member, Actor::Member(change.member));
                let event = Event::new("password_refused", by).of(member);
                audit(&event.in_session(change.session));
                metrics::failed_attempt("wrong_password");
                metrics::refused("current_password");
                Err(Error::InvalidCredentials)
            }
            Err(failure) => {
                self.return_guess(&guess).await?;
                Err(failure.into())
            }
        }
    }
}
