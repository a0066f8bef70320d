use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};

use super::{AccountView, Error, Points};
use crate::domain::{Account, AccountId, MemberId};
use crate::store;

impl Points {
    /// Opens the member's account: 201, or 200 with the account that is already there.
    pub async fn open(&self, member: MemberId, key: Key) -> Result<Answer, Error> {
        let points = self.clone();
        command::run(async move {
            let principal = member.0.to_string();
            let mut tx = postgres::begin(&points.db).await?;
            if let Some(answer) = idempotency::claim(&mut tx, &principal, &key).await? {
                return Ok(answer);
            }

            let new = Account::open(AccountId(points.clock.id()), member, points.clock.now());
            let opened = store::open(&mut tx, &new).await?;
            let account = store::find_by_member(&mut tx, member).await?.ok_or(Error::NotFound)?;

            let status = if opened { StatusCode::CREATED } else { StatusCode::OK };
            let answer = Answer::json(status, &AccountView::from(account.clone()));
            idempotency::record(&mut tx, &principal, &key, &answer).await?;
            postgres::commit(tx).await?;

            points.balances.opened(member, account.id).await;
            points.balances.renew([account]).await;
            Ok(answer)
        })
        .await
    }
}
