//! What may go wrong.

use std::borrow::Cow;
use std::time::Duration;

use kit::error::Outcome;
use kit::{Classify, FieldError, Kind, idempotency, page, postgres};
use thiserror::Error;

use crate::domain::{
    InvalidClosure, InvalidInterval, InvalidTransition, LocalTimeError, MerchantClosed,
    OutsideBookingWindow, TooLate,
};
use crate::peers::NoGrant;

#[derive(Debug, Error)]
pub enum Error {
    #[error("no such merchant")]
    UnknownMerchant,
    #[error("no such staff")]
    UnknownStaff,
    #[error("this member is another person of the merchant already")]
    StaffMemberTaken,
    #[error("no such booking")]
    UnknownBooking,
    #[error("no such service")]
    UnknownService,
    #[error("the service has changed since the version in If-Match")]
    VersionConflict,
    #[error("no such saga")]
    UnknownSaga,
    #[error("points are spent by the member who has them")]
    NotYourPoints,
    #[error(
        "points pay a part of the price: at least one, and what the whole price is worth at most"
    )]
    InvalidPoints,
    #[error("you have fewer points; the slot is free again")]
    InsufficientPoints,
    #[error("points cannot pay this; the slot is free again")]
    PointsRefused,
    #[error("the merchant's currency has no worth in points; the slot is free again")]
    TenderValueMissing,
    #[error("the points are worth more than the price, or nothing; the slot is free again")]
    ExceedsPrice,
    #[error(transparent)]
    NoGrant(#[from] NoGrant),
    #[error(transparent)]
    MerchantClosed(#[from] MerchantClosed),
    #[error("it is being confirmed with another number of points")]
    ConfirmationInProgress,
    #[error("no such closure")]
    UnknownClosure,
    #[error(transparent)]
    InvalidClosure(#[from] InvalidClosure),
    #[error("{source}")]
    LocalTime { field: &'static str, source: LocalTimeError },
    #[error("this person does not give this service")]
    StaffNotQualified,
    #[error("appointments start on the quarter hours of the merchant's clock")]
    OffGrid,
    #[error("nobody works then")]
    OutsideHours,
    #[error("it has not begun yet")]
    NotStarted,
    #[error(transparent)]
    TooLate(#[from] TooLate),
    #[error(transparent)]
    InvalidInterval(#[from] InvalidInterval),
    #[error("a booking id is a UUID")]
    InvalidId,
    #[error("a period is within the years 0 to 9999")]
    InvalidPeriod,
    #[error(transparent)]
    Page(#[from] page::Error),
    #[error(transparent)]
    OutsideBookingWindow(#[from] OutsideBookingWindow),
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    #[error("nothing can be booked now, for two could get the same time")]
    Unguarded,
    #[error("you hold as many slots as one may; confirm one, or give one back")]
    TooManyHolds,
    #[error("you have as many bookings ahead of you as one may")]
    TooManyBookings,
    #[error("only the merchant books a time for no service")]
    ServiceRequired,
    #[error("this time is already taken")]
    SlotTaken,
    #[error(transparent)]
    Idempotency(#[from] idempotency::Error),
    #[error("this installation has no LINE")]
    LineNotConfigured,
    #[error("LINE did not take the code; nothing has changed")]
    LineUnavailable,
    #[error("this is not the code that was sent, or it is too old")]
    WrongLineCode,
    #[error("too many codes were asked for; try again in an hour")]
    TooManyLineCodes,
    #[error("cannot seal")]
    Seal(#[source] anyhow::Error),
    /// A payment was begun, and how it stands could not be read: repeated with its key, the command tells.
    #[error(transparent)]
    Begun(Box<Error>),
    #[error("database failure")]
    Database(#[from] sqlx::Error),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownMerchant
            | Self::UnknownStaff
            | Self::UnknownService
            | Self::UnknownClosure
            | Self::UnknownSaga
            | Self::UnknownBooking => Kind::NotFound,
            Self::InvalidId => Kind::Malformed,
            Self::VersionConflict => Kind::Precondition,
            Self::NotYourPoints => Kind::Forbidden,
            Self::InvalidPeriod
            | Self::InvalidPoints
            | Self::InvalidClosure(_)
            | Self::InvalidInterval(_)
            | Self::LocalTime { .. } => Kind::Invalid,
            Self::OutsideBookingWindow(_)
            | Self::ServiceRequired
            | Self::StaffNotQualified
            | Self::OffGrid
            | Self::OutsideHours
            | Self::NotStarted
            | Self::TenderValueMissing
            | Self::ExceedsPrice
            | Self::WrongLineCode
            | Self::TooLate(_) => Kind::Refused,
            Self::NoGrant(NoGrant::Refused) => Kind::Unauthenticated,
            Self::TooManyLineCodes => Kind::RateLimited,
            Self::InvalidTransition(_)
            | Self::SlotTaken
            | Self::StaffMemberTaken
            | Self::TooManyHolds
            | Self::TooManyBookings
            | Self::InsufficientPoints
            | Self::PointsRefused
            | Self::MerchantClosed(_)
            | Self::ConfirmationInProgress => Kind::Conflict,
            Self::NoGrant(NoGrant::Away(_))
            | Self::Unguarded
            | Self::LineUnavailable
            | Self::LineNotConfigured => Kind::Unavailable,
            Self::Seal(_) => Kind::Internal,
            Self::Begun(error) => error.kind(),
            Self::Page(error) => error.kind(),
            Self::Idempotency(error) => error.kind(),
            Self::Database(error) => postgres::kind(error),
        }
    }

    fn code(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownMerchant
            | Self::UnknownStaff
            | Self::UnknownService
            | Self::UnknownClosure
            | Self::UnknownSaga
            | Self::UnknownBooking => "not_found".into(),
            Self::NotYourPoints => "forbidden".into(),
            Self::VersionConflict => "version_conflict".into(),
            Self::InvalidPoints => "invalid_points".into(),
            Self::InsufficientPoints => "insufficient_points".into(),
            Self::PointsRefused => "points_refused".into(),
            Self::TenderValueMissing => "tender_value_missing".into(),
            Self::ExceedsPrice => "exceeds_price".into(),
            Self::NoGrant(NoGrant::Refused) => "invalid_token".into(),
            Self::NoGrant(NoGrant::Away(_)) => "auth_unavailable".into(),
            Self::MerchantClosed(_) => "merchant_closed".into(),
            Self::WrongLineCode => "wrong_line_code".into(),
            Self::TooManyLineCodes => "too_many_line_codes".into(),
            Self::LineUnavailable => "line_unavailable".into(),
            Self::ConfirmationInProgress => "confirmation_in_progress".into(),
            Self::InvalidId => "invalid_id".into(),
            Self::InvalidPeriod | Self::InvalidClosure(_) => "invalid_period".into(),
            Self::LocalTime { source: LocalTimeError::Nonexistent, .. } => {
                "nonexistent_local_time".into()
            }
            Self::LocalTime { source: LocalTimeError::Ambiguous, .. } => {
                "ambiguous_local_time".into()
            }
            Self::Begun(error) => error.code(),
            Self::Page(error) => error.code(),
            Self::OutsideBookingWindow(_) => "outside_booking_window".into(),
            Self::StaffMemberTaken => "staff_member_taken".into(),
            Self::StaffNotQualified => "staff_not_qualified".into(),
            Self::OffGrid => "off_grid".into(),
            Self::OutsideHours => "outside_hours".into(),
            Self::NotStarted => "not_started".into(),
            Self::TooLate(_) => "cancellation_window_closed".into(),
            Self::InvalidInterval(_) => "invalid_interval".into(),
            Self::InvalidTransition(step) if step.is_of_expired_hold() => "hold_expired".into(),
            Self::InvalidTransition(_) => "invalid_transition".into(),
            Self::Unguarded => "overlap_guard_missing".into(),
            Self::LineNotConfigured => "line_not_configured".into(),
            Self::Seal(_) => "internal_error".into(),
            Self::SlotTaken => "slot_taken".into(),
            Self::TooManyHolds => "too_many_holds".into(),
            Self::TooManyBookings => "too_many_bookings".into(),
            Self::ServiceRequired => "service_required".into(),
            Self::Idempotency(error) => error.code(),
            Self::Database(error) => postgres::code(error),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        let (field, code) = match self {
            Self::Page(error) => return error.fields(),
            Self::InvalidPeriod => ("from", "invalid_period"),
            Self::InvalidClosure(_) => ("ends_at", "invalid_period"),
            Self::LocalTime { field, source: LocalTimeError::Nonexistent } => {
                (*field, "nonexistent_local_time")
            }
            Self::LocalTime { field, source: LocalTimeError::Ambiguous } => {
                (*field, "ambiguous_local_time")
            }
            Self::InvalidPoints => ("points", "invalid_points"),
            Self::TenderValueMissing => ("points", "tender_value_missing"),
            Self::ExceedsPrice => ("points", "exceeds_price"),
            Self::WrongLineCode => ("code", "wrong_line_code"),
            Self::ServiceRequired => ("service_id", "service_required"),
            Self::OffGrid => ("starts_at", "off_grid"),
            Self::OutsideHours => ("starts_at", "outside_hours"),
            Self::StaffNotQualified => ("staff_id", "staff_not_qualified"),
            Self::OutsideBookingWindow(_) => ("starts_at", "outside_booking_window"),
            _ => return Vec::new(),
        };
        vec![FieldError { field: field.to_owned(), code, message: self.to_string() }]
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Begun(_) => Outcome::Unknown,
            // Auth was asked before anything was written.
            Self::NoGrant(_) => Outcome::None,
            // A use case is one transaction.
            Self::Idempotency(error) => error.outcome(),
            Self::Database(error) => postgres::outcome(error),
            _ => self.kind().outcome(),
        }
    }

    fn conflict(&self) -> Option<&'static str> {
        matches!(self, Self::VersionConflict).then_some("service")
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Begun(error) => error.retry_after(),
            Self::Unguarded => Some(Duration::from_secs(30)),
            Self::TooManyLineCodes => Some(Duration::from_secs(60 * 60)),
            Self::Idempotency(error) => error.retry_after(),
            _ => None,
        }
    }
}
