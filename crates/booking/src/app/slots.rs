use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, Utc};
use kit::postgres;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Days, Length, MerchantClosed, TimeZone, WallClock};
use crate::store;

/// Asks when a service can be had.
pub struct FindSlots {
    pub merchant_id: Uuid,
    pub service_id: Uuid,
    /// Anybody who gives it when absent.
    pub staff_id: Option<Uuid>,
    pub days: Days,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Slots {
    /// The merchant's.
    pub time_zone: &'static str,
    /// What each costs, in the minor unit of the merchant's currency.
    pub price_minor: i64,
    /// By start.
    pub items: Vec<Slot>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Slot {
    /// On the merchant's clock.
    pub starts_at: DateTime<FixedOffset>,
    pub ends_at: DateTime<FixedOffset>,
    /// Who is free then.
    pub staff_ids: Vec<Uuid>,
}

impl Bookings {
    /// The times at which a member may book now. Somebody else may be faster.
    pub async fn slots(&self, wanted: FindSlots) -> Result<Slots, Error> {
        let FindSlots { merchant_id, service_id, staff_id, days } = wanted;
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let service = store::find_bookable(&mut conn, merchant_id, service_id)
            .await?
            .ok_or(Error::UnknownService)?;
        service.open()?;
        let staff = qualified(&mut conn, merchant_id, service_id, staff_id).await?;
        let reach = days.reach();
        let calendars = store::calendars(&mut conn, merchant_id, &staff, reach).await?;
        drop(conn); // what follows needs none

        let clock = WallClock::over(service.zone, reach);
        let now = self.clock.now();
        let mut free: BTreeMap<DateTime<Utc>, Vec<Uuid>> = BTreeMap::new();
        for (staff, calendar) in staff.iter().zip(&calendars) {
            for start in clock.free(days, calendar, service.length, now) {
                free.entry(start).or_default().push(*staff);
            }
        }
        let items = free.into_iter().map(|(start, staff)| slot(&service, start, staff)).collect();
        let Bookable { zone, price_minor, .. } = service;
        Ok(Slots { time_zone: zone.name(), price_minor, items })
    }
}

/// A service with what booking it needs.
pub(crate) struct Bookable {
    /// Of the merchant; `None`: it is closed.
    pub(crate) owner_id: Option<Uuid>,
    pub(crate) zone: TimeZone,
    pub(crate) length: Length,
    pub(crate) price_minor: i64,
}

impl Bookable {
    /// Refuses what a closed merchant does not offer any more.
    pub(super) fn open(&self) -> Result<(), MerchantClosed> {
        if self.owner_id.is_some() { Ok(()) } else { Err(MerchantClosed) }
    }
}

/// Who gives this service: everybody, or the one that is asked for.
pub(super) async fn qualified(
    conn: &mut PgConnection,
    merchant: Uuid,
    service: Uuid,
    staff: Option<Uuid>,
) -> Result<Vec<Uuid>, Error> {
    let found = store::staff_of_service(conn, merchant, service, staff).await?;
    match staff {
        Some(staff) if found.is_empty() => {
            let exists = store::week_of_staff(conn, merchant, staff).await?.is_some();
            Err(if exists { Error::StaffNotQualified } else { Error::UnknownStaff })
        }
        _ => Ok(found),
    }
}

fn slot(service: &Bookable, start: DateTime<Utc>, staff_ids: Vec<Uuid>) -> Slot {
    let end = start + service.length.duration();
    let (starts_at, ends_at) = (service.zone.local(start), service.zone.local(end));
    Slot { starts_at, ends_at, staff_ids }
}
