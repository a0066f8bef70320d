use kit::ApiError;
use kit::error::Fields;
use kit::idempotency::{Answer, Key};
use uuid::Uuid;

use super::{Error, Points, checked_reference};
use crate::domain::{Actor, Command, Reference, TransferId};

/// Undoes a transfer, once.
#[derive(Clone, Debug)]
pub struct Reverse {
    pub transfer: TransferId,
    pub reference: Reference,
}

impl Reverse {
    pub fn try_new(transfer: Uuid, reference: String) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let reference = checked_reference(&mut fields, Reference::new(reference));
        let transfer = TransferId(transfer);
        fields.done(|| Some(Self { transfer, reference: reference? }))
    }
}

impl Points {
    /// Moves the points of a transfer back; a service, those of its own captures. What was credited and spent meanwhile cannot be taken back.
    pub async fn reverse(
        &self,
        principal: String,
        key: Key,
        reverse: Reverse,
        by: Actor,
    ) -> Result<Answer, Error> {
        let Reverse { transfer, reference } = reverse;
        self.run(principal, key, Command::Reverse { transfer, reference, by }).await
    }
}
