//! The writes of a batch: one statement for each opened account and each hold, and one for all the rest.
//!
//! Here the service writes `idempotency_key` itself, a table of kit. That is the exception that
//! [`crate::ledger`] explains: one round trip for a batch.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use kit::command::Success;
use kit::idempotency::Key;
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Account, AccountId, Decision, Entry, Hold, HoldState, Transfer};

/// An answer, to be recorded under its key.
pub(crate) struct RecordedAnswer<'a> {
    pub(crate) principal: &'a str,
    pub(crate) key: &'a Key,
    pub(crate) success: Success,
    pub(crate) body: &'a [u8],
}

/// The rows of a batch.
pub(crate) struct BatchRows<'a> {
    pub(crate) decisions: &'a [Decision],
    /// The changed accounts after the last command, once each, in the order of their ids.
    pub(crate) accounts: &'a [Account],
    pub(crate) opened: &'a [AccountId],
    pub(crate) answers: &'a [RecordedAnswer<'a>],
    pub(crate) month: NaiveDate,
    /// By merchant, in the order of their ids.
    pub(crate) issued: &'a BTreeMap<Uuid, Issued>,
}

/// The points that a merchant gives away in a batch.
#[derive(Default)]
pub(crate) struct Issued {
    pub(crate) points: i64,
    /// The merchant's budget of the month.
    pub(crate) budget: i64,
}

pub(crate) async fn write(conn: &mut PgConnection, rows: &BatchRows<'_>) -> sqlx::Result<()> {
    open(conn, rows.accounts, rows.opened).await?;
    for hold in rows.decisions.iter().filter_map(|decision| decision.hold.as_ref()) {
        save_hold(conn, hold).await?;
    }
    append(conn, rows).await
}

async fn open(
    conn: &mut PgConnection,
    accounts: &[Account],
    opened: &[AccountId],
) -> sqlx::Result<()> {
    for account in accounts.iter().filter(|account| opened.contains(&account.id)) {
        let insert = sqlx::query!(
            "INSERT INTO account (account_id, member_id, opened_at) VALUES ($1, $2, $3)",
            account.id.0,
            account.member.0,
            account.opened_at,
        );
        postgres::query("ledger_open", insert.execute(&mut *conn)).await?;
    }
    Ok(())
}

async fn save_hold(conn: &mut PgConnection, hold: &Hold) -> sqlx::Result<()> {
    let captured = match hold.state {
        HoldState::Captured { captured, .. } => Some(captured),
        _ => None,
    };
    let terms = hold.terms.as_ref();
    let value = terms.and_then(|terms| terms.value.as_ref());
    let insert = sqlx::query!(
        "INSERT INTO hold AS old (hold_id, account_id, amount, merchant_id, reference, state, captured,
                                  expires_at, placed_by, created_at, settled_at, currency, value_minor)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT ON CONSTRAINT hold_pk DO UPDATE
         SET state = excluded.state, captured = excluded.captured, settled_at = excluded.settled_at
         WHERE old.account_id = excluded.account_id AND excluded.state <> 'active'",
        hold.id.0,
        terms.map(|terms| terms.account.0),
        terms.map(|terms| terms.amount.get()),
        terms.and_then(|terms| terms.merchant).map(|merchant| merchant.0),
        terms.map_or("", |terms| terms.reference.as_str()),
        hold.state.as_str(),
        captured,
        terms.map(|terms| terms.expires_at),
        hold.placed_by.as_ref().map(|service| service.0.as_str()),
        hold.created_at,
        hold.settled_at,
        value.map(|value| value.currency.as_str()),
        value.map(|value| value.minor),
    );
    let saved = postgres::query("ledger_hold", insert.execute(conn)).await?;
    if saved.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Appends transfers, entries and answers, and updates accounts and issuance. One statement, because a round
/// trip costs more than the work in it. All entries of a transfer are in it, because at its end the database
/// checks that they sum to zero.
///
/// The rows of a table are sent as one array for each column; `unnest` makes rows of them again.
async fn append(conn: &mut PgConnection, rows: &BatchRows<'_>) -> sqlx::Result<()> {
    let BatchRows { decisions, accounts, answers, month, issued, .. } = rows;
    let transfers: Vec<&Transfer> =
        decisions.iter().filter_map(|decision| decision.transfer.as_ref()).collect();
    let entries: Vec<(&Transfer, &Entry)> =
        transfers.iter().flat_map(|t| t.entries.iter().map(move |entry| (*t, entry))).collect();
    let issued: Vec<_> = issued.iter().collect();

    let statement = sqlx::query!(
        "WITH moved AS (
             INSERT INTO transfer (transfer_id, kind, reference, merchant_id, occurred_at, reverses, hold_id,
                                   event_id)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[],
                                  $6::uuid[], $7::uuid[], $8::uuid[])
         ), entered AS (
             INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount,
                                account_version, balance)
             SELECT * FROM unnest($9::uuid[], $10::uuid[], $11::uuid[], $12::text[], $13::bigint[],
                                  $14::bigint[], $15::bigint[])
         ), answered AS (
             INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body)
             SELECT * FROM unnest($16::text[], $17::text[], $18::text[], $19::bytea[], $20::smallint[],
                                  $21::bytea[]) AS a (principal, route, key, fingerprint, status, body)
             ORDER BY principal, route, key -- so that two batches with the same keys wait in one order
         ), settled AS (
             -- All of them exist. An update with a join could be planned to scan the table.
             INSERT INTO account (account_id, member_id, opened_at, earned, used, held, version)
             SELECT * FROM unnest($22::uuid[], $23::uuid[], $24::timestamptz[], $25::bigint[], $26::bigint[],
                                  $27::bigint[], $28::bigint[])
             ON CONFLICT ON CONSTRAINT account_pk DO UPDATE
             SET earned = excluded.earned, used = excluded.used, held = excluded.held,
                 version = excluded.version
             RETURNING account_id
         )
         -- After the accounts, and in one order, so that two batches never wait in a circle.
         INSERT INTO issuance AS old (merchant_id, month, points, budget)
         SELECT i.merchant_id, $29, i.points, i.budget
         FROM unnest($30::uuid[], $31::bigint[], $32::bigint[]) AS i (merchant_id, points, budget)
         WHERE (SELECT count(*) FROM settled) > 0
         ORDER BY i.merchant_id
         ON CONFLICT ON CONSTRAINT issuance_pk DO UPDATE
         SET points = old.points + excluded.points, budget = excluded.budget",
        // transfer
        &column(&transfers, |t| t.id.0),
        &column(&transfers, |t| t.kind.as_str().to_owned()),
        &column(&transfers, |t| t.reference.as_str().to_owned()),
        &column(&transfers, |t| t.merchant.map(|id| id.0)) as _,
        &column(&transfers, |t| t.occurred_at),
        &column(&transfers, |t| t.reverses.map(|id| id.0)) as _,
        &column(&transfers, |t| t.hold.map(|id| id.0)) as _,
        &column(&transfers, |t| t.event.map(|id| id.0)) as _,
        // entry
        &column(&entries, |(_, entry)| entry.id),
        &column(&entries, |(transfer, _)| transfer.id.0),
        &column(&entries, |(_, entry)| entry.side.member().map(|(id, _)| id.0)) as _,
        &column(&entries, |(_, entry)| entry.side.system().map(str::to_owned)) as _,
        &column(&entries, |(_, entry)| entry.amount),
        &column(&entries, |(_, entry)| entry.side.member().map(|(_, b)| b.version())) as _,
        &column(&entries, |(_, entry)| entry.side.member().map(|(_, b)| b.available())) as _,
        // idempotency_key
        &column(answers, |a| a.principal.to_owned()),
        &column(answers, |a| a.key.route.clone()),
        &column(answers, |a| a.key.value.clone()),
        &column(answers, |a| a.key.fingerprint.to_vec()),
        &column(answers, |a| i16::try_from(a.success.status()).unwrap_or(i16::MAX)), // at most 999
        &column(answers, |a| a.body.to_vec()),
        // account
        &column(accounts, |account| account.id.0),
        &column(accounts, |account| account.member.0),
        &column(accounts, |account| account.opened_at),
        &column(accounts, |account| account.balance.earned()),
        &column(accounts, |account| account.balance.used()),
        &column(accounts, |account| account.balance.held()),
        &column(accounts, |account| account.balance.version()),
        // issuance
        *month,
        &column(&issued, |(merchant, _)| **merchant),
        &column(&issued, |(_, issued)| issued.points),
        &column(&issued, |(_, issued)| issued.budget),
    );
    postgres::query("ledger_append", statement.execute(conn)).await?;
    Ok(())
}

fn column<T, V>(rows: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}
