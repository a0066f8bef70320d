//! The reads of a batch of commands. Accounts are locked in the order of their ids, so that two batches
//! never wait for each other in a circle.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::AccountRow;
use crate::domain::{
    Account, AccountId, Amount, Currency, EventEarning, EventId, Hold, HoldId, HoldState,
    HoldTerms, MemberId, MerchantId, Moved, Reference, ReversibleTransfer, ServiceName, TransferId,
    TransferKind, Value,
};

/// Makes this connection plan each statement once, with indexes, until [`any_plan`].
///
/// A connection keeps a statement's plan until the table is analyzed. A plan that was made while a table
/// was nearly empty scans it, and goes on scanning it: 20 ms a batch at 200,000 keys, instead of 0.1. The
/// statements of a batch always have an index, and so have the checks of foreign keys, whose plans are
/// kept in the same way. Without the second setting each batch is planned anew, because arrays of eight
/// look cheaper than arrays of unknown length: that costs a tenth of the ledger's throughput.
pub(crate) async fn index_only(conn: &mut PgConnection) -> sqlx::Result<()> {
    const PLANS: &str = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan";
    postgres::query("ledger_settings", sqlx::raw_sql(PLANS).execute(conn)).await.map(|_| ())
}

pub(crate) async fn any_plan(conn: &mut PgConnection) -> sqlx::Result<()> {
    const PLANS: &str = "RESET enable_seqscan; RESET plan_cache_mode";
    postgres::query("ledger_settings", sqlx::raw_sql(PLANS).execute(conn)).await.map(|_| ())
}

/// Begins the transaction of a batch that locks.
pub(crate) async fn begin(conn: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    postgres::begin_with(conn, "BEGIN").await
}

/// The accounts of these members, holds and transfers.
pub(crate) async fn accounts_behind(
    conn: &mut PgConnection,
    members: &[Uuid],
    holds: &[Uuid],
    transfers: &[Uuid],
) -> sqlx::Result<Vec<Uuid>> {
    let select = sqlx::query_scalar!(
        r#"SELECT account_id AS "account_id!" FROM account WHERE member_id = ANY ($1)
           UNION SELECT account_id FROM hold WHERE hold_id = ANY ($2) AND account_id IS NOT NULL
           UNION SELECT account_id FROM entry WHERE transfer_id = ANY ($3) AND account_id IS NOT NULL"#,
        members,
        holds,
        transfers,
    );
    postgres::query("ledger_resolve", select.fetch_all(conn)).await
}

/// Locks these accounts until the transaction ends.
pub(crate) async fn lock(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Account>> {
    let select = sqlx::query_as!(
        AccountRow,
        "SELECT account_id, member_id, earned, used, held, version, opened_at
         FROM account WHERE account_id = ANY ($1) ORDER BY account_id FOR NO KEY UPDATE",
        ids,
    );
    let rows = postgres::query("ledger_lock", select.fetch_all(conn)).await?;
    Ok(rows.into_iter().map(Account::from).collect())
}

/// Locks those of these accounts that are not locked yet.
pub(crate) async fn lock_free(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Account>> {
    let select = sqlx::query_as!(
        AccountRow,
        "SELECT account_id, member_id, earned, used, held, version, opened_at
         FROM account WHERE account_id = ANY ($1) ORDER BY account_id
         FOR NO KEY UPDATE SKIP LOCKED",
        ids,
    );
    let rows = postgres::query("ledger_lock_free", select.fetch_all(conn)).await?;
    Ok(rows.into_iter().map(Account::from).collect())
}

/// Those of these accounts that exist, and their members. Waits for no lock.
pub(crate) async fn owners(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<Vec<(AccountId, MemberId)>> {
    let select =
        sqlx::query!("SELECT account_id, member_id FROM account WHERE account_id = ANY ($1)", ids,);
    let rows = postgres::query("ledger_owners", select.fetch_all(conn)).await?;
    Ok(rows.into_iter().map(|row| (AccountId(row.account_id), MemberId(row.member_id))).collect())
}

/// The database's time, which alone decides when a hold expires.
pub(crate) async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    let select = sqlx::query_scalar!(r#"SELECT now() AS "now!""#);
    postgres::query("ledger_now", select.fetch_one(conn)).await
}

/// These holds.
pub(crate) async fn holds(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Hold>> {
    let select = sqlx::query!(
        r#"SELECT hold_id, account_id, amount, merchant_id, reference, state, captured, expires_at,
                  placed_by, created_at, settled_at, currency, value_minor,
                  (SELECT transfer_id FROM transfer t
                   WHERE t.hold_id = h.hold_id AND t.kind = 'capture') AS capture
           FROM hold h WHERE hold_id = ANY ($1)"#,
        ids,
    );
    let rows = postgres::query("ledger_holds", select.fetch_all(conn)).await?;
    rows.into_iter()
        .map(|row| {
            let terms = match (row.account_id, row.amount, row.expires_at) {
                (Some(account), Some(amount), Some(expires_at)) => Some(HoldTerms {
                    account: AccountId(account),
                    amount: Amount::new(amount).map_err(corrupt)?,
                    merchant: row.merchant_id.map(MerchantId),
                    reference: Reference::from_stored(row.reference),
                    value: row.value_minor.zip(row.currency).map(|(minor, currency)| Value {
                        minor,
                        currency: Currency::from_stored(currency),
                    }),
                    expires_at,
                }),
                _ => None,
            };
            let state = match (row.state.as_str(), row.captured.zip(row.capture)) {
                ("active", None) => HoldState::Active,
                ("captured", Some((captured, transfer))) => {
                    HoldState::Captured { captured, transfer: TransferId(transfer) }
                }
                ("released", None) => HoldState::Released,
                ("expired", None) => HoldState::Expired,
                _ => return Err(corrupt("a hold has an unknown state")),
            };
            let (id, created_at, settled_at) =
                (HoldId(row.hold_id), row.created_at, row.settled_at);
            let placed_by = row.placed_by.map(ServiceName);
            Ok(Hold { id, state, terms, placed_by, created_at, settled_at })
        })
        .collect()
}

/// These transfers, with their reversals.
pub(crate) async fn reversible_transfers(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<TransferId, ReversibleTransfer>> {
    let select = sqlx::query!(
        r#"SELECT t.transfer_id, t.kind, t.merchant_id, h.placed_by AS "placed_by?",
                  e.account_id AS "account_id!", e.amount
           FROM transfer t JOIN entry e USING (transfer_id) LEFT JOIN hold h ON h.hold_id = t.hold_id
           WHERE t.transfer_id = ANY ($1) AND e.account_id IS NOT NULL
           ORDER BY e.amount"#,
        ids,
    );
    let rows = postgres::query("ledger_recorded", select.fetch_all(&mut *conn)).await?;
    let mut reversals = reversals(conn, ids).await?;
    let mut found: HashMap<TransferId, ReversibleTransfer> = HashMap::new();
    for row in rows {
        let kind = TransferKind::stored(&row.kind)?;
        let id = TransferId(row.transfer_id);
        let transfer = found.entry(id).or_insert_with(|| ReversibleTransfer {
            kind,
            merchant: row.merchant_id.map(MerchantId),
            placed_by: row.placed_by.map(ServiceName),
            reversed: reversals.remove(&id),
            entries: Vec::new(),
        });
        transfer.entries.push((AccountId(row.account_id), row.amount));
    }
    Ok(found)
}

/// The reversals of these transfers, seen from the first of their accounts.
async fn reversals(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<TransferId, Moved>> {
    let select = sqlx::query!(
        r#"SELECT DISTINCT ON (t.transfer_id) t.transfer_id, t.reverses AS "reverses!", e.entry_id,
                  e.account_id AS "account_id!", e.amount, e.balance AS "balance!",
                  e.account_version AS "version!"
           FROM transfer t JOIN entry e USING (transfer_id)
           WHERE t.reverses = ANY ($1) AND e.account_id IS NOT NULL
           ORDER BY t.transfer_id, e.entry_id"#,
        ids,
    );
    let rows = postgres::query("ledger_reversals", select.fetch_all(conn)).await?;
    let moved = rows.into_iter().map(|row| {
        let moved = Moved {
            transfer: TransferId(row.transfer_id),
            entry: row.entry_id,
            account: AccountId(row.account_id),
            points: row.amount.abs(),
            available: row.balance,
            version: row.version,
        };
        (TransferId(row.reverses), moved)
    });
    Ok(moved.collect())
}

/// The earnings of these events.
pub(crate) async fn event_earnings(
    conn: &mut PgConnection,
    events: &[Uuid],
) -> sqlx::Result<Vec<(EventId, EventEarning)>> {
    let select = sqlx::query!(
        r#"SELECT t.event_id AS "event_id!", t.transfer_id, t.merchant_id, t.reference, e.entry_id,
                  e.account_id AS "account_id!", e.amount, e.balance AS "balance!",
                  e.account_version AS "version!"
           FROM transfer t JOIN entry e USING (transfer_id)
           WHERE t.event_id = ANY ($1) AND e.account_id IS NOT NULL"#,
        events,
    );
    let rows = postgres::query("ledger_earned", select.fetch_all(conn)).await?;
    let earned = rows.into_iter().map(|row| {
        let moved = Moved {
            transfer: TransferId(row.transfer_id),
            entry: row.entry_id,
            account: AccountId(row.account_id),
            points: row.amount,
            available: row.balance,
            version: row.version,
        };
        let reference = Reference::from_stored(row.reference);
        let merchant = row.merchant_id.map(MerchantId);
        (EventId(row.event_id), EventEarning { moved, merchant, reference })
    });
    Ok(earned.collect())
}

/// A page of expired holds after this position, and the position of the next page.
pub(crate) async fn overdue(
    conn: &mut PgConnection,
    after: (DateTime<Utc>, Uuid),
) -> sqlx::Result<(Vec<HoldId>, Option<(DateTime<Utc>, Uuid)>)> {
    let select = sqlx::query!(
        r#"SELECT hold_id, expires_at AS "expires_at!" FROM hold
           WHERE state = 'active' AND expires_at <= now() AND (expires_at, hold_id) > ($1, $2)
           ORDER BY expires_at, hold_id LIMIT 64"#,
        after.0,
        after.1,
    );
    let rows = postgres::query("hold_overdue", select.fetch_all(conn)).await?;
    let next = rows.last().map(|row| (row.expires_at, row.hold_id));
    Ok((rows.into_iter().map(|row| HoldId(row.hold_id)).collect(), next))
}

impl TransferKind {
    pub(super) fn stored(name: &str) -> sqlx::Result<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| corrupt("a transfer has an unknown kind"))
    }
}

pub(super) fn corrupt(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(problem.into())
}
