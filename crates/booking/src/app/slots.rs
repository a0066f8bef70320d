use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Bookable, Days, WallClock};
use crate::store;
use crate::view::{Slot, Slots};

/// A search for the free times of a service.
pub struct FindSlots {
    pub merchant_id: Uuid,
    pub service_id: Uuid,
    /// All staff who give the service when absent.
    pub staff_id: Option<Uuid>,
    pub days: Days,
}

impl Bookings {
    /// Returns the times that a member may book now. Another request may take them first.
    pub async fn slots(&self, wanted: FindSlots) -> Result<Slots, Error> {
        let FindSlots { merchant_id, service_id, staff_id, days } = wanted;
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let service = store::find_bookable(&mut conn, merchant_id, service_id)
            .await?
            .ok_or(Error::UnknownService)?;
        service.terms.check_open()?;
        let staff = qualified_staff(&mut conn, merchant_id, service_id, staff_id).await?;
        let reach = days.reach();
        let calendars = store::calendars(&mut conn, merchant_id, &staff, reach).await?;
        drop(conn); // the rest needs no connection

        let zone = service.terms.zone;
        let clock = WallClock::over(zone, reach);
        let now = self.clock.now();
        let mut free: BTreeMap<DateTime<Utc>, Vec<Uuid>> = BTreeMap::new();
        for (staff, calendar) in staff.iter().zip(&calendars) {
            for start in clock.free(days, calendar, service.length, now) {
                free.entry(start).or_default().push(*staff);
            }
        }
        let items = free.into_iter().map(|(start, staff)| slot(&service, start, staff)).collect();
        Ok(Slots { time_zone: zone.name(), price_minor: service.price_minor, items })
    }
}

/// Returns the staff who give this service: all of them, or the one that is asked for.
pub(super) async fn qualified_staff(
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
    let (zone, end) = (service.terms.zone, start + service.length.duration());
    Slot { starts_at: zone.local(start), ends_at: zone.local(end), staff_ids }
}
