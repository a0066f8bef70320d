use std::time::Duration;

use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::outbox::{self, Event};
use kit::{command, postgres};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::notices::Notice;
use super::{Auth, Error};
use crate::domain::{Client, Code, Email, Password};
use crate::store::events::Event as Security;
use crate::store::sessions::Which;
use crate::store::{codes, members};

/// A link to a mailbox is followed within a day, or not at all.
const VERIFY_LIFE: Duration = Duration::from_hours(24);
const RESET_LIFE: Duration = Duration::from_mins(10);

/// As `codes` calls what they are for.
const VERIFY: &str = "verify";
pub(super) const RESET: &str = "reset";

pub(super) const KIND: &str = "mail.code";

/// Nobody is signed in, so all share one; keys are the clients' UUIDs and do not meet.
const PRINCIPAL: &str = "anonymous";

/// Says what a code from a mail is for, by bringing it.
#[derive(Clone, Debug)]
pub struct Proof {
    pub email: Email,
    pub code: Code,
    pub client: Client,
}

impl Auth {
    /// Sends another code to verify an address with. Whether there is somebody to send it to, the answer
    /// does not say, and neither does the time it takes.
    pub async fn resend_verification(&self, email: Email, key: Key) -> Result<Answer, Error> {
        self.request_code(email, key, VERIFY, VERIFY_LIFE).await
    }

    /// Sends a code to choose a new password with. The same goes for it.
    pub async fn forgot_password(&self, email: Email, key: Key) -> Result<Answer, Error> {
        self.request_code(email, key, RESET, RESET_LIFE).await
    }

    async fn request_code(
        &self,
        email: Email,
        key: Key,
        purpose: &'static str,
        life: Duration,
    ) -> Result<Answer, Error> {
        let auth = self.clone();
        let request = async move {
            let mut tx = postgres::begin(&auth.db).await?;
            if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, &key).await? {
                return Ok(answer);
            }
            auth.send_code(&mut tx, &email, purpose, life).await?;
            let answer = Answer::json(StatusCode::ACCEPTED, &json!({ "status": "accepted" }));
            idempotency::record(&mut tx, PRINCIPAL, &key, &answer).await?;
            postgres::commit(tx).await?;
            Ok(answer)
        };
        command::run(request).await
    }

    /// With the code to verify the address of a new account.
    pub(super) async fn welcome(&self, tx: &mut PgConnection, email: &Email) -> Result<(), Error> {
        self.send_code(tx, email, VERIFY, VERIFY_LIFE).await
    }

    /// An unknown address costs the same: an event, which then finds nothing to send. The event says
    /// neither the address nor the code; who delivers it looks up one and derives the other.
    async fn send_code(
        &self,
        tx: &mut PgConnection,
        email: &Email,
        purpose: &str,
        life: Duration,
    ) -> Result<(), Error> {
        let code = self.clock.id();
        codes::create(tx, code, email, purpose, life).await?;
        let event = Event {
            id: self.clock.id(),
            aggregate: format!("mail:{code}"),
            kind: KIND.to_owned(),
            payload: json!({ "code_id": code }),
            occurred_at: self.clock.now(),
        };
        Ok(outbox::publish(tx, &event).await?)
    }

    /// Notes that whoever brings the code reads mail to this address.
    pub async fn verify_email(&self, proof: Proof, key: Key) -> Result<Answer, Error> {
        let auth = self.clone();
        let verify = async move { auth.with_code(proof, key, VERIFY, None).await };
        command::run(verify).await
    }

    /// Replaces the password of whoever brings the code, and ends all sessions.
    pub async fn reset_password(
        &self,
        proof: Proof,
        new: Password,
        mut key: Key,
    ) -> Result<Answer, Error> {
        // It is a fast hash of a request with a password in it.
        key.fingerprint = self.keyring.blind("reset_password", &key.fingerprint);
        let auth = self.clone();
        let reset = async move { auth.with_code(proof, key, RESET, Some(new)).await };
        command::run(reset).await
    }

    async fn with_code(
        &self,
        proof: Proof,
        key: Key,
        purpose: &'static str,
        new: Option<Password>,
    ) -> Result<Answer, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, &key).await? {
            return Ok(answer);
        }
        tx.rollback().await?;
        let guess = self.reserve(&proof.email, &proof.client).await?;
        let mut conn = self.db.acquire().await?;
        let live = codes::live(&mut conn, &proof.email, purpose).await?;
        drop(conn);
        let brought = |(id, _): &(Uuid, Uuid)| self.derived(*id) == proof.code;
        let Some((code, member)) = live.into_iter().find(brought) else {
            self.wrong(&guess).await?;
            return Err(Error::InvalidCode);
        };
        let hash = match new {
            None => None,
            Some(new) => match self.hasher.hash(new).await {
                Ok(hash) => Some(hash),
                Err(failure) => {
                    self.unchecked(&guess).await?;
                    return Err(failure.into());
                }
            },
        };

        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, &key).await? {
            return Ok(answer);
        }
        if !codes::use_up(&mut tx, code, member).await? {
            return Err(Error::InvalidCode); // somebody was faster
        }
        self.right(&mut tx, &guess).await?;
        codes::verify(&mut tx, member).await?;
        let mut ended = Vec::new();
        let mut kind = "email_verified";
        if let Some(hash) = hash {
            self.tell(&mut tx, member, Notice::PasswordChanged).await?;
            members::set_hash(&mut tx, member, &hash, self.clock.now()).await?;
            ended = self.end_within(&mut tx, member, Which::All, "password_reset").await?;
            kind = "password_reset";
        }
        self.note(&mut tx, Security { kind, member: Some(member), session: None }).await?;
        let answer = Answer::json(StatusCode::OK, &json!({ "status": "done" }));
        idempotency::record(&mut tx, PRINCIPAL, &key, &answer).await?;
        postgres::commit(tx).await?;
        self.announce(&ended);
        self.forget_profile(member).await;
        Ok(answer)
    }

    /// Derived, so that it lies nowhere.
    pub(super) fn derived(&self, id: Uuid) -> Code {
        Code::from_bytes(&self.keyring.blind("mail_code", id.as_bytes()))
    }
}
