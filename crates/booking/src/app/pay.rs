//! Confirming a hold and paying with points: `docs/decisions/0011-paying-with-points.md`.

use std::time::Duration;

use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::{Classify as _, Kind, postgres};
use secrecy::SecretString;
use sqlx::PgConnection;
use tokio::time::timeout;
use uuid::Uuid;

use super::saga::LEASE;
use super::{Bookings, Error};
use crate::domain::{Actor, Booking, Failure, InvalidTransition, Price, Saga, SagaState, Status};
use crate::peers::{GrantHold, NoGrant};
use crate::store;

/// The time that a member waits for points before they get 202.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Confirms a hold, and pays with points. Only the member may, who proves it with their token.
#[derive(Clone, Debug)]
pub struct Pay {
    pub actor: Actor,
    pub booking_id: Uuid,
    pub points: i64,
    /// Access token of the member, for which auth signs a grant. It is never stored.
    pub access_token: SecretString,
}

/// The payment of a booking, as it was found.
enum Payment {
    /// Its saga exists, from an earlier request.
    Open(Uuid),
    /// It is allowed, and not written yet.
    New(Saga),
}

impl Bookings {
    /// Answers the [`Booking`], `confirmed`. When points does not answer in time, it answers 202 with the booking as
    /// it is, and a repetition with the same key gets the result. A refusal of points ends the booking. Nothing
    /// begins without auth.
    pub async fn pay(&self, key: Key, wanted: Pay) -> Result<Answer<Booking>, Error> {
        let payment = match command::begin(&self.db, wanted.actor.id(), &key).await? {
            // Rolls back: nothing is written before auth has signed.
            Begun::First(mut work) => {
                self.check_payment(&mut work, &wanted, self.clock.id()).await?
            }
            Begun::Replay(answer) => return Ok(answer),
        };
        let saga = match payment {
            Payment::Open(saga) => saga,
            Payment::New(saga) => {
                let grant = self.grant(&wanted, &saga).await?;
                self.open_saga(&wanted, saga.saga_id, &grant).await?
            }
        };
        // The saga continues after the timeout.
        let _ = timeout(PATIENCE, self.drive_in_background(saga)).await;
        self.answer_payment(&key, &wanted).await.map_err(begun)
    }

    /// Finds the saga of an earlier request, or checks that the payment is allowed.
    async fn check_payment(
        &self,
        conn: &mut PgConnection,
        wanted: &Pay,
        saga_id: Uuid,
    ) -> Result<Payment, Error> {
        let booking = store::lock_booking(conn, wanted.booking_id, wanted.actor)
            .await?
            .ok_or(Error::UnknownBooking)?;
        if booking.member_id != wanted.actor.id() {
            return Err(Error::NotYourPoints);
        }
        match payment_of(conn, &booking).await? {
            Some(saga) if saga.points == wanted.points => return Ok(Payment::Open(saga.saga_id)),
            Some(_) if booking.status == Status::Held => return Err(Error::ConfirmationInProgress),
            _ => booking.status.pay()?,
        };
        let terms = store::terms(conn, booking.merchant_id).await?;
        terms.check_open()?;
        // Only points knows the value of points in another currency.
        let is_own = terms.currency == self.points_currency.as_str();
        let most = if is_own { booking.price_minor } else { Price::MAX };
        if !(1..=most).contains(&wanted.points) || booking.price_minor == 0 {
            return Err(Error::InvalidPoints);
        }
        Ok(Payment::New(Saga {
            saga_id,
            merchant_id: booking.merchant_id,
            booking_id: booking.booking_id,
            member_id: booking.member_id,
            points: wanted.points,
            price_minor: booking.price_minor,
            currency: terms.currency,
            value_minor: 0,
            state: SagaState::Holding,
            undo: false,
            transfer_id: None,
            failure: None,
        }))
    }

    /// Requests the member's grant for the hold of points. No transaction is open meanwhile: auth may be slow.
    async fn grant(&self, wanted: &Pay, saga: &Saga) -> Result<SecretString, Error> {
        let wanted = GrantHold {
            access_token: &wanted.access_token,
            hold_id: saga.saga_id,
            points: saga.points,
            merchant_id: saga.merchant_id,
        };
        self.grants.grant(wanted).await.map_err(|error| {
            if matches!(error, NoGrant::Away(_)) {
                tracing::warn!(%error, "no grant for a payment");
            }
            error.into()
        })
    }

    /// Commits the saga before points is asked, so that it is never forgotten. Returns the saga of a concurrent
    /// request when that was faster.
    async fn open_saga(
        &self,
        wanted: &Pay,
        saga_id: Uuid,
        grant: &SecretString,
    ) -> Result<Uuid, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        match self.check_payment(&mut tx, wanted, saga_id).await? {
            Payment::Open(saga) => Ok(saga),
            Payment::New(saga) => {
                store::insert_saga(&mut tx, &saga, grant, LEASE).await?;
                postgres::commit(tx).await?;
                Ok(saga_id)
            }
        }
    }

    /// Answers with the state of the payment.
    async fn answer_payment(&self, key: &Key, wanted: &Pay) -> Result<Answer<Booking>, Error> {
        let mut work = match command::begin(&self.db, wanted.actor.id(), key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let booking = store::lock_booking(&mut work, wanted.booking_id, wanted.actor)
            .await?
            .ok_or(Error::UnknownBooking)?;
        let saga = payment_of(&mut work, &booking).await?.ok_or(Error::UnknownBooking)?;
        if saga.state == SagaState::Holding {
            // Not committed, so not kept with the key: a repetition gets the result.
            return Ok(Answer::recorded(Success::Accepted, booking));
        }
        if let Some(failure) = saga.failure {
            return Err(failed(failure, booking.status));
        }
        let (booking_id, merchant_id) = (booking.booking_id, booking.merchant_id);
        let answer = work.commit(Success::Ok, booking).await?;
        tracing::info!(booking.id = %booking_id, merchant.id = %merchant_id, "booking confirmed and paid");
        Ok(answer)
    }
}

/// Returns the saga that pays a booking, if there is one.
async fn payment_of(conn: &mut PgConnection, booking: &Booking) -> Result<Option<Saga>, Error> {
    match store::saga_of_booking(conn, booking.merchant_id, booking.booking_id).await? {
        Some(saga) => Ok(store::find_saga(conn, saga).await?),
        None => Ok(None),
    }
}

/// Marks an outage as of unknown outcome: the saga is committed and goes on.
fn begun(error: Error) -> Error {
    if error.kind() == Kind::Unavailable { Error::Begun(Box::new(error)) } else { error }
}

/// Translates the failure of a saga.
fn failed(failure: Failure, status: Status) -> Error {
    match failure {
        Failure::InsufficientPoints => Error::InsufficientPoints,
        Failure::TenderValueMissing => Error::TenderValueMissing,
        Failure::ExceedsPrice => Error::ExceedsPrice,
        Failure::HoldExpired => InvalidTransition::of_expired_hold().into(),
        Failure::Cancelled => match status.confirm() {
            Err(error) => error.into(),
            Ok(_) => Error::PointsRefused,
        },
        _ => Error::PointsRefused,
    }
}
