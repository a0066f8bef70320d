//! The failures of use cases, and their classes for clients.

use std::time::Duration;

use kit::error::{Class, Outcome};
use kit::{Classify, Kind, idempotency, page, postgres};
use thiserror::Error;

use crate::domain::{
    InvalidClosure, InvalidInterval, InvalidTransition, LocalTimeError, MerchantClosed,
    OutsideBookingWindow, TooLate,
};
use crate::peers::NoGrant;

const HALF_A_MINUTE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Error)]
pub enum Error {
    #[error("merchant not found")]
    UnknownMerchant,
    #[error("staff member not found")]
    UnknownStaff,
    #[error("service not found")]
    UnknownService,
    #[error("booking not found")]
    UnknownBooking,
    #[error("closure not found")]
    UnknownClosure,
    #[error("saga not found")]
    UnknownSaga,
    #[error("booking id must be a UUID")]
    InvalidId,

    #[error(transparent)]
    MerchantClosed(#[from] MerchantClosed),
    #[error("member is already linked to another staff member")]
    StaffMemberTaken,
    #[error("service has changed since the version in If-Match")]
    VersionConflict,
    #[error(transparent)]
    InvalidClosure(#[from] InvalidClosure),
    #[error("period must be within the years 0 to 9999")]
    InvalidPeriod,
    #[error("{source}")]
    LocalTime { field: &'static str, source: LocalTimeError },
    #[error(transparent)]
    Page(#[from] page::Error),

    #[error("slot already taken")]
    SlotTaken,
    #[error("service is required, except for the merchant's owner")]
    ServiceRequired,
    #[error("staff member does not give this service")]
    StaffNotQualified,
    #[error("appointment must start on a quarter hour of the merchant's clock")]
    OffGrid,
    #[error("no staff member works at this time")]
    OutsideHours,
    #[error(transparent)]
    InvalidInterval(#[from] InvalidInterval),
    #[error(transparent)]
    OutsideBookingWindow(#[from] OutsideBookingWindow),
    #[error("limit of holds reached; confirm or cancel one")]
    TooManyHolds,
    #[error("limit of bookings ahead reached")]
    TooManyBookings,
    #[error("constraint against overlapping bookings is missing")]
    Unguarded,

    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    #[error(transparent)]
    TooLate(#[from] TooLate),
    #[error("booking has not started yet")]
    NotStarted,

    #[error("only the member of the booking can pay with points")]
    NotYourPoints,
    #[error("points must be at least 1, and worth at most the price")]
    InvalidPoints,
    #[error("confirmation with another number of points is in progress")]
    ConfirmationInProgress,
    #[error("balance has fewer points; the slot is free again")]
    InsufficientPoints,
    #[error("payment with points refused; the slot is free again")]
    PointsRefused,
    #[error("merchant's currency has no value in points; the slot is free again")]
    TenderValueMissing,
    #[error("points are worth more than the price, or nothing; the slot is free again")]
    ExceedsPrice,
    #[error(transparent)]
    NoGrant(#[from] NoGrant),
    /// The saga is committed, but its state could not be read. A repetition with the same key gets the result.
    #[error(transparent)]
    Begun(Box<Error>),

    #[error("LINE is not configured")]
    LineNotConfigured,
    #[error("LINE did not accept the code; nothing has changed")]
    LineUnavailable,
    #[error("code is wrong or expired")]
    WrongLineCode,
    #[error("too many codes requested; try again in an hour")]
    TooManyLineCodes,
    #[error("encryption of a LINE secret failed")]
    Seal(#[source] anyhow::Error),

    #[error(transparent)]
    Idempotency(#[from] idempotency::Error),
    #[error("database failure")]
    Database(#[from] sqlx::Error),
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::UnknownMerchant
            | Self::UnknownStaff
            | Self::UnknownService
            | Self::UnknownBooking
            | Self::UnknownClosure
            | Self::UnknownSaga => Kind::NotFound.code("not_found"),
            Self::InvalidId => Kind::Malformed.code("invalid_id"),

            Self::MerchantClosed(_) => Kind::Conflict.code("merchant_closed"),
            Self::StaffMemberTaken => Kind::Conflict.code("staff_member_taken"),
            Self::VersionConflict => {
                Kind::Precondition.code("version_conflict").conflict("service")
            }
            Self::InvalidClosure(_) => Kind::Invalid.code("invalid_period").field("ends_at"),
            Self::InvalidPeriod => Kind::Invalid.code("invalid_period").field("from"),
            Self::LocalTime { field, source: LocalTimeError::Nonexistent } => {
                Kind::Invalid.code("nonexistent_local_time").field(field)
            }
            Self::LocalTime { field, source: LocalTimeError::Ambiguous } => {
                Kind::Invalid.code("ambiguous_local_time").field(field)
            }
            Self::Page(error) => error.class(),

            Self::SlotTaken => Kind::Conflict.code("slot_taken"),
            Self::ServiceRequired => Kind::Refused.code("service_required").field("service_id"),
            Self::StaffNotQualified => Kind::Refused.code("staff_not_qualified").field("staff_id"),
            Self::OffGrid => Kind::Refused.code("off_grid").field("starts_at"),
            Self::OutsideHours => Kind::Refused.code("outside_hours").field("starts_at"),
            Self::InvalidInterval(_) => Kind::Invalid.code("invalid_interval"),
            Self::OutsideBookingWindow(_) => {
                Kind::Refused.code("outside_booking_window").field("starts_at")
            }
            Self::TooManyHolds => Kind::Conflict.code("too_many_holds"),
            Self::TooManyBookings => Kind::Conflict.code("too_many_bookings"),
            Self::Unguarded => {
                Kind::Unavailable.code("overlap_guard_missing").retry_after(HALF_A_MINUTE)
            }

            Self::InvalidTransition(transition) if transition.is_of_expired_hold() => {
                Kind::Conflict.code("hold_expired")
            }
            Self::InvalidTransition(_) => Kind::Conflict.code("invalid_transition"),
            Self::TooLate(_) => Kind::Refused.code("cancellation_window_closed"),
            Self::NotStarted => Kind::Refused.code("not_started"),

            Self::NotYourPoints => Kind::Forbidden.code("forbidden"),
            Self::InvalidPoints => Kind::Invalid.code("invalid_points").field("points"),
            Self::ConfirmationInProgress => Kind::Conflict.code("confirmation_in_progress"),
            Self::InsufficientPoints => Kind::Conflict.code("insufficient_points"),
            Self::PointsRefused => Kind::Conflict.code("points_refused"),
            Self::TenderValueMissing => Kind::Refused.code("tender_value_missing").field("points"),
            Self::ExceedsPrice => Kind::Refused.code("exceeds_price").field("points"),
            // Auth is asked before anything is written.
            Self::NoGrant(NoGrant::Refused) => {
                Kind::Unauthenticated.code("invalid_token").outcome(Outcome::None)
            }
            Self::NoGrant(NoGrant::Away(_)) => {
                Kind::Unavailable.code("auth_unavailable").outcome(Outcome::None)
            }
            Self::Begun(error) => error.class().outcome(Outcome::Unknown),

            Self::LineNotConfigured => Kind::Unavailable.code("line_not_configured"),
            Self::LineUnavailable => Kind::Unavailable.code("line_unavailable"),
            Self::WrongLineCode => Kind::Refused.code("wrong_line_code").field("code"),
            Self::TooManyLineCodes => {
                Kind::RateLimited.code("too_many_line_codes").retry_after(HOUR)
            }
            Self::Seal(_) => Kind::Internal.code("internal_error"),

            Self::Idempotency(error) => error.class(),
            Self::Database(error) => postgres::class(error),
        }
    }
}
