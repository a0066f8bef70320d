//! The SQL. Every function takes a connection, so that the caller owns the transaction.

mod belonging;
mod bookings;
mod holds;
mod hours;
mod line;
mod list;
mod notifications;
mod offer;
mod replica;
mod rezone;
mod sagas;
mod slots;

pub(crate) use belonging::{
    bookings_of_closed, change_owner, close_merchant, link_staff, lock_any_merchant, lock_merchant,
    mark_untold, member_of_staff, unlink_all_staff,
};
pub(crate) use bookings::{
    find_any_booking, find_booking, lock_booking, lock_booking_of_owner, lock_staff,
    staff_of_booking, terms, update_status, update_time,
};
pub(crate) use holds::{
    archive_bookings, expire_holds, expire_overdue, held_by, insert_booking, insert_hold,
    open_bookings, overlap_guard_stands,
};
pub(crate) use hours::{
    delete_closure, insert_closure, list_closures, replace_hours, week_of_staff,
};
pub(crate) use line::{
    MostCodes, NewCode, channel_of_merchant, delete_channel, delete_contact, insert_code, try_code,
    upsert_channel, upsert_contact,
};
pub(crate) use list::list_bookings;
pub(crate) use notifications::{
    Due, claim_notifications, count_notifications, drop_notifications, insert_notification,
    insert_reminders, list_notifications, put_off_notification, return_notification,
    settle_notification,
};
pub(crate) use offer::{
    insert_service, list_services, list_staff, lock_service, replace_staff_services,
    staff_of_owner, update_service, zone_of_merchant, zone_of_owner,
};
pub(crate) use replica::{replayed_to, written_to};
pub(crate) use rezone::{member_of_booking, mend_time, promises, record_wall_time, unrecorded};
pub(crate) use sagas::{
    Pause, claim_due_sagas, count_sagas, find_saga, grant_of_saga, insert_saga, insert_step,
    list_sagas, lock_saga, lock_saga_of_booking, put_off_saga, read_saga, saga_of_booking,
    steps_of_saga, update_saga,
};
pub(crate) use slots::{calendars, find_bookable, staff_of_service};

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::{Merchant, Staff};

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

/// False when the merchant does not exist or is not this owner's.
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
