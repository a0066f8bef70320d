//! What a batch of commands reads. Accounts are locked in the order of their ids, so that two batches
//! never wait for each other in a circle.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use kit::idempotency::Key;
use kit::postgres;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::AccountRow;
use crate::domain::{
    Account, AccountId, Amount, Currency, Earned, EventId, Held, Hold, HoldId, HoldState, MemberId,
    MerchantId, Moved, Recorded, Reference, ServiceName, TransferId, TransferKind, Value,
};

/// Makes this connection plan once for all, and for indexes, until [`any_plan`].
///
/// A statement's plan is kept by its connection, for as long as nobody analyzes the table. One made
/// while a table was nearly empty scans it, and goes on scanning it: 20 ms a batch at 200,000 keys,
/// instead of 0.1. What a batch asks, an index always answers; so do the checks of foreign keys, whose
/// plans are kept in the same way. Without the second setting each batch is planned anew, because arrays
/// of eight look cheaper than those of unknown length: a tenth of all that the ledger can do.
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

/// The first answer to a command.
pub(crate) struct Kept {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) status: i16,
    pub(crate) body: Vec<u8>,
}

/// Whose key, on which route, and the key.
pub(crate) type KeyName = (String, String, String);

pub(crate) fn name(principal: &str, key: &Key) -> KeyName {
    (principal.to_owned(), key.route.clone(), key.value.clone())
}

/// The accounts of these members, of these holds, and in these transfers.
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

/// These accounts, and what was answered to these keys before, at one moment.
pub(crate) async fn look(
    conn: &mut PgConnection,
    ids: &[Uuid],
    names: &[KeyName],
) -> sqlx::Result<(Vec<Account>, HashMap<KeyName, Kept>)> {
    let (principals, routes, keys) = columns(names);
    let select = sqlx::query!(
        // Each by its own index lookup: see `index_only`.
        r#"SELECT account.account_id AS "account_id?", member_id AS "member_id?", earned AS "earned?",
                  used AS "used?", held AS "held?", version AS "version?", opened_at AS "opened_at?",
                  NULL AS "asked?: i64", NULL AS "fingerprint?: Vec<u8>", NULL AS "status?: i16",
                  NULL AS "body?: Vec<u8>"
           FROM account WHERE account_id = ANY ($1)
           UNION ALL
           SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, asked.n, kept.fingerprint, kept.status,
                  kept.body
           FROM unnest($2::text[], $3::text[], $4::text[])
                WITH ORDINALITY AS asked (principal, route, key, n)
           CROSS JOIN LATERAL (
               SELECT * FROM idempotency_key k
               WHERE k.principal = asked.principal AND k.route = asked.route AND k.key = asked.key
               LIMIT 1) AS kept"#,
        ids,
        &principals,
        &routes,
        &keys,
    );
    let rows = postgres::query("ledger_look", select.fetch_all(conn)).await?;
    let (mut accounts, mut kept) = (Vec::with_capacity(ids.len()), HashMap::new());
    for row in rows {
        if let (
            Some(account_id),
            Some(member_id),
            Some(earned),
            Some(used),
            Some(held),
            Some(version),
            Some(opened_at),
        ) = (
            row.account_id,
            row.member_id,
            row.earned,
            row.used,
            row.held,
            row.version,
            row.opened_at,
        ) {
            let row = AccountRow { account_id, member_id, earned, used, held, version, opened_at };
            accounts.push(row.into());
        } else if let (Some(asked), Some(fingerprint), Some(status), Some(body)) =
            (row.asked, row.fingerprint, row.status, row.body)
        {
            let asked = usize::try_from(asked - 1).ok().and_then(|index| names.get(index));
            let name = asked.ok_or_else(|| corrupt("a key that nobody asked for"))?;
            kept.insert(name.clone(), Kept { fingerprint, status, body });
        }
    }
    Ok((accounts, kept))
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

/// Locks those of these accounts that nobody else has locked.
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

/// Those of these accounts that there are, and whose they are. Waits for nobody.
pub(crate) async fn owners(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<Vec<(AccountId, MemberId)>> {
    let select =
        sqlx::query!("SELECT account_id, member_id FROM account WHERE account_id = ANY ($1)", ids,);
    let rows = postgres::query("ledger_owners", select.fetch_all(conn)).await?;
    Ok(rows.into_iter().map(|row| (AccountId(row.account_id), MemberId(row.member_id))).collect())
}

/// What was answered to these keys before.
pub(crate) async fn kept(
    conn: &mut PgConnection,
    names: &[KeyName],
) -> sqlx::Result<HashMap<KeyName, Kept>> {
    let (principals, routes, keys) = columns(names);
    let select = sqlx::query!(
        // One index lookup for each key, whatever the planner believes of the table's size: see `index_only`.
        r#"SELECT kept.principal AS "principal!", kept.route AS "route!", kept.key AS "key!",
                  kept.fingerprint AS "fingerprint!", kept.status AS "status!", kept.body AS "body!"
           FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (principal, route, key)
           CROSS JOIN LATERAL (
               SELECT * FROM idempotency_key k
               WHERE k.principal = asked.principal AND k.route = asked.route AND k.key = asked.key
               LIMIT 1) AS kept"#,
        &principals,
        &routes,
        &keys,
    );
    let rows = postgres::query("ledger_kept", select.fetch_all(conn)).await?;
    let kept = rows.into_iter().map(|row| {
        let kept = Kept { fingerprint: row.fingerprint, status: row.status, body: row.body };
        ((row.principal, row.route, row.key), kept)
    });
    Ok(kept.collect())
}

/// The database's time: it alone decides when a hold is over.
pub(crate) async fn now(conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    let select = sqlx::query_scalar!(r#"SELECT now() AS "now!""#);
    postgres::query("ledger_now", select.fetch_one(conn)).await
}

/// Holds, whose accounts are locked.
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
            let of = match (row.account_id, row.amount, row.expires_at) {
                (Some(account), Some(amount), Some(expires_at)) => Some(Held {
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
                _ => return Err(corrupt("a hold in no state")),
            };
            let (id, created_at, settled_at) =
                (HoldId(row.hold_id), row.created_at, row.settled_at);
            let placed_by = row.placed_by.map(ServiceName);
            Ok(Hold { id, state, of, placed_by, created_at, settled_at })
        })
        .collect()
}

/// Transfers that may be reversed, and what reversed them.
pub(crate) async fn recorded(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<TransferId, Recorded>> {
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
    let mut found: HashMap<TransferId, Recorded> = HashMap::new();
    for row in rows {
        let kind = TransferKind::stored(&row.kind)?;
        let id = TransferId(row.transfer_id);
        let recorded = found.entry(id).or_insert_with(|| Recorded {
            kind,
            merchant: row.merchant_id.map(MerchantId),
            placed_by: row.placed_by.map(ServiceName),
            reversed: reversals.remove(&id),
            lines: Vec::new(),
        });
        recorded.lines.push((AccountId(row.account_id), row.amount));
    }
    Ok(found)
}

/// The reversals of these transfers, at the first of their accounts.
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
pub(crate) async fn earned(
    conn: &mut PgConnection,
    events: &[Uuid],
) -> sqlx::Result<Vec<(EventId, Earned)>> {
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
        (EventId(row.event_id), Earned { moved, merchant, reference })
    });
    Ok(earned.collect())
}

/// Holds whose time is over, a page of them after this place, and where the next page begins.
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

fn columns(names: &[KeyName]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let column =
        |pick: fn(&KeyName) -> &String| names.iter().map(|name| pick(name).clone()).collect();
    (column(|name| &name.0), column(|name| &name.1), column(|name| &name.2))
}

impl TransferKind {
    pub(super) fn stored(name: &str) -> sqlx::Result<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| corrupt("a transfer of no kind"))
    }
}

fn corrupt(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
