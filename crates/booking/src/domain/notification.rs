//! What a member is told.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::TimeZone;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    Booked,
    /// The day before.
    Reminder,
    Cancelled,
}

impl Occasion {
    pub const ALL: [Self; 3] = [Self::Booked, Self::Reminder, Self::Cancelled];

    /// The word for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Reminder => "reminder",
            Self::Cancelled => "cancelled",
        }
    }

    /// The message, with the time on the merchant's clock.
    pub fn text(self, merchant: &str, starts_at: DateTime<Utc>, zone: TimeZone) -> String {
        let when = zone.local(starts_at).format("%Y-%m-%d %H:%M");
        match self {
            Self::Booked => format!("{merchant}: you are booked for {when}."),
            Self::Reminder => format!("{merchant}: we expect you on {when}."),
            Self::Cancelled => format!("{merchant}: your booking for {when} is cancelled."),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown occasion")]
pub struct UnknownOccasion;

impl FromStr for Occasion {
    type Err = UnknownOccasion;

    fn from_str(word: &str) -> Result<Self, UnknownOccasion> {
        Self::ALL.into_iter().find(|occasion| occasion.as_str() == word).ok_or(UnknownOccasion)
    }
}

/// Who a member is to a merchant's channel at LINE.
#[derive(Clone, PartialEq, Eq)]
pub struct LineUserId(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a user id of LINE is U and 32 hexadecimal digits")]
pub struct InvalidLineUserId;

impl LineUserId {
    /// The database has the same form, as `line_contact_user_id_form`.
    pub fn try_new(text: &str) -> Result<Self, InvalidLineUserId> {
        let digits = text.strip_prefix('U').ok_or(InvalidLineUserId)?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() == 32 && digits.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLineUserId)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_merchants_own_time() {
        let zone: TimeZone = "Asia/Tokyo".parse().unwrap();
        let start = "2030-01-01T23:30:00Z".parse().unwrap();
        for occasion in Occasion::ALL {
            let text = occasion.text("Shears", start, zone);
            assert!(text.contains("Shears") && text.contains("2030-01-02 08:30"), "{text}");
            assert_eq!(occasion.as_str().parse(), Ok(occasion));
        }
    }

    #[test]
    fn a_user_id_is_what_line_makes() {
        assert!(LineUserId::try_new(&format!("U{}", "0a".repeat(16))).is_ok());
        for bad in ["", "U", &"0a".repeat(16), &format!("U{}", "0A".repeat(16)), "U'; --"] {
            assert!(LineUserId::try_new(bad).is_err(), "{bad}");
        }
    }
}
