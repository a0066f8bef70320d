//! The fast path of [`Bookings::book`]: a second reading. The textbook use case is in `hold.rs`.
//!
//! Nearly every booking is a single SQL statement, which is a transaction of its own: one round trip instead of
//! eight. `make bench-booking` measures it.

use kit::command::{Answer, Success};
use kit::idempotency::{self, Key};
use kit::postgres;
use sqlx::PgConnection;

use super::take_slot::unknown_staff;
use super::{Book, Bookings, Error};
use crate::domain::Booking;
use crate::store::{self, NewBooking};

impl Bookings {
    /// Books in one statement. `None` when it wrote nothing: the request is a replay, has a concurrent twin, meets
    /// an expired hold, or is refused. Then the transaction of [`Bookings::book`] finds out which, because only the
    /// first answer of a key may say so: a replay must get the same answer after the slot has passed.
    pub(super) async fn book_in_one_statement(
        &self,
        key: &Key,
        wanted: &Book,
    ) -> Result<Option<Answer<Booking>>, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        match self.plan_and_insert(&mut conn, key, wanted).await {
            Ok(answer) => Ok(answer),
            Err(error @ Error::Database(_)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    async fn plan_and_insert(
        &self,
        conn: &mut PgConnection,
        key: &Key,
        wanted: &Book,
    ) -> Result<Option<Answer<Booking>>, Error> {
        let (booking, terms) = self.plan(conn, wanted).await?;
        let answer = Answer::recorded(Success::Created, booking.clone());
        let new = NewBooking {
            booking: &booking,
            zone: terms.as_ref().map(|terms| terms.zone),
            limit: terms.as_ref().and_then(|terms| self.booking_limit(wanted.actor, terms)),
            notification_id: self.clock.id(),
            key,
            answer: &answer,
        };
        let is_booked = store::book_in_one_statement(conn, new).await.map_err(refused)?;
        if !is_booked {
            return Ok(None);
        }
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "slot booked");
        Ok(Some(answer))
    }
}

fn refused(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        // Another request with this key was answered since the statement began.
        Some("idempotency_key_pk") => idempotency::Error::InProgress.into(),
        Some(_) => unknown_staff(error),
        None => postgres::during_commit(error).into(),
    }
}
