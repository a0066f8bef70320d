//! The SQL. Every function takes a connection, so that the caller owns the transaction.

mod audit;
mod history;
mod issuance;
mod keys;
mod load;
mod merchants;
mod rules;
mod statement;
mod write;

pub(crate) use audit::{audited_accounts, audited_entries, broken_transfers};
pub(crate) use history::history;
pub(crate) use issuance::{highest_used, issuance, set_bounds, set_tender, tenders};
pub(crate) use keys::{FirstAnswer, KeyId, accounts_and_keys, first_answers};
pub(crate) use load::{
    accounts_behind, any_plan, begin, event_earnings, holds, index_only, lock, lock_free, now,
    overdue, owners, reversible_transfers,
};
pub(crate) use merchants::{has_role, joined, left};
pub(crate) use rules::{add_rule, end_rule, list_rules, lock_rule, rules_since, withdraw_rule};
pub(crate) use statement::statement;
pub(crate) use write::{BatchRows, Issued, RecordedAnswer, write};

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Account, AccountId, AccountRef, Actor, Balance, Hold, HoldId, MemberId};

struct AccountRow {
    account_id: Uuid,
    member_id: Uuid,
    earned: i64,
    used: i64,
    held: i64,
    version: i64,
    opened_at: DateTime<Utc>,
}

/// Opens the account, unless its member has one. Returns true if it was opened now.
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

/// A hold, and the member whose points it holds.
pub(crate) async fn find_hold(
    conn: &mut PgConnection,
    id: HoldId,
) -> sqlx::Result<Option<(Hold, MemberId)>> {
    let Some(hold) = holds(conn, &[id.0]).await?.pop() else { return Ok(None) };
    let Some(terms) = &hold.terms else { return Ok(None) };
    let account = find(conn, terms.account).await?;
    Ok(account.map(|account| (hold, account.member)))
}

/// An account that the actor may read. The owner is part of the query.
pub(crate) async fn find_visible(
    conn: &mut PgConnection,
    by: &Actor,
    account: AccountRef,
) -> sqlx::Result<Option<Account>> {
    let (id, member) = match (account, by.member()) {
        (AccountRef::Member(owner), _) if by.may_use_account_of(owner) => {
            return find_by_member(conn, owner).await;
        }
        (AccountRef::Member(_), _) => return Ok(None),
        (AccountRef::Id(id), None) => return find(conn, id).await,
        (AccountRef::Id(id), Some(member)) => (id, member),
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
