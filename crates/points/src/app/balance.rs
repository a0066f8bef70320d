use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::cache::{Cache, Versioned};
use kit::postgres;
use kit::redis::Redis;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Points, Which};
use crate::domain::{Account, AccountId, MemberId};
use crate::store;

/// How long a balance may be answered from the cache. It is renewed after every commit.
const BALANCE_TTL: Duration = Duration::from_mins(5);

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
        // Boxed, as every load: what misses the cache is rare and large.
        let load = Box::pin(async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            store::find(&mut conn, id).await.map(|found| found.map(versioned)).map_err(Arc::new)
        });
        let found = self.balances.accounts.get_or_load(&id.0.to_string(), load).await?;
        Ok(found.map(|found| found.value))
    }

    async fn cached_by_member(&self, member: MemberId) -> Result<Option<Account>, Error> {
        let load = Box::pin(async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            let found = store::find_by_member(&mut conn, member).await.map_err(Arc::new)?;
            Ok::<_, Arc<sqlx::Error>>(found.map(|account| owned(account.id)))
        });
        let found = self.balances.ids.get_or_load(&member.0.to_string(), load).await?;
        match found {
            Some(id) => self.cached_by_id(id.value).await,
            None => Ok(None),
        }
    }
}

/// What readers are answered from.
#[derive(Clone)]
pub(super) struct Balances {
    accounts: Cache<Account>,
    /// Which account a member has. That never changes, so that a write renews one entry and not two.
    ids: Cache<AccountId>,
}

impl Balances {
    pub(super) fn new(redis: &Redis, db: &PgPool) -> Self {
        Self {
            accounts: Cache::new("points:account", BALANCE_TTL, redis.clone(), db),
            ids: Cache::new("points:member", BALANCE_TTL, redis.clone(), db),
        }
    }

    /// After a commit: whoever reads now sees at least this. Of one account, the last counts.
    pub(super) async fn renew(&self, changed: impl IntoIterator<Item = Account>) {
        let newest: HashMap<_, _> = changed
            .into_iter()
            .map(|account| (account.id.0.to_string(), versioned(account)))
            .collect();
        let newest: Vec<_> = newest.into_iter().collect();
        if !newest.is_empty() {
            self.accounts.put_all(&newest).await;
        }
    }

    /// After a commit: the member is no longer without an account.
    pub(super) async fn opened(&self, member: MemberId, id: AccountId) {
        self.ids.put(&member.0.to_string(), owned(id)).await;
    }
}

fn versioned(account: Account) -> Versioned<Account> {
    Versioned { version: account.balance.version(), value: account }
}

fn owned(id: AccountId) -> Versioned<AccountId> {
    Versioned { version: 1, value: id }
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
