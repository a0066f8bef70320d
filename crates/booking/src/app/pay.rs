use std::time::Duration;

use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{Classify as _, Kind, command, postgres};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;
use uuid::Uuid;

use super::confirm::lock_with_calendars;
use super::saga::LEASE;
use super::{Bookings, Error};
use crate::domain::{Booking, INSUFFICIENT, InvalidTransition, Saga, SagaState, Status};
use crate::{domain, store};

/// How long a member waits for points before they are told that it is on its way.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Confirms a hold, and pays with points, each one minor unit of the price. Only the member may.
#[derive(Clone, Debug)]
pub struct Pay {
    pub member_id: Uuid,
    pub booking_id: Uuid,
    pub points: i64,
}

/// A booking whose payment is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pending {
    #[serde(flatten)]
    pub booking: Booking,
    pub saga_id: Uuid,
}

enum Opened {
    Answered(Answer),
    Saga(Uuid),
}

impl Bookings {
    /// 200 with the [`Booking`], now `confirmed`; or 202 with what is [`Pending`], when points does not
    /// answer in time: asked again with the same key, this says how it went on. A refusal ends the booking.
    pub async fn pay(&self, key: Key, wanted: Pay) -> Result<Answer, Error> {
        let opened = {
            let (this, key, wanted) = (self.clone(), key.clone(), wanted.clone());
            command::run(async move { this.open_saga(&key, &wanted).await }).await?
        };
        let saga = match opened {
            Opened::Answered(answer) => return Ok(answer),
            Opened::Saga(saga) => saga,
        };
        // It goes on when nobody waits any more.
        let _ = timeout(PATIENCE, self.drive_beside(saga)).await;
        let this = self.clone();
        let told = command::run(async move { this.tell(&key, &wanted).await }).await;
        told.map_err(begun)
    }

    /// Commits the intention before anybody is asked, so that it is not forgotten.
    async fn open_saga(&self, key: &Key, wanted: &Pay) -> Result<Opened, Error> {
        let principal = wanted.member_id.to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(Opened::Answered(answer));
        }
        let by = wanted.member_id;
        let booking = lock_with_calendars(&mut tx, wanted.booking_id, by, None).await?;
        if booking.member_id != by {
            return Err(Error::NotYourPoints);
        }
        let open = store::saga_of_booking(&mut tx, booking.merchant_id, booking.booking_id).await?;
        match open {
            // Asked again: it tells how the first went on.
            Some(saga) if saga.points == wanted.points => return Ok(Opened::Saga(saga.saga_id)),
            Some(_) if booking.status == Status::Held => return Err(Error::ConfirmationInProgress),
            _ => booking.status.pay()?,
        };
        if !(1..=booking.price_minor).contains(&wanted.points) {
            return Err(Error::InvalidPoints);
        }
        let saga = Saga {
            saga_id: self.clock.id(),
            merchant_id: booking.merchant_id,
            booking_id: booking.booking_id,
            member_id: by,
            points: wanted.points,
            state: SagaState::Holding,
            undo: false,
            transfer_id: None,
            failure: None,
        };
        store::insert_saga(&mut tx, &saga, LEASE).await?;
        postgres::commit(tx).await?;
        Ok(Opened::Saga(saga.saga_id))
    }

    /// Where it stands now. Only an answer that will stay true is kept with the key.
    async fn tell(&self, key: &Key, wanted: &Pay) -> Result<Answer, Error> {
        let principal = wanted.member_id.to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }
        let booking = store::lock_booking(&mut tx, wanted.booking_id, wanted.member_id)
            .await?
            .ok_or(Error::UnknownBooking)?;
        let saga = store::saga_of_booking(&mut tx, booking.merchant_id, booking.booking_id).await?;
        let saga = saga.ok_or(Error::UnknownBooking)?;
        if saga.state == SagaState::Holding {
            let pending = Pending { booking, saga_id: saga.saga_id };
            return Ok(Answer::json(StatusCode::ACCEPTED, &pending));
        }
        if let Some(why) = &saga.failure {
            return Err(failed(why, booking.status));
        }
        let answer = Answer::json(StatusCode::OK, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "confirmed and paid");
        Ok(answer)
    }
}

/// What may no longer be said to have done nothing.
fn begun(error: Error) -> Error {
    if error.kind() == Kind::Unavailable { Error::Begun(Box::new(error)) } else { error }
}

fn failed(why: &str, stands: Status) -> Error {
    match why {
        INSUFFICIENT => Error::InsufficientPoints,
        domain::EXPIRED => InvalidTransition::of_expired_hold().into(),
        domain::CANCELLED => match stands.confirm() {
            Err(error) => error.into(),
            Ok(_) => Error::PointsRefused,
        },
        _ => Error::PointsRefused,
    }
}
