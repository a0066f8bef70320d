//! Messages to members.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{Status, TimeZone};

/// The event that a message reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    Booked,
    /// The booking is tomorrow.
    Reminder,
    /// The booking has another time.
    Moved,
    Cancelled,
}

impl Occasion {
    pub const ALL: [Self; 4] = [Self::Booked, Self::Reminder, Self::Moved, Self::Cancelled];

    /// Returns `true` when a message with the start `told` still agrees with the booking's status and
    /// start. An archived booking is `None`.
    pub fn is_current(self, told: DateTime<Utc>, booking: Option<(Status, DateTime<Utc>)>) -> bool {
        match self {
            Self::Cancelled => true,
            Self::Booked | Self::Reminder | Self::Moved => {
                booking == Some((Status::Confirmed, told))
            }
        }
    }

    /// Returns its word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Reminder => "reminder",
            Self::Moved => "moved",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the text of the message, with the time on the merchant's clock.
    pub fn text(self, merchant: &str, starts_at: DateTime<Utc>, zone: TimeZone) -> String {
        let when = zone.local(starts_at).format("%Y-%m-%d %H:%M");
        match self {
            Self::Booked => format!("{merchant}: you are booked for {when}."),
            Self::Reminder => format!("{merchant}: we expect you on {when}."),
            Self::Moved => format!("{merchant}: your booking has been moved to {when}."),
            Self::Cancelled => format!("{merchant}: your booking for {when} is cancelled."),
        }
    }
}

/// The result of an attempt to send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Sent,
    /// The message is given up.
    Failed,
    /// The message is not current any more, and was not sent.
    Dropped,
    /// The message is sent again later.
    Retried,
}

impl Delivery {
    pub const ALL: [Self; 4] = [Self::Sent, Self::Failed, Self::Dropped, Self::Retried];

    /// Returns its word in the database and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::Retried => "retried",
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

/// The id of a member as a user of a merchant's LINE channel.
#[derive(Clone, PartialEq, Eq)]
pub struct LineUserId(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("LINE user id must be U and 32 hexadecimal digits")]
pub struct InvalidLineUserId;

impl LineUserId {
    /// Checks the same form as the constraint `line_contact_user_id_form`.
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

/// Six digits that prove that a member reads the messages of a LINE user.
pub struct LineCode(String);

impl LineCode {
    pub fn from_random(random: u64) -> Self {
        Self(format!("{:06}", random % 1_000_000))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text of the message with the code.
    pub fn text(&self, merchant: &str) -> String {
        let code = self.as_str();
        format!("{merchant}: your code is {code}. If you have not asked for it, ignore it.")
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
    fn a_message_is_current_while_the_booking_agrees_with_it() {
        let told: DateTime<Utc> = "2030-01-01T23:30:00Z".parse().unwrap();
        let moved = told + chrono::TimeDelta::hours(1);
        for occasion in [Occasion::Booked, Occasion::Reminder, Occasion::Moved] {
            assert!(occasion.is_current(told, Some((Status::Confirmed, told))));
            assert!(!occasion.is_current(told, Some((Status::Confirmed, moved))));
            assert!(!occasion.is_current(told, Some((Status::Cancelled, told))));
            assert!(!occasion.is_current(told, None));
        }
        assert!(Occasion::Cancelled.is_current(told, Some((Status::Cancelled, told))));
    }

    #[test]
    fn a_user_id_is_what_line_makes() {
        assert!(LineUserId::try_new(&format!("U{}", "0a".repeat(16))).is_ok());
        for bad in ["", "U", &"0a".repeat(16), &format!("U{}", "0A".repeat(16)), "U'; --"] {
            assert!(LineUserId::try_new(bad).is_err(), "{bad}");
        }
    }
}
