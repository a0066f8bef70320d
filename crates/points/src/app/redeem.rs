use kit::ApiError;
use kit::command::Answer;
use kit::error::Fields;
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Points, checked_amount, checked_reference};
use crate::domain::command::Redeem;
use crate::domain::{AccountId, AccountRef, Actor, Command, MerchantId, Reference};
use crate::error::Error;
use crate::view::Receipt;

impl Redeem {
    /// The command, or an error that names every wrong field. `None` points were not a whole number.
    pub fn try_new(
        by: Actor,
        from: Uuid,
        points: Option<i64>,
        merchant: Option<Uuid>,
        reference: String,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let amount = checked_amount(&mut fields, points);
        let reference = checked_reference(&mut fields, Reference::new(reference));
        let from = AccountRef::Id(AccountId(from));
        let merchant = merchant.map(MerchantId);
        fields.done(|| Some(Self { from, amount: amount?, merchant, reference: reference?, by }))
    }
}

impl Points {
    /// Spends points of an account.
    pub async fn redeem(
        &self,
        principal: String,
        key: Key,
        redeem: Redeem,
    ) -> Result<Answer<Receipt>, Error> {
        let answer = self.run(principal, key, Command::Redeem(redeem)).await?;
        Ok(answer.into_receipt())
    }
}
