use kit::ApiError;
use kit::command::Answer;
use kit::error::Fields;
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Points, checked_amount, checked_reference};
use crate::domain::command::Transfer;
use crate::domain::{AccountId, AccountRef, Actor, Command, Reference};
use crate::error::Error;
use crate::view::Receipt;

impl Transfer {
    /// The command, or an error that names every wrong field. `None` points were not a whole number.
    pub fn try_new(
        by: Actor,
        from: Uuid,
        to: Uuid,
        points: Option<i64>,
        reference: String,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let amount = checked_amount(&mut fields, points);
        let reference = checked_reference(&mut fields, Reference::new(reference));
        let (from, to) = (AccountRef::Id(AccountId(from)), AccountId(to));
        fields.done(|| Some(Self { from, to, amount: amount?, reference: reference?, by }))
    }
}

impl Points {
    /// Moves points between two accounts, both or neither.
    pub async fn transfer(
        &self,
        principal: String,
        key: Key,
        transfer: Transfer,
    ) -> Result<Answer<Receipt>, Error> {
        let answer = self.run(principal, key, Command::Transfer(transfer)).await?;
        Ok(answer.into_receipt())
    }
}
