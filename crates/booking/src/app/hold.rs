//! Holding a slot: the textbook use case. Every command has these five steps.

use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use uuid::Uuid;

use super::slots::qualified_staff;
use super::take_slot::{Taken, appointment, free_staff, take_slot};
use super::{Bookings, Error};
use crate::domain::{Actor, Bookable, Booking, Interval, Moment, Status};
use crate::{metrics, store};

/// Holds a slot for ten minutes, in which the member decides.
#[derive(Clone, Debug)]
pub struct Hold {
    pub actor: Actor,
    pub merchant_id: Uuid,
    pub service_id: Uuid,
    /// Any free staff member when absent.
    pub staff_id: Option<Uuid>,
    pub starts_at: Moment,
}

impl Bookings {
    /// Answers the [`Booking`], `held` until it expires. Refuses with [`Error::SlotTaken`] when no staff member
    /// is free.
    #[tracing::instrument(skip_all, fields(merchant.id = %wanted.merchant_id))]
    pub async fn hold(&self, key: Key, wanted: Hold) -> Result<Answer<Booking>, Error> {
        // 1. Begin a transaction that holds the idempotency key. A repeated request gets its first answer.
        let mut work = match command::begin(&self.db, wanted.actor.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        // 2. Load.
        let Hold { actor, merchant_id, service_id, staff_id, starts_at } = wanted;
        self.guard.check()?;
        let service = store::find_bookable(&mut work, merchant_id, service_id)
            .await?
            .ok_or(Error::UnknownService)?;

        // 3. Decide. An early return rolls back.
        service.terms.check_open()?;
        let zone = service.terms.zone;
        let interval = appointment(zone, starts_at, service.length.duration())?;
        interval.bookable_at(self.clock.now())?;
        let staff = qualified_staff(&mut work, merchant_id, service_id, staff_id).await?;
        self.check_booking_limit(&mut work, actor, &service.terms).await?;
        self.check_hold_limit(&mut work, actor).await?;
        let hold = self.new_hold(&wanted, &service, interval);
        let free = free_staff(&mut work, &hold, &staff, zone).await?;

        // 4. Write. The exclusion constraint has the last word on the slot.
        let Taken { booking, expired } = take_slot(&mut work, hold, free, zone).await?;

        // 5. Commit the effect together with the answer. Metrics and logs follow.
        let booking_id = booking.booking_id;
        let answer = work.commit(Success::Created, booking).await?;
        metrics::expired(expired);
        tracing::info!(booking.id = %booking_id, merchant.id = %merchant_id, "slot held");
        Ok(answer)
    }

    fn new_hold(&self, wanted: &Hold, service: &Bookable, interval: Interval) -> Booking {
        Booking {
            booking_id: self.clock.id(),
            merchant_id: wanted.merchant_id,
            staff_id: Uuid::nil(), // `take_slot` sets it
            member_id: wanted.actor.id(),
            service_id: Some(wanted.service_id),
            starts_at: interval.starts_at(),
            ends_at: interval.ends_at(),
            buffer_minutes: service.length.buffer_minutes(),
            status: Status::Held,
            expires_at: None, // the database sets it
            price_minor: service.price_minor,
            points_paid: 0,
            points_value_minor: 0,
            created_at: self.clock.now(),
        }
    }
}
