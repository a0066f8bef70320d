use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

pub(super) const KIND: &str = "mail.code";

/// What the address in an event is sealed for.
const SEALED: &str = "mail_address";

/// What a code opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Verify,
    Reset,
}

impl Purpose {
    /// As it is stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }

    /// A link to a mailbox is followed within a day, or not at all.
    pub(super) const fn life(self) -> Duration {
        match self {
            Self::Verify => Duration::from_hours(24),
            Self::Reset => Duration::from_mins(10),
        }
    }
}

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
        self.request_code(email, key, Purpose::Verify).await
    }

    /// Sends a code to choose a new password with. The same goes for it.
    pub async fn forgot_password(&self, email: Email, key: Key) -> Result<Answer, Error> {
        self.request_code(email, key, Purpose::Reset).await
    }

    async fn request_code(
        &self,
        email: Email,
        key: Key,
        purpose: Purpose,
    ) -> Result<Answer, Error> {
        let auth = self.clone();
        let request = async move {
            let mut tx = postgres::begin(&auth.db).await?;
            if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, &key).await? {
                return Ok(answer);
            }
            auth.send_code(&mut tx, &email, purpose).await?;
            let answer = Answer::json(StatusCode::ACCEPTED, &json!({ "status": "accepted" }));
            idempotency::record(&mut tx, PRINCIPAL, &key, &answer).await?;
            postgres::commit(tx).await?;
            Ok(answer)
        };
        command::run(request).await
    }

    /// With the code to verify the address of a new account.
    pub(super) async fn welcome(&self, tx: &mut PgConnection, email: &Email) -> Result<(), Error> {
        self.send_code(tx, email, Purpose::Verify).await
    }

    /// Leaves it to the postman to find out who has the address: a request that looked, or made a code for
    /// one address and none for another, would take a time that tells. The address is sealed, as the outbox
    /// is a table like any other.
    async fn send_code(
        &self,
        tx: &mut PgConnection,
        email: &Email,
        purpose: Purpose,
    ) -> Result<(), Error> {
        let code = self.clock.id();
        let to = self.keyring.seal(SEALED, email.as_str().as_bytes()).map_err(Error::Random)?;
        let to = STANDARD.encode(to);
        let event = Event {
            id: self.clock.id(),
            aggregate: format!("mail:{code}"),
            kind: KIND.to_owned(),
            payload: json!({ "code_id": code, "purpose": purpose.as_str(), "to": to }),
            occurred_at: self.clock.now(),
        };
        Ok(outbox::publish(tx, &event).await?)
    }

    /// The address in such an event.
    pub(super) fn unsealed(&self, to: &str) -> anyhow::Result<Email> {
        let to = self.keyring.open(SEALED, &STANDARD.decode(to)?)?;
        Ok(Email::parse(str::from_utf8(&to)?)?)
    }

    /// Notes that whoever brings the code reads mail to this address.
    pub async fn verify_email(&self, proof: Proof, key: Key) -> Result<Answer, Error> {
        let auth = self.clone();
        let verify = async move { auth.with_code(proof, key, Purpose::Verify, None).await };
        command::run(verify).await
    }

    /// Replaces the password of whoever brings the code, and ends all sessions.
    pub async fn reset_password(
        &self,
        proof: Proof,
        new: Password,
        mut key: Key,
    ) -> Result<Answer, Error> {
        if new.is_obvious(&proof.email) {
            return Err(Error::ObviousPassword);
        }
        // It is a fast hash of a request with a password in it.
        key.fingerprint = self.keyring.blind("reset_password", &key.fingerprint);
        let auth = self.clone();
        let reset = async move { auth.with_code(proof, key, Purpose::Reset, Some(new)).await };
        command::run(reset).await
    }

    async fn with_code(
        &self,
        proof: Proof,
        key: Key,
        purpose: Purpose,
        new: Option<Password>,
    ) -> Result<Answer, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, &key).await? {
            return Ok(answer);
        }
        tx.rollback().await?;
        let (guess, mut conn) = self.reserve(&proof.email, &proof.client).await?;
        let live = codes::live(&mut conn, &proof.email, purpose.as_str()).await?;
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
