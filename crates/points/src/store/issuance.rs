//! What a point is worth, and what merchants may give away.

use chrono::NaiveDate;
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Bounds, Currency, Issuance, MemberId, MerchantId, Tender};

/// What a merchant has given away this month; its own bounds, if it has any.
pub(crate) struct Given {
    pub(crate) merchant: MerchantId,
    pub(crate) bounds: Option<Bounds>,
    pub(crate) used: i64,
}

/// What these merchants have given away in that month, and which of these members belong to which of them. Each by
/// its own index lookup: see `index_only`.
pub(crate) async fn given(
    conn: &mut PgConnection,
    merchants: &[Uuid],
    month: NaiveDate,
    pairs: &[(MerchantId, MemberId)],
) -> sqlx::Result<(Vec<Given>, Vec<(MerchantId, MemberId)>)> {
    let (of, members): (Vec<_>, Vec<_>) = pairs.iter().map(|(m, p)| (m.0, p.0)).unzip();
    let select = sqlx::query!(
        r#"SELECT m.merchant_id AS "merchant_id!", NULL::uuid AS member_id, l.max_rate_percent AS "rate?",
                  l.budget_points AS "budget?", i.points AS "used?"
           FROM unnest($1::uuid[]) AS m (merchant_id)
           LEFT JOIN LATERAL (SELECT * FROM issuance_limit l
                              WHERE l.merchant_id = m.merchant_id LIMIT 1) AS l ON true
           LEFT JOIN LATERAL (SELECT * FROM issuance i
                              WHERE i.merchant_id = m.merchant_id AND i.month = $2 LIMIT 1) AS i ON true
           UNION ALL
           SELECT p.merchant_id, p.member_id, NULL, NULL, NULL
           FROM unnest($3::uuid[], $4::uuid[]) AS p (merchant_id, member_id)
           CROSS JOIN LATERAL (SELECT FROM merchant_member b
                               WHERE b.merchant_id = p.merchant_id AND b.member_id = p.member_id
                               LIMIT 1) AS b"#,
        merchants,
        month,
        &of,
        &members,
    );
    let rows = postgres::query("ledger_given", select.fetch_all(conn)).await?;
    let (mut given, mut belong) = (Vec::new(), Vec::new());
    for row in rows {
        let merchant = MerchantId(row.merchant_id);
        match row.member_id {
            Some(member) => belong.push((merchant, MemberId(member))),
            None => given.push(Given {
                merchant,
                bounds: row.rate.zip(row.budget).map(bounds).transpose()?,
                used: row.used.unwrap_or(0),
            }),
        }
    }
    Ok((given, belong))
}

/// What points are worth in these currencies.
pub(crate) async fn tenders(
    conn: &mut PgConnection,
    currencies: Option<&[String]>,
) -> sqlx::Result<Vec<(Currency, Tender)>> {
    let select = sqlx::query!(
        "SELECT currency, points, minor FROM tender_value
         WHERE $1::text[] IS NULL OR currency = ANY ($1) ORDER BY currency",
        currencies,
    );
    let rows = postgres::query("tender_values", select.fetch_all(conn)).await?;
    rows.into_iter()
        .map(|row| {
            let tender = Tender::new(row.points, row.minor);
            let tender = tender.map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok((Currency::from_stored(row.currency), tender))
        })
        .collect()
}

pub(crate) async fn set_tender(
    conn: &mut PgConnection,
    currency: &Currency,
    tender: Tender,
    by: MemberId,
) -> sqlx::Result<()> {
    let upsert = sqlx::query!(
        "INSERT INTO tender_value (currency, points, minor, changed_by) VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT tender_value_pk DO UPDATE
         SET points = excluded.points, minor = excluded.minor, changed_by = excluded.changed_by,
             changed_at = now()",
        currency.as_str(),
        tender.points(),
        tender.minor(),
        by.0,
    );
    postgres::query("tender_set", upsert.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn set_bounds(
    conn: &mut PgConnection,
    merchant: MerchantId,
    bounds: Bounds,
    by: MemberId,
) -> sqlx::Result<()> {
    let upsert = sqlx::query!(
        "INSERT INTO issuance_limit (merchant_id, max_rate_percent, budget_points, changed_by)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT issuance_limit_pk DO UPDATE
         SET max_rate_percent = excluded.max_rate_percent, budget_points = excluded.budget_points,
             changed_by = excluded.changed_by, changed_at = now()",
        merchant.0,
        bounds.max_rate_percent(),
        bounds.budget_points(),
        by.0,
    );
    postgres::query("issuance_limit_set", upsert.execute(conn)).await?;
    Ok(())
}

/// The highest share of a budget that is used in that month, in percent.
pub(crate) async fn highest_used(conn: &mut PgConnection, month: NaiveDate) -> sqlx::Result<i64> {
    let select = sqlx::query_scalar!(
        r#"SELECT coalesce(max(points * 100.0 / coalesce(nullif(coalesce(l.budget_points, i.budget), 0), 1)), 0)::bigint
                  AS "percent!"
           FROM issuance i LEFT JOIN issuance_limit l USING (merchant_id) WHERE month = $1"#,
        month,
    );
    postgres::query("issuance_used", select.fetch_one(conn)).await
}

fn bounds((rate, budget): (i64, i64)) -> sqlx::Result<Bounds> {
    Bounds::new(rate, budget).map_err(|error| sqlx::Error::Decode(error.into()))
}

impl Given {
    pub(crate) fn issuance(&self, default: Bounds) -> Issuance {
        Issuance { bounds: self.bounds.unwrap_or(default), used: self.used }
    }
}
