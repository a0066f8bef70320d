//! The services of merchants, and the staff who give them.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use super::decode;
use crate::domain::{Service, TimeZone};
use crate::view::StaffWithServices;

/// Inserts a service. Returns `false` when the owner has no such merchant.
pub(crate) async fn insert_service(
    conn: &mut PgConnection,
    owner: Uuid,
    service: &Service,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let insert = sqlx::query!(
        "INSERT INTO service (merchant_id, service_id, name, duration_minutes, buffer_minutes,
                              price_minor, created_at)
         SELECT merchant_id, $3, $4, $5, $6, $7, $8
         FROM merchant WHERE merchant_id = $1 AND owner_id = $2",
        service.merchant_id,
        owner,
        service.service_id,
        service.name,
        service.duration_minutes,
        service.buffer_minutes,
        service.price_minor,
        now,
    );
    Ok(query("insert_service", insert.execute(conn)).await?.rows_affected() == 1)
}

/// Locks a service until the transaction ends, and returns its version. `None` when the owner has no such service.
pub(crate) async fn lock_service(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: Uuid,
    service: Uuid,
) -> sqlx::Result<Option<i64>> {
    let select = sqlx::query_scalar!(
        "SELECT version FROM service JOIN merchant USING (merchant_id)
         WHERE merchant_id = $1 AND service_id = $2 AND owner_id = $3
         FOR NO KEY UPDATE OF service",
        merchant,
        service,
        owner,
    );
    query("lock_service", select.fetch_optional(conn)).await
}

pub(crate) async fn update_service(conn: &mut PgConnection, service: &Service) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE service SET name = $3, duration_minutes = $4, buffer_minutes = $5, price_minor = $6,
                version = $7
         WHERE merchant_id = $1 AND service_id = $2",
        service.merchant_id,
        service.service_id,
        service.name,
        service.duration_minutes,
        service.buffer_minutes,
        service.price_minor,
        service.version,
    );
    query("update_service", update.execute(conn)).await?;
    Ok(())
}

/// Returns a merchant's services, the oldest first, after this one.
pub(crate) async fn list_services(
    conn: &mut PgConnection,
    merchant: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Service>> {
    let select = sqlx::query_as!(
        Service,
        "SELECT service_id, merchant_id, name, duration_minutes, buffer_minutes, price_minor, version
         FROM service WHERE merchant_id = $1 AND ($2::uuid IS NULL OR service_id > $2)
         ORDER BY service_id LIMIT $3",
        merchant,
        after,
        limit,
    );
    query("list_services", select.fetch_all(conn)).await
}

/// Returns a merchant's staff with their services, the oldest first, after this one.
pub(crate) async fn list_staff(
    conn: &mut PgConnection,
    merchant: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<StaffWithServices>> {
    let select = sqlx::query_as!(
        StaffWithServices,
        r#"SELECT staff_id, merchant_id, name,
                  ARRAY(SELECT service_id FROM staff_service
                        WHERE merchant_id = staff.merchant_id AND staff_id = staff.staff_id
                        ORDER BY service_id) AS "service_ids!"
           FROM staff WHERE merchant_id = $1 AND ($2::uuid IS NULL OR staff_id > $2)
           ORDER BY staff_id LIMIT $3"#,
        merchant,
        after,
        limit,
    );
    query("list_staff", select.fetch_all(conn)).await
}

/// Returns `true` when the staff member works for the owner's merchant.
pub(crate) async fn staff_of_owner(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: Uuid,
    staff: Uuid,
) -> sqlx::Result<bool> {
    let select = sqlx::query_scalar!(
        r#"SELECT true AS "found!" FROM staff JOIN merchant USING (merchant_id)
           WHERE merchant_id = $1 AND staff_id = $2 AND owner_id = $3"#,
        merchant,
        staff,
        owner,
    );
    Ok(query("staff_of_owner", select.fetch_optional(conn)).await?.is_some())
}

/// Replaces the services that a staff member gives.
pub(crate) async fn replace_staff_services(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: Uuid,
    services: &[Uuid],
) -> sqlx::Result<()> {
    let delete = sqlx::query!(
        "DELETE FROM staff_service WHERE merchant_id = $1 AND staff_id = $2",
        merchant,
        staff,
    );
    query("delete_staff_services", delete.execute(&mut *conn)).await?;
    let insert = sqlx::query!(
        "INSERT INTO staff_service (merchant_id, staff_id, service_id)
         SELECT $1, $2, service_id FROM unnest($3::uuid[]) AS wanted (service_id)",
        merchant,
        staff,
        services,
    );
    query("insert_staff_services", insert.execute(conn)).await?;
    Ok(())
}

/// Returns the time zone of a merchant.
pub(crate) async fn zone_of_merchant(
    conn: &mut PgConnection,
    merchant: Uuid,
) -> sqlx::Result<Option<TimeZone>> {
    let select =
        sqlx::query_scalar!("SELECT time_zone FROM merchant WHERE merchant_id = $1", merchant);
    query("zone_of_merchant", select.fetch_optional(conn))
        .await?
        .map(|name| zone(&name))
        .transpose()
}

/// Returns the time zone of an owner's merchant.
pub(crate) async fn zone_of_owner(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: Uuid,
) -> sqlx::Result<Option<TimeZone>> {
    let select = sqlx::query_scalar!(
        "SELECT time_zone FROM merchant WHERE merchant_id = $1 AND owner_id = $2",
        merchant,
        owner,
    );
    query("zone_of_owner", select.fetch_optional(conn)).await?.map(|name| zone(&name)).transpose()
}

fn zone(name: &str) -> sqlx::Result<TimeZone> {
    name.parse().map_err(decode)
}
