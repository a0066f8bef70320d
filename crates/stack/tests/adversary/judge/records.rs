//! What the four databases hold of this run, read as JSON so that a new column breaks nothing.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;

use crate::world::World;

pub type Row = Value;

pub struct Records {
    pub accounts: HashMap<String, Row>,
    pub transfers: Vec<Row>,
    /// By their transfer.
    pub entries: HashMap<String, Vec<Row>>,
    pub holds: HashMap<String, Row>,
    pub rules: Vec<Row>,
    /// By their currency.
    pub tenders: HashMap<String, Row>,
    pub belongs: Vec<Row>,
    pub bookings: HashMap<String, Row>,
    pub sagas: Vec<Row>,
    pub merchants: HashMap<String, Row>,
    pub staff: Vec<Row>,
    pub services: Vec<Row>,
    pub closures: Vec<Row>,
    pub notifications: Vec<Row>,
    pub rollbacks: usize,
    pub sessions: Vec<Row>,
    /// What the databases say against themselves.
    pub wrong: Vec<String>,
}

/// Each must find nothing.
const SELF_CHECKS: [(&str, &str, &str); 9] = [
    ("points", "the ledger sums up to 0", "SELECT sum(amount)::text FROM entry HAVING sum(amount) <> 0"),
    (
        "points",
        "every transfer is balanced",
        "SELECT transfer_id::text FROM entry GROUP BY transfer_id HAVING sum(amount) <> 0 LIMIT 3",
    ),
    (
        "points",
        "an account is the sum of its entries",
        "SELECT account_id::text FROM account a
         WHERE earned - used - held <> COALESCE((SELECT sum(amount) FROM entry e WHERE e.account_id = a.account_id), 0) LIMIT 3",
    ),
    (
        "points",
        "the last entry tells the account's balance",
        "SELECT a.account_id::text FROM account a
         JOIN LATERAL (SELECT balance, account_version FROM entry e WHERE e.account_id = a.account_id
                       ORDER BY account_version DESC LIMIT 1) e ON true
         WHERE e.balance <> a.earned - a.used - a.held OR e.account_version <> a.version LIMIT 3",
    ),
    (
        "points",
        "held is what the active holds hold",
        "SELECT account_id::text FROM account a
         WHERE held <> COALESCE((SELECT sum(amount) FROM hold h WHERE h.account_id = a.account_id AND state = 'active'), 0) LIMIT 3",
    ),
    (
        "points",
        "a hold is captured once",
        "SELECT hold_id::text FROM transfer WHERE kind = 'capture' GROUP BY hold_id HAVING count(*) > 1 LIMIT 3",
    ),
    (
        "points",
        "a transfer is undone once",
        "SELECT reverses::text FROM transfer WHERE reverses IS NOT NULL GROUP BY reverses HAVING count(*) > 1 LIMIT 3",
    ),
    (
        "booking",
        "no two bookings of a person overlap",
        "SELECT a.booking_id::text FROM booking a JOIN booking b
         ON a.staff_id = b.staff_id AND a.booking_id < b.booking_id
            AND lower(a.during) < upper(b.during) AND lower(b.during) < upper(a.during)
         WHERE a.status NOT IN ('cancelled', 'no_show', 'expired')
           AND b.status NOT IN ('cancelled', 'no_show', 'expired') LIMIT 3",
    ),
    (
        "booking",
        "no event is given up",
        "SELECT kind || ' ' || COALESCE(last_error, '') FROM outbox_event WHERE parked_at IS NOT NULL LIMIT 3",
    ),
];

impl Records {
    pub async fn load(world: &World) -> Self {
        let mut points = world.database("points").await;
        let mut booking = world.database("booking").await;
        let mut incidents = world.database("incidents").await;
        let mut auth = world.database("auth").await;
        let (p, b) = (&mut points, &mut booking);
        let mut entries: HashMap<String, Vec<Row>> = HashMap::new();
        for entry in rows(p, "entry").await {
            entries.entry(id(&entry, "transfer_id")).or_default().push(entry);
        }
        let mut bookings = by(rows(b, "booking").await, "booking_id");
        for archived in rows(b, "booking_archive").await {
            bookings.insert(id(&archived, "booking_id"), archived["booking"].clone());
        }
        let records = Self {
            accounts: by(rows(p, "account").await, "account_id"),
            transfers: rows(p, "transfer").await,
            entries,
            holds: by(rows(p, "hold").await, "hold_id"),
            rules: rows(p, "conversion_rule").await,
            tenders: by(rows(p, "tender_value").await, "currency"),
            belongs: rows(p, "merchant_member").await,
            bookings,
            sagas: rows(b, "saga").await,
            merchants: by(rows(b, "merchant").await, "merchant_id"),
            staff: rows(b, "staff").await,
            services: rows(b, "service").await,
            closures: rows(b, "closure").await,
            notifications: rows(b, "notification_logs").await,
            rollbacks: rows(&mut incidents, "rollback_run").await.len(),
            sessions: rows(&mut auth, "session").await,
            wrong: Vec::new(),
        };
        let mut wrong = Vec::new();
        for (database, rule, query) in SELF_CHECKS {
            let mut db = world.database(database).await;
            let found: Vec<Option<String>> =
                sqlx::query_scalar(query).fetch_all(&mut db).await.unwrap();
            if !found.is_empty() {
                let found: Vec<_> = found.into_iter().flatten().collect();
                wrong.push(format!("{rule}: {}", found.join(", ")));
            }
        }
        Self { wrong, ..records }
    }

    /// What so many points pay of a price in this currency; None where nobody has said.
    pub fn value_of(&self, points: i64, currency: &str) -> Option<i64> {
        if currency == "JPY" {
            return Some(points);
        }
        let tender = self.tenders.get(currency)?;
        let (unit, minor) = (number(tender, "points"), number(tender, "minor"));
        i64::try_from(i128::from(points) * i128::from(minor) / i128::from(unit)).ok()
    }

    pub fn member_of_account(&self, account: &str) -> String {
        self.accounts.get(account).map(|account| id(account, "member_id")).unwrap_or_default()
    }
}

async fn rows(db: &mut PgConnection, table: &'static str) -> Vec<Row> {
    let query = format!("SELECT to_jsonb(t) FROM {table} t");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(db).await.unwrap()
}

fn by(rows: Vec<Row>, key: &str) -> HashMap<String, Row> {
    rows.into_iter().map(|row| (id(&row, key), row)).collect()
}

/// A text of a row; empty where it is NULL.
pub fn id(row: &Row, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}

pub fn number(row: &Row, column: &str) -> i64 {
    row[column].as_i64().unwrap_or(0)
}
