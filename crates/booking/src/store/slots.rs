//! The reads of slot search and of holds.

use std::collections::HashMap;

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use super::decode;
use super::hours::shift;
use crate::domain::{Bookable, Calendar, Length, Notice, Shift, Span, Terms, Week};

/// Reads a service with the terms of its merchant.
pub(crate) async fn find_bookable(
    conn: &mut PgConnection,
    merchant: Uuid,
    service: Uuid,
) -> sqlx::Result<Option<Bookable>> {
    let select = sqlx::query!(
        "SELECT owner_id, time_zone, currency, cancellation_notice_minutes, duration_minutes,
                buffer_minutes, price_minor
         FROM service JOIN merchant USING (merchant_id)
         WHERE merchant_id = $1 AND service_id = $2",
        merchant,
        service,
    );
    let Some(row) = query("find_bookable", select.fetch_optional(conn)).await? else {
        return Ok(None);
    };
    let terms = Terms {
        owner_id: row.owner_id,
        zone: row.time_zone.parse().map_err(decode)?,
        currency: row.currency,
        notice: Notice::try_new(row.cancellation_notice_minutes).map_err(decode)?,
    };
    let length = Length::try_new(row.duration_minutes, row.buffer_minutes).map_err(decode)?;
    Ok(Some(Bookable { terms, length, price_minor: row.price_minor }))
}

/// Returns the staff who give a service, or only `staff` when they do.
pub(crate) async fn staff_of_service(
    conn: &mut PgConnection,
    merchant: Uuid,
    service: Uuid,
    staff: Option<Uuid>,
) -> sqlx::Result<Vec<Uuid>> {
    let select = sqlx::query_scalar!(
        "SELECT staff_id FROM staff_service
         WHERE merchant_id = $1 AND service_id = $2 AND ($3::uuid IS NULL OR staff_id = $3)
         ORDER BY staff_id",
        merchant,
        service,
        staff,
    );
    query("staff_of_service", select.fetch_all(conn)).await
}

/// Returns the calendar of each staff member within `reach`, in the order of `staff`.
pub(crate) async fn calendars(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: &[Uuid],
    reach: Span,
) -> sqlx::Result<Vec<Calendar>> {
    let mut weeks = weeks(conn, merchant, staff).await?;
    let mut booked = booked(conn, merchant, staff, reach).await?;
    let closures = closures(conn, merchant, reach).await?;
    let calendar = |staff: &Uuid| {
        let concerns = |who: &Option<Uuid>| who.is_none_or(|who| who == *staff);
        let away = closures.iter().filter(|(who, _)| concerns(who)).map(|(_, span)| *span);
        let week = Week::try_new(weeks.remove(staff).unwrap_or_default()).map_err(decode)?;
        Ok(Calendar {
            week,
            away: away.collect(),
            booked: booked.remove(staff).unwrap_or_default(),
        })
    };
    staff.iter().map(calendar).collect()
}

async fn weeks(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, Vec<Shift>>> {
    let select = sqlx::query!(
        "SELECT staff_id, weekday, opens_minute, closes_minute FROM working_hours
         WHERE merchant_id = $1 AND staff_id = ANY($2)",
        merchant,
        staff,
    );
    let mut weeks: HashMap<Uuid, Vec<Shift>> = HashMap::new();
    for row in query("hours_of_many", select.fetch_all(conn)).await? {
        let shift = shift(row.weekday, row.opens_minute, row.closes_minute)?;
        weeks.entry(row.staff_id).or_default().push(shift);
    }
    Ok(weeks)
}

async fn closures(
    conn: &mut PgConnection,
    merchant: Uuid,
    reach: Span,
) -> sqlx::Result<Vec<(Option<Uuid>, Span)>> {
    let select = sqlx::query!(
        r#"SELECT staff_id, lower(during) AS "from!", upper(during) AS "to!" FROM closure
           WHERE merchant_id = $1 AND during && tstzrange($2, $3)"#,
        merchant,
        reach.from,
        reach.to,
    );
    let rows = query("closures_during", select.fetch_all(conn)).await?;
    Ok(rows.into_iter().map(|row| (row.staff_id, Span { from: row.from, to: row.to })).collect())
}

/// Returns the occupied times of each staff member, adjacent ones merged.
///
/// It reads person by person, because only then all three columns of the index `booking_calendar` serve. The states
/// are written as in its condition, and unlike in the condition of the exclusion constraint, whose index must not
/// serve. A booking takes at most 12 hours: `booking_interval_length`. Adjacent bookings are one span, and `unnest`
/// returns spans in order: a full calendar of 20 people and two weeks is 20 rows of 15 spans instead of 2,600 rows,
/// which took twice as long.
async fn booked(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: &[Uuid],
    reach: Span,
) -> sqlx::Result<HashMap<Uuid, Vec<Span>>> {
    let select = sqlx::query!(
        r#"SELECT wanted.staff_id AS "staff_id!", starts AS "starts!", ends AS "ends!"
           FROM unnest($2::uuid[]) AS wanted (staff_id) CROSS JOIN LATERAL (
               SELECT array_agg(lower(taken)) AS starts, array_agg(upper(taken)) AS ends
               FROM (SELECT unnest(range_agg(during)) AS taken FROM booking
                     WHERE merchant_id = $1 AND staff_id = wanted.staff_id
                       AND lower(during) > $3::timestamptz - interval '12 hours'
                       AND lower(during) < $4 AND upper(during) > $3
                       AND status NOT IN ('cancelled', 'no_show', 'expired')
                       AND (status <> 'held' OR expires_at > now())) AS spans
           ) AS calendar
           WHERE starts IS NOT NULL"#,
        merchant,
        staff,
        reach.from,
        reach.to,
    );
    let rows = query("booked_during", select.fetch_all(conn)).await?;
    let spans = |starts: Vec<_>, ends: Vec<_>| {
        starts.into_iter().zip(ends).map(|(from, to)| Span { from, to }).collect()
    };
    Ok(rows.into_iter().map(|row| (row.staff_id, spans(row.starts, row.ends))).collect())
}
