use std::time::Duration;

use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{Classify as _, Kind, command, postgres};
use secrecy::SecretString;
use sqlx::PgConnection;
use tokio::time::timeout;
use uuid::Uuid;

use super::confirm::lock_with_calendars;
use super::saga::LEASE;
use super::{Bookings, By, Error};
use crate::domain::{
    Booking, EXCEEDS_PRICE, INSUFFICIENT, InvalidTransition, Price, Saga, SagaState, Status,
    TENDER_VALUE_MISSING,
};
use crate::peers::{GrantHold, NoGrant};
use crate::{domain, store};

/// How long a member waits for points before they are told that it is on its way.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Confirms a hold, and pays with points. Only the member may, who proves it with their token.
#[derive(Clone, Debug)]
pub struct Pay {
    pub by: By,
    pub booking_id: Uuid,
    pub points: i64,
    /// Of the member. Auth signs a grant for it; it is kept nowhere.
    pub access_token: SecretString,
}

enum Opened {
    Answered(Answer),
    Saga(Uuid),
    /// Nothing is in the way, and nothing has happened: the hold wants a grant.
    Possible(Saga),
}

impl Bookings {
    /// 200 with the [`Booking`], now `confirmed`; or 202 with the booking as it stands, when points does not
    /// answer in time: asked again with the same key, this says how it went on. A refusal ends the booking.
    /// Without auth nothing begins.
    pub async fn pay(&self, key: Key, wanted: Pay) -> Result<Answer, Error> {
        let saga = match self.open_saga(&key, &wanted, None).await? {
            Opened::Answered(answer) => return Ok(answer),
            Opened::Saga(saga) => saga,
            Opened::Possible(saga) => {
                let grant = self.granted(&wanted, &saga).await?;
                match self.open_saga(&key, &wanted, Some((saga.saga_id, grant))).await? {
                    Opened::Answered(answer) => return Ok(answer),
                    Opened::Saga(id) | Opened::Possible(Saga { saga_id: id, .. }) => id,
                }
            }
        };
        // It goes on when nobody waits any more.
        let _ = timeout(PATIENCE, self.drive_beside(saga)).await;
        let this = self.clone();
        let told = command::run(async move { this.tell(&key, &wanted).await }).await;
        told.map_err(begun)
    }

    /// Outside every transaction: auth may take its time.
    async fn granted(&self, wanted: &Pay, saga: &Saga) -> Result<SecretString, Error> {
        let asked = GrantHold {
            access_token: &wanted.access_token,
            hold_id: saga.saga_id,
            points: saga.points,
            merchant_id: saga.merchant_id,
        };
        self.grants.grant(asked).await.map_err(|error| {
            if matches!(error, NoGrant::Away(_)) {
                tracing::warn!(%error, "no grant for a payment");
            }
            error.into()
        })
    }

    async fn open_saga(
        &self,
        key: &Key,
        wanted: &Pay,
        granted: Option<(Uuid, SecretString)>,
    ) -> Result<Opened, Error> {
        let (this, key, wanted) = (self.clone(), key.clone(), wanted.clone());
        command::run(async move { this.begin(&key, &wanted, granted).await }).await
    }

    /// With its grant it commits the intention before points is asked, so that it is not forgotten.
    async fn begin(
        &self,
        key: &Key,
        wanted: &Pay,
        granted: Option<(Uuid, SecretString)>,
    ) -> Result<Opened, Error> {
        let principal = wanted.by.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(Opened::Answered(answer));
        }
        let booking = lock_with_calendars(&mut tx, wanted.booking_id, wanted.by, None).await?;
        if booking.member_id != wanted.by.id() {
            return Err(Error::NotYourPoints);
        }
        let open = store::saga_of_booking(&mut tx, booking.merchant_id, booking.booking_id).await?;
        match open {
            // Asked again: it tells how the first went on.
            Some(saga) if saga.points == wanted.points => return Ok(Opened::Saga(saga.saga_id)),
            Some(_) if booking.status == Status::Held => return Err(Error::ConfirmationInProgress),
            _ => booking.status.pay()?,
        };
        let (saga_id, grant) = granted.unzip();
        let saga_id = saga_id.unwrap_or_else(|| self.clock.id());
        let saga = self.payment(&mut tx, &booking, saga_id, wanted.points).await?;
        let Some(grant) = grant else { return Ok(Opened::Possible(saga)) };
        store::insert_saga(&mut tx, &saga, &grant, LEASE).await?;
        postgres::commit(tx).await?;
        Ok(Opened::Saga(saga_id))
    }

    /// The payment of this booking with so many points, if they may pay it. What points are worth in another
    /// currency than their own points knows.
    async fn payment(
        &self,
        tx: &mut PgConnection,
        booking: &Booking,
        saga_id: Uuid,
        points: i64,
    ) -> Result<Saga, Error> {
        let terms = store::terms(tx, booking.merchant_id).await?;
        terms.open()?;
        let is_own = terms.currency == self.points_currency.as_str();
        let most = if is_own { booking.price_minor } else { Price::MAX };
        if !(1..=most).contains(&points) || booking.price_minor == 0 {
            return Err(Error::InvalidPoints);
        }
        Ok(Saga {
            saga_id,
            merchant_id: booking.merchant_id,
            booking_id: booking.booking_id,
            member_id: booking.member_id,
            points,
            price_minor: booking.price_minor,
            currency: terms.currency,
            value_minor: 0,
            state: SagaState::Holding,
            undo: false,
            transfer_id: None,
            failure: None,
        })
    }

    /// Where it stands now. Only an answer that will stay true is kept with the key.
    async fn tell(&self, key: &Key, wanted: &Pay) -> Result<Answer, Error> {
        let principal = wanted.by.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }
        let booking = store::lock_booking(&mut tx, wanted.booking_id, wanted.by)
            .await?
            .ok_or(Error::UnknownBooking)?;
        let saga = store::saga_of_booking(&mut tx, booking.merchant_id, booking.booking_id).await?;
        let saga = saga.ok_or(Error::UnknownBooking)?;
        if saga.state == SagaState::Holding {
            return Ok(Answer::json(StatusCode::ACCEPTED, &booking));
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
        TENDER_VALUE_MISSING => Error::TenderValueMissing,
        EXCEEDS_PRICE => Error::ExceedsPrice,
        domain::EXPIRED => InvalidTransition::of_expired_hold().into(),
        domain::CANCELLED => match stands.confirm() {
            Err(error) => error.into(),
            Ok(_) => Error::PointsRefused,
        },
        _ => Error::PointsRefused,
    }
}
