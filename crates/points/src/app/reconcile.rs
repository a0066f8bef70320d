//! The audit: compares the ledger with the balances, and alerts when they differ.
//!
//! It reads bounded pages without a lock or a long snapshot. The ledger only grows, so an account's entries up
//! to the version that was read with its balance are complete, whatever happens meanwhile.

use std::collections::HashMap;

use kit::postgres;
use observability::metrics::invariant_violated;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Points;
use crate::domain::{AccountAudit, AccountId, AuditedAccount, BrokenInvariant};
use crate::store;

/// The result of an audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    pub accounts: u64,
    /// The number of broken rules. Each was logged and counted.
    pub broken: u64,
}

impl Points {
    /// Audits once.
    pub async fn reconcile(&self) -> sqlx::Result<Audit> {
        reconcile(&self.db).await
    }
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
            let (accounts, more) = store::audited_accounts(conn, after).await?;
            self.accounts += accounts.len() as u64;
            let Some(last) = accounts.last().map(|account| account.account.0) else {
                return Ok(());
            };
            self.histories(conn, after, last, &accounts).await?;
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
        accounts: &[AuditedAccount],
    ) -> sqlx::Result<()> {
        let mut audits: HashMap<AccountId, AccountAudit> =
            accounts.iter().map(|read| (read.account, AccountAudit::new(*read))).collect();
        // After every entry of the account before.
        let mut position = (after, i64::MAX);
        loop {
            let (entries, more) = store::audited_entries(conn, position, upto).await?;
            for (account, entry) in &entries {
                position = (account.0, entry.version);
                if let Some(audit) = audits.get_mut(account) {
                    audit.add(*entry);
                }
            }
            if !more {
                break;
            }
        }
        for (account, audit) in audits {
            for broken in audit.finish() {
                self.found(broken, None, &[account.0]);
            }
        }
        Ok(())
    }

    async fn transfers(&mut self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let mut after = Some(Uuid::nil());
        while let Some(position) = after {
            let (found, last) = store::broken_transfers(conn, position).await?;
            for (broken, transfer, accounts) in found {
                self.found(broken, Some(transfer), &accounts);
            }
            after = last;
        }
        Ok(())
    }

    /// Logs a broken rule with its accounts, and counts it: the count alerts.
    fn found(&mut self, broken: BrokenInvariant, transfer: Option<Uuid>, accounts: &[Uuid]) {
        self.broken += 1;
        let (aggregate, invariant) = (broken.aggregate(), broken.invariant());
        let transfer_id = transfer.map(|id| id.to_string());
        let accounts: Vec<_> = accounts.iter().map(Uuid::to_string).collect();
        tracing::error!(
            aggregate,
            invariant,
            transfer_id,
            account_id = accounts.join(" "),
            "ledger and balances differ"
        );
        invariant_violated(aggregate, invariant);
    }
}
