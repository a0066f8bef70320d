use kit::ApiError;
use kit::command::Answer;
use kit::error::Fields;
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Points, checked_reference};
use crate::domain::command::Adjust;
use crate::domain::{AccountId, Adjustment, Command, Reference, Refused};
use crate::error::Error;
use crate::view::Receipt;

impl Adjust {
    /// The command, or an error that names every wrong field. `None` was not a whole number.
    pub fn try_new(
        account: Uuid,
        seen: i64,
        points: Option<i64>,
        reference: String,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let adjustment = points.ok_or(Refused::Adjustment).and_then(Adjustment::new);
        let adjustment = fields.check("points", "invalid_amount", adjustment);
        let reference = checked_reference(&mut fields, Reference::required(reference));
        let account = AccountId(account);
        fields.done(|| Some(Self { account, adjustment: adjustment?, seen, reference: reference? }))
    }
}

impl Points {
    /// Corrects a balance, unless the account has changed since the operator read it.
    pub async fn adjust(
        &self,
        principal: String,
        key: Key,
        adjust: Adjust,
    ) -> Result<Answer<Receipt>, Error> {
        let answer = self.run(principal, key, Command::Adjust(adjust)).await?;
        Ok(answer.into_receipt())
    }
}
