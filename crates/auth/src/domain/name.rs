use std::fmt;

use thiserror::Error;

/// The name by which a member wants to be called.
#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(String);

#[derive(Debug, PartialEq, Eq, Error)]
pub enum InvalidName {
    #[error("the name must have 1 to 100 characters")]
    Length,
    #[error("the name must not contain control characters")]
    Control,
}

impl InvalidName {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Length => "invalid_length",
            Self::Control => "invalid_character",
        }
    }
}

impl DisplayName {
    /// Trims the spaces around a name and checks it.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(InvalidName::Control);
        }
        if !(1..=100).contains(&text.chars().count()) {
            return Err(InvalidName::Length);
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Redacted: personal data does not belong in logs.
impl fmt::Debug for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DisplayName([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        assert_eq!(DisplayName::new("  Ada Löwenherz ").unwrap().as_str(), "Ada Löwenherz");
        assert!(DisplayName::new(&"ö".repeat(100)).is_ok());
        assert_eq!(DisplayName::new(&"ö".repeat(101)), Err(InvalidName::Length));
        assert_eq!(DisplayName::new("   "), Err(InvalidName::Length));
        assert_eq!(DisplayName::new("a\u{7}b"), Err(InvalidName::Control));
    }
}
