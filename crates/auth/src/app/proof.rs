use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::log as audit;
use super::gate::{ReservedGuess, Secret};
use super::notices::Notice;
use super::{ANONYMOUS, Auth, Error};
use crate::domain::{Actor, Client, Code, DeviceToken, Email, Password, Purpose};
use crate::metrics;
use crate::store::events::Event;
use crate::store::sessions::Selection;
use crate::store::{codes, members};

/// A code from a mail, and the password to set with it.
#[derive(Clone, Debug)]
pub struct Proof {
    pub purpose: Purpose,
    pub email: Email,
    pub code: Code,
    pub password: Password,
    pub client: Client,
}

/// The answer to a code. The first time, also the token for the device's next login.
#[derive(Debug)]
pub struct Proven {
    pub answer: Answer<Done>,
    pub device: Option<DeviceToken>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// Always `done`.
    status: String,
}

/// A live code that equals the given one.
struct FoundCode {
    id: Uuid,
    member: Uuid,
    purpose: Purpose,
}

impl Auth {
    /// Sets a password with a code that was mailed to the member, verifies the address, and ends all sessions. The
    /// reader of a mailbox owns the account, and somebody else may have registered it: so the password sent with the
    /// code replaces the one of the registration.
    pub async fn prove(&self, proof: Proof, key: Key) -> Result<Proven, Error> {
        let Proof { purpose, email, code, password, client } = proof;
        if password.is_obvious(&email) {
            return Err(Error::ObviousPassword);
        }
        let key = self.blinded("prove", key);
        // Before the guess: after the first time, the code is used up.
        if let Begun::Replay(answer) = command::begin(&self.db, ANONYMOUS, &key).await? {
            return Ok(Proven { answer, device: None });
        }
        let (guess, mut conn) = self.reserve(Secret::Code, &email, &client).await?;
        let live = codes::live(&mut conn, &email, purpose.as_str()).await?;
        drop(conn);
        let found = live.into_iter().find(|(id, _)| self.derive_code(*id) == code);
        let Some((id, member)) = found else {
            self.guess_failed(&guess).await?;
            audit(&Event::new("code_refused", Actor::Stranger));
            metrics::refused("mail_code");
            return Err(Error::InvalidCode);
        };
        let hash = self.hash_or_return(password, &guess).await?;

        let found = FoundCode { id, member, purpose };
        let proven = self.apply(found, &hash, &key, &guess, &client).await;
        // The commit makes the device known; without one, the guess is given back.
        if !matches!(&proven, Ok(Proven { device: Some(_), .. })) {
            self.return_guess(&guess).await?;
        }
        proven
    }

    /// Carries out the effect of a code. Rows are locked in the order of all use cases: the password, the member, codes
    /// and sessions, counts of guesses.
    async fn apply(
        &self,
        FoundCode { id, member, purpose }: FoundCode,
        hash: &str,
        key: &Key,
        guess: &ReservedGuess,
        client: &Client,
    ) -> Result<Proven, Error> {
        let mut work = match command::begin(&self.db, ANONYMOUS, key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(Proven { answer, device: None }),
        };
        let now = self.clock.now();
        members::set_hash(&mut work, member, hash, now).await?;
        let first = codes::verify(&mut work, member).await?;
        if purpose == Purpose::Verify && !first {
            return Err(Error::InvalidCode); // verified by a reset meanwhile
        }
        if !codes::use_up(&mut work, id, member).await? {
            return Err(Error::InvalidCode); // used meanwhile
        }
        let kind = match purpose {
            Purpose::Verify => "email_verified",
            Purpose::Reset => "password_reset",
        };
        let by = Actor::Member(member);
        let ended = self.end_sessions(&mut work, member, Selection::All, kind, by).await?;
        let known = guess.device.as_ref();
        let device = self.remember_device(&mut work, known, &guess.email, member, now).await?;
        if purpose == Purpose::Reset {
            self.notify(&mut work, member, Notice::PasswordChanged).await?;
        }
        self.record(&mut work, Event::new(kind, by).of(member)).await?;
        self.guess_succeeded(&mut work, guess).await?;
        self.clear_guesses(&mut work, &guess.email, client).await?;
        let answer = work.commit(Success::Ok, Done { status: "done".to_owned() }).await?;
        self.revoke_locally(&ended);
        self.forget_profile(member).await;
        Ok(Proven { answer, device: Some(device) })
    }
}
