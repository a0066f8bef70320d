use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde_json::json;
use uuid::Uuid;

use super::audit::log as audit;
use super::gate::{Reserved, Secret};
use super::mail::{PRINCIPAL, Purpose};
use super::notices::Notice;
use super::{Auth, Error};
use crate::domain::{Actor, Client, Code, DeviceToken, Email, Password};
use crate::metrics;
use crate::store::events::Event;
use crate::store::sessions::Which;
use crate::store::{codes, members};

/// A code from a mail, and the password to set with it.
#[derive(Clone, Debug)]
pub struct Proof {
    pub email: Email,
    pub code: Code,
    pub password: Password,
    pub client: Client,
}

/// A live code that equals the given one.
struct Found {
    id: Uuid,
    member: Uuid,
    purpose: Purpose,
}

/// The answer to a code. The first time, also the token for the device's next login.
#[derive(Debug)]
pub struct Proven {
    pub answer: Answer,
    pub device: Option<DeviceToken>,
}

impl Auth {
    /// Verifies the address of an account with a code that was mailed to it. The reader of that mailbox owns the
    /// account, and somebody else may have registered it: so the password sent with the code replaces the one of the
    /// registration, and all earlier sessions end.
    pub async fn verify_email(&self, proof: Proof, key: Key) -> Result<Proven, Error> {
        self.prove(proof, key, Purpose::Verify).await
    }

    /// Replaces a password with a code that was mailed to the member, and ends all sessions.
    pub async fn reset_password(&self, proof: Proof, key: Key) -> Result<Proven, Error> {
        self.prove(proof, key, Purpose::Reset).await
    }

    async fn prove(&self, proof: Proof, mut key: Key, purpose: Purpose) -> Result<Proven, Error> {
        if proof.password.is_obvious(&proof.email) {
            return Err(Error::ObviousPassword);
        }
        // The fingerprint is a fast hash of a request with a password in it.
        key.fingerprint = self.keyring.blind("prove", &key.fingerprint);
        let auth = self.clone();
        command::run(async move { auth.with_code(proof, key, purpose).await }).await
    }

    async fn with_code(&self, proof: Proof, key: Key, purpose: Purpose) -> Result<Proven, Error> {
        let Proof { email, code, password, client } = proof;
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, &key).await? {
            return Ok(Proven { answer, device: None });
        }
        tx.rollback().await?;
        let (guess, mut conn) = self.reserve(Secret::Code, &email, &client).await?;
        let live = codes::live(&mut conn, &email, purpose.as_str()).await?;
        drop(conn);
        let Some((id, member)) = live.into_iter().find(|(id, _)| self.derived(*id) == code) else {
            self.wrong(&guess).await?;
            audit(&Event::new("code_refused", Actor::Stranger));
            metrics::refused("mail_code");
            return Err(Error::InvalidCode);
        };
        let hash = match self.hasher.hash(password).await {
            Ok(hash) => hash,
            Err(failure) => {
                self.unchecked(&guess).await?;
                return Err(failure.into());
            }
        };

        let found = Found { id, member, purpose };
        let proven = self.accept(found, &hash, &key, &guess, &client).await;
        // The commit makes the device known; without one, the guess is given back.
        if !matches!(&proven, Ok(Proven { device: Some(_), .. })) {
            self.unchecked(&guess).await?;
        }
        proven
    }

    /// Carries out the effect of a code. Rows are locked in the order of all use cases: the password, the member, codes
    /// and sessions, counts of guesses.
    async fn accept(
        &self,
        Found { id, member, purpose }: Found,
        hash: &str,
        key: &Key,
        guess: &Reserved,
        client: &Client,
    ) -> Result<Proven, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, key).await? {
            return Ok(Proven { answer, device: None });
        }
        let now = self.clock.now();
        members::set_hash(&mut tx, member, hash, now).await?;
        let first = codes::verify(&mut tx, member).await?;
        if purpose == Purpose::Verify && !first {
            return Err(Error::InvalidCode); // verified by a reset meanwhile
        }
        if !codes::use_up(&mut tx, id, member).await? {
            return Err(Error::InvalidCode); // used meanwhile
        }
        let kind = match purpose {
            Purpose::Verify => "email_verified",
            Purpose::Reset => "password_reset",
        };
        let by = Actor::Member(member);
        let ended = self.end_within(&mut tx, member, Which::All, kind, by).await?;
        let known = guess.device.as_ref();
        let device = self.remember_device(&mut tx, known, &guess.email, member, now).await?;
        if purpose == Purpose::Reset {
            self.tell(&mut tx, member, Notice::PasswordChanged).await?;
        }
        self.note(&mut tx, Event::new(kind, by).of(member)).await?;
        self.right(&mut tx, guess).await?;
        self.forgive(&mut tx, &guess.email, client).await?;
        let answer = Answer::json(StatusCode::OK, &json!({ "status": "done" }));
        idempotency::record(&mut tx, PRINCIPAL, key, &answer).await?;
        postgres::commit(tx).await?;
        self.announce(&ended);
        self.forget_profile(member).await;
        Ok(Proven { answer, device: Some(device) })
    }
}
