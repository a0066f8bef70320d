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

use super::{Auth, Error};
use crate::domain::{Client, Code, Email};

pub(super) const KIND: &str = "mail.code";

/// The name under which the address in an event is sealed.
const SEALED: &str = "mail_address";

/// The purpose of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Verify,
    Reset,
}

impl Purpose {
    /// The word that is stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }

    /// The life of a code. A new member reads the mail within a day, or not at all.
    pub(super) const fn life(self) -> Duration {
        match self {
            Self::Verify => Duration::from_hours(24),
            Self::Reset => Duration::from_mins(10),
        }
    }
}

/// The principal of idempotency keys before a login. All clients share it; their keys are UUIDs and do not collide.
pub(super) const PRINCIPAL: &str = "anonymous";

impl Auth {
    /// Sends another code to verify an address. Neither the answer nor its time tells whether a member has the address.
    pub async fn resend_verification(
        &self,
        email: Email,
        client: Client,
        key: Key,
    ) -> Result<Answer, Error> {
        self.request_code(email, client, key, Purpose::Verify).await
    }

    /// Sends a code to choose a new password. Neither the answer nor its time tells whether a member has the address.
    pub async fn forgot_password(
        &self,
        email: Email,
        client: Client,
        key: Key,
    ) -> Result<Answer, Error> {
        self.request_code(email, client, key, Purpose::Reset).await
    }

    async fn request_code(
        &self,
        email: Email,
        client: Client,
        key: Key,
        purpose: Purpose,
    ) -> Result<Answer, Error> {
        let auth = self.clone();
        let request = async move {
            let requester = auth.requester(&email, &client).await?;
            let mut tx = postgres::begin(&auth.db).await?;
            if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, &key).await? {
                return Ok(answer);
            }
            auth.send_code(&mut tx, &email, purpose, requester).await?;
            let answer = Answer::json(StatusCode::ACCEPTED, &json!({ "status": "accepted" }));
            idempotency::record(&mut tx, PRINCIPAL, &key, &answer).await?;
            postgres::commit(tx).await?;
            Ok(answer)
        };
        command::run(request).await
    }

    /// Sends the code that verifies the address of a new account.
    pub(super) async fn welcome(
        &self,
        tx: &mut PgConnection,
        email: &Email,
        requester: [u8; 32],
    ) -> Result<(), Error> {
        self.send_code(tx, email, Purpose::Verify, requester).await
    }

    /// Queues a mail with a code. The delivery looks up the member: a request that did so, or that made a code only for
    /// a known address, would take a time that tells. The address is sealed, so that the outbox does not hold it.
    async fn send_code(
        &self,
        tx: &mut PgConnection,
        email: &Email,
        purpose: Purpose,
        requester: [u8; 32],
    ) -> Result<(), Error> {
        let code = self.clock.id();
        let to = self.keyring.seal(SEALED, email.as_str().as_bytes()).map_err(Error::Random)?;
        let to = STANDARD.encode(to);
        let event = Event {
            id: self.clock.id(),
            aggregate: format!("mail:{code}"),
            kind: KIND.to_owned(),
            payload: json!({
                "code_id": code, "purpose": purpose.as_str(), "to": to,
                "requester": STANDARD.encode(requester),
            }),
            occurred_at: self.clock.now(),
        };
        Ok(outbox::publish(tx, &event).await?)
    }

    /// Opens the address in an event.
    pub(super) fn unsealed(&self, to: &str) -> anyhow::Result<Email> {
        let to = self.keyring.open(SEALED, &STANDARD.decode(to)?)?;
        Ok(Email::parse(str::from_utf8(&to)?)?)
    }

    /// Derives a code from its id, so that it is stored nowhere.
    pub(super) fn derived(&self, id: Uuid) -> Code {
        Code::from_bytes(&self.keyring.blind("mail_code", id.as_bytes()))
    }
}
