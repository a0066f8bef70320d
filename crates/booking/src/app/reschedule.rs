use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::confirm::lock_with_calendars;
use super::hold::{free, start};
use super::slots::qualified;
use super::{Bookings, By, Error};
use crate::domain::{Booking, Moment, Occasion, TimeZone};
use crate::{metrics, store};

/// Moves a confirmed booking: the old slot is freed and the new one taken together, or nothing is.
pub struct Reschedule {
    pub by: By,
    pub booking_id: Uuid,
    pub starts_at: Moment,
    /// The same person when absent.
    pub staff_id: Option<Uuid>,
}

impl Bookings {
    /// 200 with the [`Booking`]; [`Error::SlotTaken`] leaves it where it was. For the member, while the
    /// merchant's terms allow it, and for the merchant's owner.
    pub async fn reschedule(&self, key: Key, wanted: Reschedule) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.relocate(&key, &wanted).await }).await
    }

    async fn relocate(&self, key: &Key, wanted: &Reschedule) -> Result<Answer, Error> {
        let principal = wanted.by.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        self.guard.stands()?;
        let old =
            lock_with_calendars(&mut tx, wanted.booking_id, wanted.by, wanted.staff_id).await?;
        let status = old.status.reschedule()?;
        let now = self.clock.now();
        let terms = store::terms(&mut tx, old.merchant_id).await?;
        terms.open()?;
        if !wanted.by.owns(terms.owner_id) {
            terms.notice.allows(old.starts_at, now)?;
        }
        let interval = start(terms.zone, wanted.starts_at, old.ends_at - old.starts_at)?;
        interval.bookable_at(now)?;
        let (starts_at, ends_at) = (interval.starts_at(), interval.ends_at());
        let staff_id = wanted.staff_id.unwrap_or(old.staff_id);
        let is_moved = starts_at != old.starts_at;
        let booking = Booking { status, staff_id, starts_at, ends_at, ..old };
        possible(&mut tx, &booking, terms.zone).await?;

        let over =
            store::expire_holds(&mut tx, booking.merchant_id, staff_id, booking.occupied()).await?;
        store::update_time(&mut tx, &booking, terms.zone, now).await.map_err(taken)?;
        if is_moved {
            self.tell_instead(&mut tx, &booking, Occasion::Moved).await?;
        }
        let answer = Answer::json(StatusCode::OK, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        metrics::expired(over);
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "moved");
        Ok(answer)
    }
}

/// Whether the person gives the service and works then; what was booked by its times alone is free of
/// both. Whether it is taken the database says.
async fn possible(tx: &mut PgConnection, booking: &Booking, zone: TimeZone) -> Result<(), Error> {
    let Some(service) = booking.service_id else { return Ok(()) };
    let staff = qualified(tx, booking.merchant_id, service, Some(booking.staff_id)).await?;
    free(tx, booking, &staff, zone).await?;
    Ok(())
}

fn taken(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("no_overlap_bookings") => Error::SlotTaken,
        Some("booking_staff_exists") => Error::UnknownStaff,
        _ => error.into(),
    }
}
