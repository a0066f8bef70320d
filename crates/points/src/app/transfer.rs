use kit::ApiError;
use kit::error::Fields;
use kit::idempotency::{Answer, Key};
use uuid::Uuid;

use super::{Error, Points, checked_amount, checked_reference};
use crate::domain::{AccountId, Amount, Command, Payer, Reference};

/// Gives points to another member.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub from: Payer,
    pub to: AccountId,
    pub amount: Amount,
    pub reference: Reference,
}

impl Transfer {
    /// The command, or an error that names every wrong field. `None`: not a whole number.
    pub fn try_new(
        from: Payer,
        to: Uuid,
        points: Option<i64>,
        reference: String,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let amount = checked_amount(&mut fields, points);
        let reference = checked_reference(&mut fields, Reference::new(reference));
        let to = AccountId(to);
        fields.done(|| Some(Self { from, to, amount: amount?, reference: reference? }))
    }
}

impl Points {
    /// Moves points between two accounts, both or neither.
    pub async fn transfer(
        &self,
        principal: String,
        key: Key,
        transfer: Transfer,
    ) -> Result<Answer, Error> {
        let Transfer { from, to, amount, reference } = transfer;
        self.run(principal, key, Command::Transfer { from, to, amount, reference }).await
    }
}
