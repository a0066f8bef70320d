//! Conversion rules.

use chrono::{DateTime, Utc};
use kit::postgres;
use sea_query::{Expr, ExprTrait as _, Func, Iden, Order, PostgresQueryBuilder, Query};
use sea_query_sqlx::SqlxBinder as _;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use uuid::Uuid;

use crate::domain::{Currency, MemberId, MerchantId, Rate, Rule, RuleId};

/// The most rules of one merchant that a cache entry has: the one that applies, and the next ones.
const CURRENT: i64 = 100;

#[derive(FromRow)]
struct Row {
    rule_id: Uuid,
    merchant_id: Uuid,
    currency: String,
    points: i64,
    per_minor: i64,
    min_minor: i64,
    valid_from: DateTime<Utc>,
    valid_until: Option<DateTime<Utc>>,
}

/// Adds a rule. Returns false when another rule applies in that time. The constraint raises no error, because
/// two inserts that wait for each other would deadlock.
pub(crate) async fn add_rule(
    conn: &mut PgConnection,
    rule: &Rule,
    by: MemberId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let insert = sqlx::query!(
        "INSERT INTO conversion_rule (rule_id, merchant_id, currency, points, per_minor, min_minor, valid,
                                      created_by, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, tstzrange($7, $8, '[)'), $9, $10, $10)
         ON CONFLICT ON CONSTRAINT conversion_rule_no_overlap DO NOTHING",
        rule.id.0,
        rule.merchant.0,
        rule.currency.as_str(),
        rule.rate.points(),
        rule.rate.per_minor(),
        rule.rate.min_minor(),
        rule.from,
        rule.until,
        by.0,
        now,
    );
    let done = postgres::query("rule_add", insert.execute(conn)).await?;
    Ok(done.rows_affected() == 1)
}

/// Locks a rule until the transaction ends.
pub(crate) async fn lock_rule(conn: &mut PgConnection, id: RuleId) -> sqlx::Result<Option<Rule>> {
    let select = sqlx::query_as!(
        Row,
        r#"SELECT rule_id, merchant_id, currency, points, per_minor, min_minor,
                  lower(valid) AS "valid_from!", upper(valid) AS valid_until
           FROM conversion_rule WHERE rule_id = $1 FOR NO KEY UPDATE"#,
        id.0,
    );
    let row = postgres::query("rule_lock", select.fetch_optional(conn)).await?;
    row.map(Rule::try_from).transpose()
}

pub(crate) async fn end_rule(
    conn: &mut PgConnection,
    rule: &Rule,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE conversion_rule SET valid = tstzrange(lower(valid), $2, '[)'), changed_at = $3
         WHERE rule_id = $1",
        rule.id.0,
        rule.until,
        now,
    );
    postgres::query("rule_end", update.execute(conn)).await?;
    Ok(())
}

/// Deletes a rule that never applied.
pub(crate) async fn withdraw_rule(conn: &mut PgConnection, id: RuleId) -> sqlx::Result<()> {
    let delete = sqlx::query!("DELETE FROM conversion_rule WHERE rule_id = $1", id.0);
    postgres::query("rule_withdraw", delete.execute(conn)).await?;
    Ok(())
}

/// The rules that end after `since`, the first to apply first, and the time of their last change in
/// microseconds.
pub(crate) async fn rules_since(
    conn: &mut PgConnection,
    merchant: MerchantId,
    currency: &Currency,
    since: DateTime<Utc>,
) -> sqlx::Result<(i64, Vec<Rule>)> {
    let select = sqlx::query!(
        r#"SELECT rule_id, merchant_id, currency, points, per_minor, min_minor,
                  lower(valid) AS "valid_from!", upper(valid) AS valid_until,
                  (extract(epoch FROM changed_at) * 1000000)::bigint AS "changed!"
           FROM conversion_rule
           WHERE merchant_id = $1 AND currency = $2 AND valid && tstzrange($4, NULL)
           ORDER BY lower(valid) LIMIT $3"#,
        merchant.0,
        currency.as_str(),
        CURRENT,
        since,
    );
    let rows = postgres::query("rule_current", select.fetch_all(conn)).await?;
    let version = rows.iter().map(|row| row.changed).max().unwrap_or(0);
    let rules = rows.into_iter().map(|row| {
        Rule::try_from(Row {
            rule_id: row.rule_id,
            merchant_id: row.merchant_id,
            currency: row.currency,
            points: row.points,
            per_minor: row.per_minor,
            min_minor: row.min_minor,
            valid_from: row.valid_from,
            valid_until: row.valid_until,
        })
    });
    Ok((version, rules.collect::<sqlx::Result<_>>()?))
}

#[derive(Iden)]
#[iden = "conversion_rule"]
enum RuleTable {
    Table,
    RuleId,
    MerchantId,
    Currency,
    Points,
    PerMinor,
    MinMinor,
    Valid,
}

/// A merchant's rules below `before`, newest first.
pub(crate) async fn list_rules(
    conn: &mut PgConnection,
    merchant: MerchantId,
    currency: Option<&Currency>,
    before: Option<RuleId>,
    limit: u64,
) -> sqlx::Result<Vec<Rule>> {
    use RuleTable as T;

    let bound = |name: &'static str| Expr::expr(Func::cust(name).arg(Expr::col(T::Valid)));
    let (sql, values) = Query::select()
        .columns([T::RuleId, T::MerchantId, T::Currency, T::Points, T::PerMinor, T::MinMinor])
        .expr_as(bound("lower"), "valid_from")
        .expr_as(bound("upper"), "valid_until")
        .from(T::Table)
        .and_where(Expr::col(T::MerchantId).eq(merchant.0))
        .and_where_option(currency.map(|c| Expr::col(T::Currency).eq(c.as_str())))
        .and_where_option(before.map(|id| Expr::col(T::RuleId).lt(id.0)))
        .order_by(T::RuleId, Order::Desc)
        .limit(limit)
        .build_sqlx(PostgresQueryBuilder);
    let select = sqlx::query_as_with::<_, Row, _>(AssertSqlSafe(sql), values);
    let rows = postgres::query("rule_list", select.fetch_all(conn)).await?;
    rows.into_iter().map(Rule::try_from).collect()
}

impl TryFrom<Row> for Rule {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let rate = Rate::new(row.points, row.per_minor, row.min_minor);
        Ok(Self {
            id: RuleId(row.rule_id),
            merchant: MerchantId(row.merchant_id),
            currency: Currency::from_stored(row.currency),
            rate: rate.map_err(|error| sqlx::Error::Decode(error.into()))?,
            from: row.valid_from,
            until: row.valid_until,
        })
    }
}
