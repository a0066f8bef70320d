//! The tender values of points, and the issuance of merchants.

use chrono::NaiveDate;
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Bounds, Currency, Issuance, MemberId, MerchantId, Tender};

/// The points that a merchant has given away in a month, and its own limits if it has any.
pub(crate) struct MerchantIssuance {
    pub(crate) merchant: MerchantId,
    pub(crate) bounds: Option<Bounds>,
    pub(crate) used: i64,
}

/// The issuance of these merchants in a month, and those of these pairs that are memberships. Each by its own
/// index lookup: see `index_only`.
pub(crate) async fn issuance(
    conn: &mut PgConnection,
    merchants: &[Uuid],
    month: NaiveDate,
    pairs: &[(MerchantId, MemberId)],
) -> sqlx::Result<(Vec<MerchantIssuance>, Vec<(MerchantId, MemberId)>)> {
    let (at, members): (Vec<_>, Vec<_>) = pairs.iter().map(|(m, p)| (m.0, p.0)).unzip();
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
        &at,
        &members,
    );
    let rows = postgres::query("ledger_given", select.fetch_all(conn)).await?;
    let (mut issuance, mut memberships) = (Vec::new(), Vec::new());
    for row in rows {
        let merchant = MerchantId(row.merchant_id);
        match row.member_id {
            Some(member) => memberships.push((merchant, MemberId(member))),
            None => issuance.push(MerchantIssuance {
                merchant,
                bounds: row.rate.zip(row.budget).map(bounds).transpose()?,
                used: row.used.unwrap_or(0),
            }),
        }
    }
    Ok((issuance, memberships))
}

/// The tender values of these currencies, or of all.
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

/// The highest share of a budget that is used in a month, in percent.
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

impl MerchantIssuance {
    pub(crate) fn with_default(&self, default: Bounds) -> Issuance {
        Issuance { bounds: self.bounds.unwrap_or(default), used: self.used }
    }
}
