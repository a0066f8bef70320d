//! The audit: ledger and balances say the same, or somebody is told.
//!
//! It reads bounded pages without a lock or a long snapshot. The ledger only grows, so an account's entries
//! up to the version that was read with its balance are complete whatever happens meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use kit::{jobs, postgres};
use observability::metrics::invariant_violated;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Points;
use crate::domain::{AccountId, Broken, Standing, Trail};
use crate::store;

const PERIOD: Duration = Duration::from_hours(1);

/// What an audit has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    pub accounts: u64,
    /// Rules that do not hold. Each was logged and counted.
    pub broken: u64,
}

impl Points {
    /// Audits every hour, on one replica, until `stop`.
    pub(super) async fn audit_hourly(self, stop: CancellationToken) {
        let db = self.db.clone();
        jobs::every("reconcile", PERIOD, self.db, stop, move || {
            let db = db.clone();
            async move { reconcile(&db).await.map(|_| ()).map_err(anyhow::Error::from) }
        })
        .await;
    }
}

/// Audits once, for an operator: an error when anything is broken.
pub async fn audit(db: &PgPool) -> anyhow::Result<()> {
    let broken = reconcile(db).await?.broken;
    anyhow::ensure!(broken == 0, "{broken} rules of the ledger are broken: see the log");
    Ok(())
}

/// Audits once.
pub async fn reconcile(db: &PgPool) -> sqlx::Result<Audit> {
    let mut audit = Audit::default();
    let mut conn = postgres::query("acquire", db.acquire()).await?;
    audit.accounts(&mut conn).await?;
    audit.transfers(&mut conn).await?;
    let Audit { accounts, broken } = audit;
    tracing::info!(accounts, broken, "audit done");
    Ok(audit)
}

impl Audit {
    async fn accounts(&mut self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let mut after = Uuid::nil();
        loop {
            let (standings, more) = store::standings(conn, after).await?;
            self.accounts += standings.len() as u64;
            let Some(last) = standings.last().map(|standing| standing.account.0) else {
                return Ok(());
            };
            self.histories(conn, after, last, &standings).await?;
            if !more {
                return Ok(());
            }
            after = last;
        }
    }

    async fn histories(
        &mut self,
        conn: &mut PgConnection,
        after: Uuid,
        upto: Uuid,
        standings: &[Standing],
    ) -> sqlx::Result<()> {
        let mut trails: HashMap<AccountId, Trail> =
            standings.iter().map(|standing| (standing.account, Trail::new(*standing))).collect();
        // Past every entry of the account before.
        let mut place = (after, i64::MAX);
        loop {
            let (steps, more) = store::steps(conn, place, upto).await?;
            for (account, step) in &steps {
                place = (account.0, step.version);
                if let Some(trail) = trails.get_mut(account) {
                    trail.step(*step);
                }
            }
            if !more {
                break;
            }
        }
        for (account, trail) in trails {
            for broken in trail.end() {
                self.found(broken, None, &[account.0]);
            }
        }
        Ok(())
    }

    async fn transfers(&mut self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let mut after = Some(Uuid::nil());
        while let Some(place) = after {
            let (found, last) = store::broken_transfers(conn, place).await?;
            for (broken, transfer, accounts) in found {
                self.found(broken, Some(transfer), &accounts);
            }
            after = last;
        }
        Ok(())
    }

    /// Says which accounts it is about, and counts, which alerts.
    fn found(&mut self, broken: Broken, transfer: Option<Uuid>, accounts: &[Uuid]) {
        self.broken += 1;
        let (aggregate, invariant) = (broken.aggregate(), broken.invariant());
        let transfer_id = transfer.map(|id| id.to_string());
        let accounts: Vec<_> = accounts.iter().map(Uuid::to_string).collect();
        tracing::error!(
            aggregate,
            invariant,
            transfer_id,
            account_id = accounts.join(" "),
            "the books contradict themselves"
        );
        invariant_violated(aggregate, invariant);
    }
}
