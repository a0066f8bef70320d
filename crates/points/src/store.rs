//! The SQL. Every function takes a connection, so that the caller owns the transaction.

mod history;

pub(crate) use history::history;

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::Which;
use crate::domain::{Account, AccountId, Balance, MemberId, MerchantId, Reference, TransferKind};

/// One movement of points, as recorded.
pub(crate) struct Transfer<'a> {
    pub(crate) id: Uuid,
    pub(crate) kind: TransferKind,
    pub(crate) reference: &'a Reference,
    pub(crate) merchant: MerchantId,
    pub(crate) occurred_at: DateTime<Utc>,
}

/// The member's side of a transfer.
pub(crate) struct MemberEntry {
    pub(crate) id: Uuid,
    pub(crate) account: AccountId,
    pub(crate) amount: i64,
    /// The account's balance after it.
    pub(crate) balance: Balance,
}

struct AccountRow {
    account_id: Uuid,
    member_id: Uuid,
    earned: i64,
    used: i64,
    held: i64,
    version: i64,
    opened_at: DateTime<Utc>,
}

/// Opens the account unless its member has one. True if it was opened now.
pub(crate) async fn open(conn: &mut PgConnection, account: &Account) -> sqlx::Result<bool> {
    let insert = sqlx::query!(
        "INSERT INTO account (account_id, member_id, opened_at) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT account_one_per_member DO NOTHING",
        account.id.0,
        account.member.0,
        account.opened_at,
    );
    let done = postgres::query("account_open", insert.execute(conn)).await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn find(conn: &mut PgConnection, id: AccountId) -> sqlx::Result<Option<Account>> {
    let select = sqlx::query_as!(
        AccountRow,
        "SELECT account_id, member_id, earned, used, held, version, opened_at
         FROM account WHERE account_id = $1",
        id.0,
    );
    let row = postgres::query("account_find", select.fetch_optional(conn)).await?;
    Ok(row.map(Account::from))
}

pub(crate) async fn find_by_member(
    conn: &mut PgConnection,
    member: MemberId,
) -> sqlx::Result<Option<Account>> {
    let select = sqlx::query_as!(
        AccountRow,
        "SELECT account_id, member_id, earned, used, held, version, opened_at
         FROM account WHERE member_id = $1",
        member.0,
    );
    let row = postgres::query("account_find_by_member", select.fetch_optional(conn)).await?;
    Ok(row.map(Account::from))
}

/// An account with its owner in the query.
pub(crate) async fn find_visible(
    conn: &mut PgConnection,
    which: Which,
) -> sqlx::Result<Option<Account>> {
    let (id, member) = match which {
        Which::Of(member) => return find_by_member(conn, member).await,
        Which::Any(id) => return find(conn, id).await,
        Which::Owned(id, member) => (id, member),
    };
    let select = sqlx::query_as!(
        AccountRow,
        "SELECT account_id, member_id, earned, used, held, version, opened_at
         FROM account WHERE account_id = $1 AND member_id = $2",
        id.0,
        member.0,
    );
    let row = postgres::query("account_find_owned", select.fetch_optional(conn)).await?;
    Ok(row.map(Account::from))
}

/// Reads an account and holds its row until the transaction ends.
pub(crate) async fn lock(conn: &mut PgConnection, id: AccountId) -> sqlx::Result<Option<Account>> {
    let select = sqlx::query_as!(
        AccountRow,
        "SELECT account_id, member_id, earned, used, held, version, opened_at
         FROM account WHERE account_id = $1 FOR NO KEY UPDATE",
        id.0,
    );
    let row = postgres::query("account_lock", select.fetch_optional(conn)).await?;
    Ok(row.map(Account::from))
}

/// As [`lock`], by the account's owner.
pub(crate) async fn lock_by_member(
    conn: &mut PgConnection,
    member: MemberId,
) -> sqlx::Result<Option<Account>> {
    let select = sqlx::query_as!(
        AccountRow,
        "SELECT account_id, member_id, earned, used, held, version, opened_at
         FROM account WHERE member_id = $1 FOR NO KEY UPDATE",
        member.0,
    );
    let row = postgres::query("account_lock_by_member", select.fetch_optional(conn)).await?;
    Ok(row.map(Account::from))
}

/// Writes the balance of a locked account.
pub(crate) async fn save_balance(
    conn: &mut PgConnection,
    id: AccountId,
    balance: Balance,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE account SET earned = $2, used = $3, held = $4, version = $5 WHERE account_id = $1",
        id.0,
        balance.earned(),
        balance.used(),
        balance.held(),
        balance.version(),
    );
    postgres::query("account_save_balance", update.execute(conn)).await?;
    Ok(())
}

/// Appends a transfer between the member and the issuer. Both entries go in one statement, because
/// the database checks at its end that they sum to zero.
pub(crate) async fn append(
    conn: &mut PgConnection,
    transfer: &Transfer<'_>,
    entry: &MemberEntry,
    issuance_entry: Uuid,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO transfer (transfer_id, kind, reference, merchant_id, occurred_at)
         VALUES ($1, $2, $3, $4, $5)",
        transfer.id,
        transfer.kind.as_str(),
        transfer.reference.as_str(),
        transfer.merchant.0,
        transfer.occurred_at,
    );
    postgres::query("transfer_append", insert.execute(&mut *conn)).await?;

    let insert = sqlx::query!(
        "INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance)
         VALUES ($1, $3, $4, NULL, $5, $6, $7), ($2, $3, NULL, 'issuance', -$5::bigint, NULL, NULL)",
        entry.id,
        issuance_entry,
        transfer.id,
        entry.account.0,
        entry.amount,
        entry.balance.version(),
        entry.balance.available(),
    );
    postgres::query("entry_append", insert.execute(conn)).await?;
    Ok(())
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self {
            id: AccountId(row.account_id),
            member: MemberId(row.member_id),
            balance: Balance::from_stored(row.earned, row.used, row.held, row.version),
            opened_at: row.opened_at,
        }
    }
}
