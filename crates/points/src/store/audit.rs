//! The reads of the audit: bounded pages, without locks.

use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{AccountId, AuditedAccount, AuditedEntry, BrokenInvariant, Sums, TransferKind};

const ACCOUNTS: i64 = 500;
const ENTRIES: i64 = 5_000;
const TRANSFERS: i64 = 2_000;

/// A page of accounts after this one. True: there are more.
pub(crate) async fn audited_accounts(
    conn: &mut PgConnection,
    after: Uuid,
) -> sqlx::Result<(Vec<AuditedAccount>, bool)> {
    let select = sqlx::query!(
        r#"SELECT account_id, earned, used, held, version,
                  (SELECT coalesce(sum(h.amount), 0) FROM hold h
                   WHERE h.account_id = a.account_id AND h.state = 'active')::bigint AS "holds!"
           FROM account a WHERE account_id > $1 ORDER BY account_id LIMIT $2"#,
        after,
        ACCOUNTS,
    );
    let rows = postgres::query("audit_accounts", select.fetch_all(conn)).await?;
    let more = rows.len() as i64 == ACCOUNTS;
    let accounts = rows.into_iter().map(|row| AuditedAccount {
        account: AccountId(row.account_id),
        sums: Sums { earned: row.earned, used: row.used, held: row.held },
        version: row.version,
        holds: row.holds,
    });
    Ok((accounts.collect(), more))
}

/// A page of entries of accounts up to `last`, in the order of their accounts and versions. True: there are more.
pub(crate) async fn audited_entries(
    conn: &mut PgConnection,
    (account, version): (Uuid, i64),
    last: Uuid,
) -> sqlx::Result<(Vec<(AccountId, AuditedEntry)>, bool)> {
    let select = sqlx::query!(
        r#"SELECT account_id AS "account_id!", account_version AS "version!", amount, balance AS "balance!",
                  -- An entry without a transfer is found with the transfers.
                  coalesce((SELECT kind FROM transfer t WHERE t.transfer_id = e.transfer_id), 'earn') AS "kind!"
           FROM entry e
           WHERE (account_id, account_version) > ($1, $2) AND account_id <= $3
           ORDER BY account_id, account_version LIMIT $4"#,
        account,
        version,
        last,
        ENTRIES,
    );
    let rows = postgres::query("audit_entries", select.fetch_all(conn)).await?;
    let more = rows.len() as i64 == ENTRIES;
    let entries = rows.into_iter().map(|row| {
        let kind = TransferKind::stored(&row.kind)?;
        let (version, amount, balance) = (row.version, row.amount, row.balance);
        Ok((AccountId(row.account_id), AuditedEntry { kind, version, amount, balance }))
    });
    Ok((entries.collect::<sqlx::Result<_>>()?, more))
}

/// The broken transfers of a page after this one, each with its accounts, and the position of the next page.
pub(crate) async fn broken_transfers(
    conn: &mut PgConnection,
    after: Uuid,
) -> sqlx::Result<(Vec<(BrokenInvariant, Uuid, Vec<Uuid>)>, Option<Uuid>)> {
    let last = sqlx::query_scalar!(
        "SELECT transfer_id FROM transfer WHERE transfer_id > $1 ORDER BY transfer_id OFFSET $2 LIMIT 1",
        after,
        TRANSFERS,
    );
    let last = postgres::query("audit_transfers_end", last.fetch_optional(&mut *conn)).await?;
    let select = sqlx::query!(
        r#"SELECT coalesce(t.transfer_id, e.transfer_id) AS "transfer_id!",
                  t.transfer_id IS NULL OR e.transfer_id IS NULL AS "incomplete!",
                  coalesce(e.sum, 0) <> 0 AS "unbalanced!",
                  coalesce(e.accounts, '{}') AS "accounts!"
           FROM (SELECT transfer_id FROM transfer WHERE transfer_id > $1 AND transfer_id <= $2) t
           FULL JOIN (SELECT transfer_id, sum(amount) AS sum,
                             array_agg(DISTINCT account_id) FILTER (WHERE account_id IS NOT NULL) AS accounts
                      FROM entry WHERE transfer_id > $1 AND transfer_id <= $2 GROUP BY transfer_id) e
                ON e.transfer_id = t.transfer_id
           WHERE t.transfer_id IS NULL OR e.transfer_id IS NULL OR e.sum <> 0"#,
        after,
        last.unwrap_or(Uuid::max()),
    );
    let rows = postgres::query("audit_transfers", select.fetch_all(conn)).await?;
    let mut found = Vec::new();
    for row in rows {
        for (wrong, broken) in [
            (row.incomplete, BrokenInvariant::TransferHasEntries),
            (row.unbalanced, BrokenInvariant::TransferSumsToZero),
        ] {
            if wrong {
                found.push((broken, row.transfer_id, row.accounts.clone()));
            }
        }
    }
    Ok((found, last))
}
