//! What a batch of commands writes: a statement for each kind of row, however many commands there are.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use kit::idempotency::{Answer, Key};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Account, AccountId, Decision, Hold, Side, Transfer};

/// A command's key, and what it was answered.
pub(crate) struct Answered<'a> {
    pub(crate) principal: &'a str,
    pub(crate) key: &'a Key,
    pub(crate) answer: &'a Answer,
}

/// Everything that the commands of a batch decided.
pub(crate) struct Batch<'a> {
    pub(crate) decisions: &'a [Decision],
    /// The changed ones, once each, as they are after the last command, in the order of their ids.
    pub(crate) accounts: &'a [Account],
    pub(crate) opened: &'a [AccountId],
    pub(crate) answered: &'a [Answered<'a>],
    pub(crate) month: NaiveDate,
    /// What merchants give away, once each, in the order of their ids: points, and the budget of the month.
    pub(crate) issued: &'a BTreeMap<Uuid, (i64, i64)>,
}

pub(crate) async fn write(conn: &mut PgConnection, batch: &Batch<'_>) -> sqlx::Result<()> {
    open(conn, batch.accounts, batch.opened).await?;
    for hold in batch.decisions.iter().filter_map(|decision| decision.hold.as_ref()) {
        save_hold(conn, hold).await?;
    }
    append(conn, batch).await
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
        crate::domain::HoldState::Captured { captured, .. } => Some(captured),
        _ => None,
    };
    let of = hold.of.as_ref();
    let value = of.and_then(|held| held.value.as_ref());
    let insert = sqlx::query!(
        "INSERT INTO hold AS old (hold_id, account_id, amount, merchant_id, reference, state, captured,
                                  expires_at, placed_by, created_at, settled_at, currency, value_minor)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT ON CONSTRAINT hold_pk DO UPDATE
         SET state = excluded.state, captured = excluded.captured, settled_at = excluded.settled_at
         WHERE old.account_id = excluded.account_id AND excluded.state <> 'active'",
        hold.id.0,
        of.map(|held| held.account.0),
        of.map(|held| held.amount.get()),
        of.and_then(|held| held.merchant).map(|merchant| merchant.0),
        of.map_or("", |held| held.reference.as_str()),
        hold.state.as_str(),
        captured,
        of.map(|held| held.expires_at),
        hold.placed_by.as_ref().map(|service| service.0.as_str()),
        hold.created_at,
        hold.settled_at,
        value.map(|value| value.currency.as_str()),
        value.map(|value| value.minor),
    );
    let saved = postgres::query("ledger_hold", insert.execute(conn)).await?;
    if saved.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// One statement, because a round trip costs more than the work in it. All entries of a transfer are in
/// it: at its end the database checks that they sum to zero.
async fn append(conn: &mut PgConnection, batch: &Batch<'_>) -> sqlx::Result<()> {
    let Batch { decisions, accounts, answered, month, issued, .. } = batch;
    let transfers: Vec<_> =
        decisions.iter().filter_map(|decision| decision.transfer.as_ref()).collect();
    let of = |pick: fn(&Transfer) -> Uuid| transfers.iter().map(|t| pick(t)).collect::<Vec<_>>();
    let kinds: Vec<_> = transfers.iter().map(|t| t.kind.as_str().to_owned()).collect();
    let references: Vec<_> = transfers.iter().map(|t| t.reference.as_str().to_owned()).collect();
    let merchants: Vec<_> = transfers.iter().map(|t| t.merchant.map(|id| id.0)).collect();
    let times: Vec<_> = transfers.iter().map(|t| t.occurred_at).collect();
    let reverses: Vec<_> = transfers.iter().map(|t| t.reverses.map(|id| id.0)).collect();
    let holds: Vec<_> = transfers.iter().map(|t| t.hold.map(|id| id.0)).collect();
    let causes: Vec<_> = transfers.iter().map(|t| t.event.map(|id| id.0)).collect();
    let entries = Entries::of(&transfers);
    let statuses: Vec<_> = answered
        .iter()
        .map(|a| i16::try_from(a.answer.status.as_u16()).unwrap_or(i16::MAX)) // statuses end at 999
        .collect();
    let balance = |pick: fn(&Account) -> i64| accounts.iter().map(pick).collect::<Vec<_>>();

    let statement = sqlx::query!(
        "WITH moved AS (
             INSERT INTO transfer (transfer_id, kind, reference, merchant_id, occurred_at, reverses, hold_id,
                                   event_id)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[],
                                  $6::uuid[], $7::uuid[], $28::uuid[])
         ), entered AS (
             INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount,
                                account_version, balance)
             SELECT * FROM unnest($8::uuid[], $9::uuid[], $10::uuid[], $11::text[], $12::bigint[],
                                  $13::bigint[], $14::bigint[])
         ), answered AS (
             INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body)
             SELECT * FROM unnest($15::text[], $16::text[], $17::text[], $18::bytea[], $19::smallint[],
                                  $20::bytea[]) AS a (principal, route, key, fingerprint, status, body)
             ORDER BY principal, route, key -- so that twins elsewhere meet in one order
         ), settled AS (
             -- They are all there, and locked. An update with a join could be planned to scan the table.
             INSERT INTO account (account_id, member_id, opened_at, earned, used, held, version)
             SELECT * FROM unnest($21::uuid[], $26::uuid[], $27::timestamptz[], $22::bigint[], $23::bigint[],
                                  $24::bigint[], $25::bigint[])
             ON CONFLICT ON CONSTRAINT account_pk DO UPDATE
             SET earned = excluded.earned, used = excluded.used, held = excluded.held,
                 version = excluded.version
             RETURNING account_id
         )
         -- After the accounts, in one order: so that nobody waits in a circle.
         INSERT INTO issuance AS old (merchant_id, month, points, budget)
         SELECT i.merchant_id, $29, i.points, i.budget
         FROM unnest($30::uuid[], $31::bigint[], $32::bigint[]) AS i (merchant_id, points, budget)
         WHERE (SELECT count(*) FROM settled) > 0
         ORDER BY i.merchant_id
         ON CONFLICT ON CONSTRAINT issuance_pk DO UPDATE
         SET points = old.points + excluded.points, budget = excluded.budget",
        &of(|t| t.id.0),
        &kinds,
        &references,
        &merchants as _,
        &times,
        &reverses as _,
        &holds as _,
        &entries.ids,
        &entries.transfers,
        &entries.accounts as _,
        &entries.systems as _,
        &entries.amounts,
        &entries.versions as _,
        &entries.balances as _,
        &answered.iter().map(|a| a.principal.to_owned()).collect::<Vec<_>>(),
        &answered.iter().map(|a| a.key.route.clone()).collect::<Vec<_>>(),
        &answered.iter().map(|a| a.key.value.clone()).collect::<Vec<_>>(),
        &answered.iter().map(|a| a.key.fingerprint.to_vec()).collect::<Vec<_>>(),
        &statuses,
        &answered.iter().map(|a| a.answer.body.clone()).collect::<Vec<_>>(),
        &accounts.iter().map(|account| account.id.0).collect::<Vec<_>>(),
        &balance(|account| account.balance.earned()),
        &balance(|account| account.balance.used()),
        &balance(|account| account.balance.held()),
        &balance(|account| account.balance.version()),
        &accounts.iter().map(|account| account.member.0).collect::<Vec<_>>(),
        &accounts.iter().map(|account| account.opened_at).collect::<Vec<_>>(),
        &causes as _,
        *month,
        &issued.keys().copied().collect::<Vec<_>>(),
        &issued.values().map(|(points, _)| *points).collect::<Vec<_>>(),
        &issued.values().map(|(_, budget)| *budget).collect::<Vec<_>>(),
    );
    postgres::query("ledger_append", statement.execute(conn)).await?;
    Ok(())
}

/// The entries of all transfers, column by column.
#[derive(Default)]
struct Entries {
    ids: Vec<Uuid>,
    transfers: Vec<Uuid>,
    accounts: Vec<Option<Uuid>>,
    systems: Vec<Option<String>>,
    amounts: Vec<i64>,
    versions: Vec<Option<i64>>,
    balances: Vec<Option<i64>>,
}

impl Entries {
    fn of(transfers: &[&Transfer]) -> Self {
        let mut columns = Self::default();
        for (transfer, entry) in
            transfers.iter().flat_map(|t| t.entries.iter().map(move |e| (t, e)))
        {
            let (account, system, balance) = match entry.side {
                Side::Member(account, balance) => (Some(account.0), None, Some(balance)),
                Side::System(name) => (None, Some(name.to_owned()), None),
            };
            columns.ids.push(entry.id);
            columns.transfers.push(transfer.id.0);
            columns.accounts.push(account);
            columns.systems.push(system);
            columns.amounts.push(entry.amount);
            columns.versions.push(balance.map(|balance| balance.version()));
            columns.balances.push(balance.map(|balance| balance.available()));
        }
        columns
    }
}
