use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::slots::qualified_staff;
use super::take_slot::{appointment, free_staff, unknown_staff};
use super::{Bookings, Error};
use crate::domain::{Actor, Booking, Moment, Occasion, TimeZone};
use crate::{metrics, store};

/// Moves a confirmed booking: the old slot is freed and the new one taken together.
pub struct Reschedule {
    pub actor: Actor,
    pub booking_id: Uuid,
    pub starts_at: Moment,
    /// The same staff member when absent.
    pub staff_id: Option<Uuid>,
}

impl Bookings {
    /// Answers the [`Booking`]. [`Error::SlotTaken`] leaves it unchanged. For the member until the cancellation
    /// notice, and for the merchant's owner.
    pub async fn reschedule(&self, key: Key, wanted: Reschedule) -> Result<Answer<Booking>, Error> {
        let mut work = match command::begin(&self.db, wanted.actor.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        self.guard.check()?;
        let Reschedule { actor, booking_id, .. } = wanted;
        let (old, calendars) =
            store::lock_booking_in_calendar(&mut work, booking_id, actor, wanted.staff_id)
                .await?
                .ok_or(Error::UnknownBooking)?;
        let status = old.status.reschedule()?;
        let now = self.clock.now();
        let terms = store::terms(&mut work, old.merchant_id).await?;
        terms.check_open()?;
        if !actor.owns(terms.owner_id) {
            terms.notice.allows(old.starts_at, now)?;
        }
        let interval = appointment(terms.zone, wanted.starts_at, old.ends_at - old.starts_at)?;
        interval.bookable_at(now)?;
        let (starts_at, ends_at) = (interval.starts_at(), interval.ends_at());
        let staff_id = wanted.staff_id.unwrap_or(old.staff_id);
        let is_moved = starts_at != old.starts_at;
        let booking = Booking { status, staff_id, starts_at, ends_at, ..old };
        check_staff(&mut work, &booking, terms.zone).await?;

        let (merchant_id, occupied) = (booking.merchant_id, booking.occupied());
        let expired = store::expire_holds(&mut work, merchant_id, staff_id, occupied).await?;
        store::update_time(&mut work, &calendars, &booking, terms.zone, now)
            .await
            .map_err(slot_taken)?;
        if is_moved {
            self.notify_instead(&mut work, &booking, Occasion::Moved).await?;
        }
        let answer = work.commit(Success::Ok, booking).await?;
        metrics::expired(expired);
        tracing::info!(booking.id = %booking_id, merchant.id = %merchant_id, "booking moved");
        Ok(answer)
    }
}

/// Refuses a staff member who does not give the service or does not work then. A booking without a service is free of
/// both. The exclusion constraint checks that the slot is free.
async fn check_staff(
    conn: &mut PgConnection,
    booking: &Booking,
    zone: TimeZone,
) -> Result<(), Error> {
    let Some(service) = booking.service_id else { return Ok(()) };
    let staff = qualified_staff(conn, booking.merchant_id, service, Some(booking.staff_id)).await?;
    free_staff(conn, booking, &staff, zone).await?;
    Ok(())
}

fn slot_taken(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("no_overlap_bookings") => Error::SlotTaken,
        _ => unknown_staff(error),
    }
}
