use kit::ApiError;
use kit::error::Fields;
use kit::idempotency::{Answer, Key};
use uuid::Uuid;

use super::{Error, Points, checked_amount, checked_reference};
use crate::domain::{Amount, Command, MerchantId, Payer, Reference};

/// Spends points.
#[derive(Clone, Debug)]
pub struct Redeem {
    pub from: Payer,
    pub amount: Amount,
    pub merchant: Option<MerchantId>,
    pub reference: Reference,
}

impl Redeem {
    /// The command, or an error that names every wrong field. `None`: not a whole number.
    pub fn try_new(
        from: Payer,
        points: Option<i64>,
        merchant: Option<Uuid>,
        reference: String,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let amount = checked_amount(&mut fields, points);
        let reference = checked_reference(&mut fields, Reference::new(reference));
        let merchant = merchant.map(MerchantId);
        fields.done(|| Some(Self { from, amount: amount?, merchant, reference: reference? }))
    }
}

impl Points {
    /// Spends points of one account. Never decided from a cache.
    pub async fn redeem(
        &self,
        principal: String,
        key: Key,
        redeem: Redeem,
    ) -> Result<Answer, Error> {
        let Redeem { from, amount, merchant, reference } = redeem;
        self.run(principal, key, Command::Redeem { from, amount, merchant, reference }).await
    }
}
