use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::outbox::{self, Event};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ANONYMOUS, Auth, Error};
use crate::domain::{Client, Code, Email, Purpose};

/// The kind of a code's event in the outbox.
pub(super) const KIND: &str = "mail.code";

/// The name under which the address in an event is sealed.
const SEALED: &str = "mail_address";

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// Always `accepted`.
    status: String,
}

impl Accepted {
    pub(super) fn new() -> Self {
        Self { status: "accepted".to_owned() }
    }
}

impl Auth {
    /// Sends a code to an address. Neither the answer nor its time tells whether a member has the address.
    pub async fn request_code(
        &self,
        purpose: Purpose,
        email: Email,
        client: Client,
        key: Key,
    ) -> Result<Answer<Accepted>, Error> {
        let requester = self.requester(&email, &client).await?;
        let mut work = match command::begin(&self.db, ANONYMOUS, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        self.send_code(&mut work, &email, purpose, requester).await?;
        Ok(work.commit(Success::Accepted, Accepted::new()).await?)
    }

    /// Queues a mail with a code. The delivery looks up the member: a request that did so, or that made a code only for
    /// a known address, would take a time that tells. The address is sealed, so that the outbox does not hold it.
    pub(super) async fn send_code(
        &self,
        tx: &mut PgConnection,
        email: &Email,
        purpose: Purpose,
        requester: [u8; 32],
    ) -> Result<(), Error> {
        let code = self.clock.id();
        let to = self.keyring.seal(SEALED, email.as_str().as_bytes()).map_err(Error::Internal)?;
        let event = Event {
            id: self.clock.id(),
            aggregate: format!("mail:{code}"),
            kind: KIND.to_owned(),
            payload: json!({
                "code_id": code, "purpose": purpose.as_str(), "to": STANDARD.encode(to),
                "requester": STANDARD.encode(requester),
            }),
            occurred_at: self.clock.now(),
        };
        Ok(outbox::publish(tx, &event).await?)
    }

    /// Opens the address in an event.
    pub(super) fn open_address(&self, to: &str) -> anyhow::Result<Email> {
        let to = self.keyring.open(SEALED, &STANDARD.decode(to)?)?;
        Ok(Email::parse(str::from_utf8(&to)?)?)
    }

    /// Derives a code from its id, so that it is stored nowhere.
    pub(super) fn derive_code(&self, id: Uuid) -> Code {
        Code::from_bytes(&self.keyring.blind("mail_code", id.as_bytes()))
    }
}
