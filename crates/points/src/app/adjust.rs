use kit::ApiError;
use kit::error::Fields;
use kit::idempotency::{Answer, Key};
use uuid::Uuid;

use super::{Error, Points, checked_reference};
use crate::domain::{AccountId, Adjustment, Command, Reference, Refused};

/// An operator's correction of an account they have looked at.
#[derive(Clone, Debug)]
pub struct Adjust {
    pub account: AccountId,
    pub by: Adjustment,
    pub seen: i64,
    pub reference: Reference,
}

impl Adjust {
    /// The command, or an error that names every wrong field. `None`: not a whole number.
    pub fn try_new(
        account: Uuid,
        seen: i64,
        points: Option<i64>,
        reference: String,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let by = points.ok_or(Refused::Adjustment).and_then(Adjustment::new);
        let by = fields.check("points", "invalid_amount", by);
        let reference = checked_reference(&mut fields, Reference::required(reference));
        let account = AccountId(account);
        fields.done(|| Some(Self { account, by: by?, seen, reference: reference? }))
    }
}

impl Points {
    /// Corrects a balance, unless the account has changed since the operator read it.
    pub async fn adjust(
        &self,
        principal: String,
        key: Key,
        adjust: Adjust,
    ) -> Result<Answer, Error> {
        let Adjust { account, by, seen, reference } = adjust;
        let command = Command::Adjust { account, by, seen: Some(seen), reference };
        self.run(principal, key, command).await
    }
}
