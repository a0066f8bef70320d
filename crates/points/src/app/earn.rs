use axum::http::StatusCode;
use kit::error::Fields;
use kit::idempotency::{self, Answer, Key};
use kit::{ApiError, command, postgres};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Points, code};
use crate::domain::{
    Account, AccountId, Amount, Basis, ConversionRule, MemberId, MerchantId, Purchase, Reference,
    Refused, TransferKind,
};
use crate::metrics;
use crate::store::{self, MemberEntry, Transfer};

/// Credits an account.
#[derive(Clone, Debug)]
pub struct Earn {
    pub to: Recipient,
    pub basis: Basis,
    pub merchant: MerchantId,
    pub reference: Reference,
}

/// What a caller asks for, as it was sent. `Some(None)`: given, and not a whole number.
#[derive(Clone, Debug)]
pub struct Asked {
    pub purchase_minor: Option<Option<i64>>,
    pub points: Option<Option<i64>>,
    pub merchant: Uuid,
    pub reference: String,
}

#[derive(Clone, Copy, Debug)]
pub enum Recipient {
    Account(AccountId),
    /// The member's account, opened if there is none yet.
    Member(MemberId),
}

/// What an [`Earn`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    pub entry_id: Uuid,
    pub account_id: Uuid,
    /// Points credited by this command.
    pub points: i64,
    /// Points available after it.
    pub balance: i64,
    /// The account's version after it.
    pub version: i64,
}

impl Earn {
    /// The command, or an error that names every wrong field.
    pub fn try_new(to: Recipient, asked: Asked) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let basis = match (asked.purchase_minor, asked.points) {
            (Some(minor), None) => {
                let purchase = minor.ok_or(Refused::Purchase).and_then(Purchase::new);
                fields.check("purchase_minor", "invalid_amount", purchase).map(Basis::Purchase)
            }
            (None, Some(points)) => {
                let amount = points.ok_or(Refused::Amount).and_then(Amount::new);
                fields.check("points", "invalid_amount", amount).map(Basis::Points)
            }
            (None, None) | (Some(_), Some(_)) => {
                fields.add("points", "invalid_amount", "give either purchase_minor or points");
                None
            }
        };
        let reference = Reference::new(asked.reference);
        let wrong = reference.as_ref().err().map_or("", |refused| code(*refused));
        let reference = fields.check("reference", wrong, reference);
        let merchant = MerchantId(asked.merchant);
        fields.done(|| Some(Self { to, basis: basis?, merchant, reference: reference? }))
    }
}

impl Points {
    /// Runs the command once for each key. The answer's body is a [`Receipt`].
    pub async fn earn(&self, principal: String, key: Key, earn: Earn) -> Result<Answer, Error> {
        let points = self.clone();
        let answer = command::run(async move {
            let mut tx = postgres::begin(&points.db).await?;
            if let Some(answer) = idempotency::claim(&mut tx, &principal, &key).await? {
                return Ok(answer);
            }

            let (account, receipt) = points.credit(&mut tx, &earn).await?;

            let answer = Answer::json(StatusCode::CREATED, &receipt);
            idempotency::record(&mut tx, &principal, &key, &answer).await?;
            postgres::commit(tx).await?;

            points.refresh(account).await;
            Ok(answer)
        })
        .await;
        metrics::count(TransferKind::Earn, &answer);
        answer
    }

    /// Lock, decide, store. The lock makes commands on one account wait for each other, so that none
    /// is refused for contention: three optimistic tries would refuse half of them on a hot account.
    async fn credit(
        &self,
        tx: &mut PgConnection,
        earn: &Earn,
    ) -> Result<(Account, Receipt), Error> {
        let amount = ConversionRule::STANDARD.points(earn.basis)?;
        let now = self.clock.now();

        let locked = match earn.to {
            Recipient::Account(id) => store::lock(tx, id).await?,
            Recipient::Member(member) => {
                store::open(tx, &Account::open(AccountId(self.clock.id()), member, now)).await?;
                store::lock_by_member(tx, member).await?
            }
        };
        let account = locked.ok_or(Error::NotFound)?;
        let account = Account { balance: account.balance.earn(amount)?, ..account };

        let transfer = Transfer {
            id: self.clock.id(),
            kind: TransferKind::Earn,
            reference: &earn.reference,
            merchant: earn.merchant,
            occurred_at: now,
        };
        let entry = MemberEntry {
            id: self.clock.id(),
            account: account.id,
            amount: amount.get(),
            balance: account.balance,
        };
        store::save_balance(tx, account.id, account.balance).await?;
        store::append(tx, &transfer, &entry, self.clock.id()).await?;

        let receipt = Receipt {
            entry_id: entry.id,
            account_id: account.id.0,
            points: entry.amount,
            balance: account.balance.available(),
            version: account.balance.version(),
        };
        Ok((account, receipt))
    }
}
