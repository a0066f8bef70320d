//! The internal API for other services, over gRPC.

use chrono::{DateTime, SecondsFormat, Utc};
use kit::ApiError;
use kit::caller::Verifier;
use kit::grpc::{Allowlist, guard};
use proto::booking::v1::booking_server::{Booking as Rpc, BookingServer};
use proto::booking::v1::{GetBookingRequest, GetBookingResponse};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::app::{Bookings, Error};
use crate::domain::Booking;

/// No service calls it, so none may. `inspector` is a client that no deployment has; an operator creates it for a
/// program of their own (docs/security.md).
const ALLOW: Allowlist = &[("/booking.v1.Booking/GetBooking", &["inspector"])];

/// Returns the routes behind the guard.
pub fn routes(bookings: Bookings, verifier: Verifier) -> Routes {
    guard(Routes::new(BookingServer::new(Server(bookings))), verifier, ALLOW)
}

struct Server(Bookings);

#[tonic::async_trait]
impl Rpc for Server {
    async fn get_booking(
        &self,
        request: Request<GetBookingRequest>,
    ) -> Result<Response<GetBookingResponse>, Status> {
        let id = request
            .into_inner()
            .booking_id
            .parse()
            .map_err(|_| ApiError::from(Error::InvalidId))?;
        let booking = self.0.get_for_service(id).await.map_err(ApiError::from)?;
        Ok(Response::new(booking.into()))
    }
}

impl From<Booking> for GetBookingResponse {
    fn from(booking: Booking) -> Self {
        Self {
            booking_id: booking.booking_id.to_string(),
            merchant_id: booking.merchant_id.to_string(),
            staff_id: booking.staff_id.to_string(),
            member_id: booking.member_id.to_string(),
            status: booking.status.to_string(),
            starts_at: rfc3339(booking.starts_at),
            ends_at: rfc3339(booking.ends_at),
        }
    }
}

/// Formats a time as the HTTP API does.
fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
