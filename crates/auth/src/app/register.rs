use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde_json::json;

use super::{Auth, Error};
use crate::domain::{Client, DisplayName, Email, Password};
use crate::{metrics, store};

/// A registration.
#[derive(Clone, Debug)]
pub struct Register {
    pub email: Email,
    pub password: Password,
    pub display_name: DisplayName,
    pub client: Client,
}

/// The principal of idempotency keys before a login. All clients share it; their keys are UUIDs and do not collide.
const PRINCIPAL: &str = "anonymous";

impl Auth {
    /// Opens an account. The answer and the work are the same whether or not the address was free: otherwise they would
    /// tell who is a member.
    pub async fn register(&self, command: Register, key: Key) -> Result<Answer, Error> {
        let auth = self.clone();
        let answer = command::run(async move { auth.open_account(command, key).await }).await;
        if answer.is_err() {
            metrics::registration("failed");
        }
        answer
    }

    async fn open_account(&self, command: Register, mut key: Key) -> Result<Answer, Error> {
        let Register { email, password, display_name, client } = command;
        if password.is_obvious(&email) {
            return Err(Error::ObviousPassword);
        }
        // The fingerprint is a fast hash of a request with a password in it, and would be a way to guess that.
        key.fingerprint = self.keyring.blind("register", &key.fingerprint);
        // Before the transaction: a hash takes too long to hold a connection.
        let hash = self.hasher.hash(password).await?;
        let requester = self.requester(&email, &client).await?;

        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, PRINCIPAL, &key).await? {
            return Ok(answer);
        }
        let (id, now) = (self.clock.id(), self.clock.now());
        let created =
            store::members::create(&mut tx, id, &email, &display_name, &hash, now).await?;
        self.welcome(&mut tx, &email, requester).await?;
        let answer = Answer::json(StatusCode::ACCEPTED, &json!({ "status": "accepted" }));
        idempotency::record(&mut tx, PRINCIPAL, &key, &answer).await?;
        postgres::commit(tx).await?;

        metrics::registration(if created { "success" } else { "duplicate" });
        Ok(answer)
    }
}
