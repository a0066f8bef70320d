use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;

use super::{ANONYMOUS, Accepted, Auth, Error};
use crate::domain::{Client, DisplayName, Email, Password, Purpose};
use crate::{metrics, store};

/// A registration.
#[derive(Clone, Debug)]
pub struct Register {
    pub email: Email,
    pub password: Password,
    pub display_name: DisplayName,
    pub client: Client,
}

impl Auth {
    /// Opens an account. The answer and the work are the same whether or not the address was free: otherwise they would
    /// tell who is a member.
    pub async fn register(&self, command: Register, key: Key) -> Result<Answer<Accepted>, Error> {
        let Register { email, password, display_name, client } = command;
        if password.is_obvious(&email) {
            return Err(Error::ObviousPassword);
        }
        let key = self.blinded("register", key);
        // Before the transaction: a hash takes too long to hold a connection.
        let hash = self.hasher.hash(password).await?;
        let requester = self.requester(&email, &client).await?;

        let mut work = match command::begin(&self.db, ANONYMOUS, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let (id, now) = (self.clock.id(), self.clock.now());
        let created =
            store::members::create(&mut work, id, &email, &display_name, &hash, now).await?;
        self.send_code(&mut work, &email, Purpose::Verify, requester).await?;
        let answer = work.commit(Success::Accepted, Accepted::new()).await?;

        metrics::registration(if created { "success" } else { "duplicate" });
        Ok(answer)
    }
}
