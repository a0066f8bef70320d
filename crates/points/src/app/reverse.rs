use kit::ApiError;
use kit::command::Answer;
use kit::error::Fields;
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Points, checked_reference};
use crate::domain::command::Reverse;
use crate::domain::{Actor, Command, Reference, TransferId};
use crate::error::Error;
use crate::view::Receipt;

impl Reverse {
    /// The command, or an error that names every wrong field.
    pub fn try_new(by: Actor, transfer: Uuid, reference: String) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let reference = checked_reference(&mut fields, Reference::new(reference));
        let transfer = TransferId(transfer);
        fields.done(|| Some(Self { transfer, reference: reference?, by }))
    }
}

impl Points {
    /// Moves the points of a transfer back. A service reverses its own captures only. Points that were credited
    /// and spent meanwhile cannot be taken back.
    pub async fn reverse(
        &self,
        principal: String,
        key: Key,
        reverse: Reverse,
    ) -> Result<Answer<Receipt>, Error> {
        let answer = self.run(principal, key, Command::Reverse(reverse)).await?;
        Ok(answer.into_receipt())
    }
}
