use std::sync::Arc;

use chrono::{DateTime, Utc};
use kit::cache::Versioned;
use kit::postgres;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Points, Which, by_id, by_member};
use crate::domain::{Account, AccountId, MemberId};
use crate::store;

/// An account and its points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AccountView {
    pub account_id: Uuid,
    pub member_id: Uuid,
    /// Points ever credited.
    pub earned: i64,
    /// Points ever spent.
    pub used: i64,
    /// Points promised to a hold right now.
    pub held: i64,
    /// `earned - used - held`.
    pub available: i64,
    /// Grows by one with every entry; also the ETag.
    pub version: i64,
    pub opened_at: DateTime<Utc>,
}

impl Points {
    /// An account as it was at most five minutes ago, and never before the caller's own last write.
    /// No command may decide from it.
    pub async fn balance(&self, which: Which) -> Result<AccountView, Error> {
        let found = match which {
            Which::Of(member) => self.cached_by_member(member).await?,
            Which::Any(id) => self.cached_by_id(id).await?,
            Which::Owned(id, member) => {
                self.cached_by_id(id).await?.filter(|account| account.member == member)
            }
        };
        found.map(AccountView::from).ok_or(Error::NotFound)
    }

    async fn cached_by_id(&self, id: AccountId) -> Result<Option<Account>, Error> {
        let load = async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            store::find(&mut conn, id).await.map(versioned).map_err(Arc::new)
        };
        Ok(self.accounts.get_or_load(&by_id(id), load).await?.map(|found| found.value))
    }

    async fn cached_by_member(&self, member: MemberId) -> Result<Option<Account>, Error> {
        let load = async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            store::find_by_member(&mut conn, member).await.map(versioned).map_err(Arc::new)
        };
        Ok(self.accounts.get_or_load(&by_member(member), load).await?.map(|found| found.value))
    }
}

fn versioned(found: Option<Account>) -> Option<Versioned<Account>> {
    found.map(|account| Versioned { version: account.balance.version(), value: account })
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        let balance = account.balance;
        Self {
            account_id: account.id.0,
            member_id: account.member.0,
            earned: balance.earned(),
            used: balance.used(),
            held: balance.held(),
            available: balance.available(),
            version: balance.version(),
            opened_at: account.opened_at,
        }
    }
}
