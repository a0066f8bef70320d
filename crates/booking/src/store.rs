//! The SQL. Every function takes a connection, so that the caller owns the transaction.

mod bookings;
mod calendar;
mod holds;
mod hours;
mod line;
mod list;
mod membership;
mod notifications;
mod offer;
mod one_statement;
mod replica;
mod rezone;
mod sagas;
mod slots;

pub(crate) use bookings::{Access, find_booking, lock_booking, terms};
pub(crate) use calendar::{
    free_slot, lock_booking_in_calendar, lock_calendars, mend_time, replace_hours, update_booking,
    update_time,
};
pub(crate) use holds::{
    archive_bookings, count_holds, expire_holds, expire_overdue, insert_booking, open_bookings,
    overlap_constraint_exists,
};
pub(crate) use hours::{delete_closure, insert_closure, list_closures, week_of_staff};
pub(crate) use line::{
    CodeLimits, NewCode, channel_of_merchant, delete_channel, delete_contact, insert_code,
    try_code, upsert_channel, upsert_contact,
};
pub(crate) use list::list_bookings;
pub(crate) use membership::{
    bookings_of_closed, change_owner, close_merchant, link_staff, lock_any_merchant, lock_merchant,
    mark_announced, member_of_staff, unlink_all_staff,
};
pub(crate) use notifications::{
    Due, claim_notifications, count_notifications, drop_notifications, insert_notification,
    insert_reminders, list_notifications, put_off_notification, return_notification,
    settle_notification,
};
pub(crate) use offer::{
    insert_service, list_services, list_staff, lock_service, replace_staff_services,
    staff_of_owner, update_service, zone_of_merchant, zone_of_owner,
};
pub(crate) use one_statement::{NewBooking, book_in_one_statement};
pub(crate) use replica::{replayed_to, written_to};
pub(crate) use rezone::{promises, record_wall_time, unrecorded};
pub(crate) use sagas::{
    Backoff, Retry, claim_due_sagas, count_sagas, find_saga, grant_of_saga, insert_saga,
    insert_step, list_sagas, lock_saga, postpone_saga, saga_of_booking, steps_of_saga, update_saga,
    view_saga,
};
pub(crate) use slots::{calendars, find_bookable, staff_of_service};

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::view::{Merchant, Staff};

pub(crate) async fn insert_merchant(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: &Merchant,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO merchant (merchant_id, owner_id, name, time_zone, currency,
                               cancellation_notice_minutes, created_at, told_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        merchant.merchant_id,
        owner,
        merchant.name,
        merchant.time_zone,
        merchant.currency,
        merchant.cancellation_notice_minutes,
        now,
    );
    query("insert_merchant", insert.execute(conn)).await?;
    Ok(())
}

/// Inserts a staff member. Returns `false` when the owner has no such merchant.
pub(crate) async fn insert_staff(
    conn: &mut PgConnection,
    owner: Uuid,
    staff: &Staff,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let insert = sqlx::query!(
        "INSERT INTO staff (merchant_id, staff_id, name, created_at)
         SELECT merchant_id, $3, $4, $5 FROM merchant WHERE merchant_id = $1 AND owner_id = $2",
        staff.merchant_id,
        owner,
        staff.staff_id,
        staff.name,
        now,
    );
    let inserted = query("insert_staff", insert.execute(conn)).await?;
    Ok(inserted.rows_affected() == 1)
}

/// Reports a value that the database should not contain.
fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
