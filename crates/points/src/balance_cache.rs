//! The cache of balances. The ledger renews it after every commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kit::cache::{Cache, Versioned};
use kit::postgres;
use kit::redis::Redis;
use sqlx::PgPool;

use crate::domain::{Account, AccountId, AccountRef, MemberId};
use crate::store;

/// The time that a cached balance may be used.
const TTL: Duration = Duration::from_mins(5);

#[derive(Clone)]
pub(crate) struct BalanceCache {
    db: PgPool,
    accounts: Cache<Account>,
    /// The account of each member. It never changes, so a write renews one entry instead of two.
    ids: Cache<AccountId>,
}

impl BalanceCache {
    pub(crate) fn new(redis: &Redis, db: &PgPool) -> Self {
        Self {
            db: db.clone(),
            accounts: Cache::new("points:account", TTL, redis.clone(), db),
            ids: Cache::new("points:member", TTL, redis.clone(), db),
        }
    }

    /// An account as it was at most five minutes ago, and never before the caller's own last write.
    pub(crate) async fn find(
        &self,
        account: AccountRef,
    ) -> Result<Option<Account>, Arc<sqlx::Error>> {
        match account {
            AccountRef::Id(id) => self.by_id(id).await,
            AccountRef::Member(member) => match self.id_of(member).await? {
                Some(id) => self.by_id(id).await,
                None => Ok(None),
            },
        }
    }

    async fn by_id(&self, id: AccountId) -> Result<Option<Account>, Arc<sqlx::Error>> {
        // Boxed, as every load: a miss is rare, and its future is large.
        let load = Box::pin(async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            store::find(&mut conn, id).await.map(|found| found.map(versioned)).map_err(Arc::new)
        });
        let found = self.accounts.get_or_load(&id.0.to_string(), load).await?;
        Ok(found.map(|found| found.value))
    }

    async fn id_of(&self, member: MemberId) -> Result<Option<AccountId>, Arc<sqlx::Error>> {
        let load = Box::pin(async {
            let mut conn = postgres::query("acquire", self.db.acquire()).await.map_err(Arc::new)?;
            let found = store::find_by_member(&mut conn, member).await.map_err(Arc::new)?;
            Ok::<_, Arc<sqlx::Error>>(found.map(|account| unversioned(account.id)))
        });
        let found = self.ids.get_or_load(&member.0.to_string(), load).await?;
        Ok(found.map(|found| found.value))
    }

    /// Renews accounts after a commit. Of each account, the last counts.
    pub(crate) async fn renew(&self, changed: impl IntoIterator<Item = Account>) {
        let newest: HashMap<_, _> = changed
            .into_iter()
            .map(|account| (account.id.0.to_string(), versioned(account)))
            .collect();
        let newest: Vec<_> = newest.into_iter().collect();
        if !newest.is_empty() {
            self.accounts.put_all(&newest).await;
        }
    }

    /// Notes after a commit that the member has an account.
    pub(crate) async fn opened(&self, member: MemberId, id: AccountId) {
        self.ids.put(&member.0.to_string(), unversioned(id)).await;
    }
}

fn versioned(account: Account) -> Versioned<Account> {
    Versioned { version: account.balance.version(), value: account }
}

fn unversioned(id: AccountId) -> Versioned<AccountId> {
    Versioned { version: 1, value: id }
}
