mod frequent;
mod obvious;

use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use super::Email;

/// The longest password in bytes. Hashing reads all of it, so it needs a bound.
const MAX: usize = 1024;
const MIN: usize = 8;

/// A password that may be chosen: 8 characters to 1024 bytes of any Unicode, never truncated.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

/// A password that is given to sign in. Any length up to the longest: the rules for choosing one may change, and an
/// old password must still open its account.
#[derive(Clone, Debug)]
pub struct Guess(SecretString);

#[derive(Debug, PartialEq, Eq, Error)]
pub enum InvalidPassword {
    #[error("the password must have at least 8 characters")]
    TooShort,
    #[error("the password must have at most 1024 bytes")]
    TooLong,
    #[error("the password must not contain a NUL character")]
    Nul,
    #[error("the password is one of the most common ones")]
    Common,
}

impl InvalidPassword {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooShort => "password_too_short",
            Self::TooLong => "password_too_long",
            Self::Nul => "invalid_character",
            Self::Common => "password_breached",
        }
    }
}

impl Password {
    pub fn new(text: SecretString) -> Result<Self, InvalidPassword> {
        let bytes = text.expose_secret().as_bytes();
        if text.expose_secret().chars().count() < MIN {
            return Err(InvalidPassword::TooShort);
        }
        if bytes.len() > MAX {
            return Err(InvalidPassword::TooLong);
        }
        // Argon2 reads past a NUL; some hash functions stop there, and a later one may.
        if bytes.contains(&0) {
            return Err(InvalidPassword::Nul);
        }
        if frequent::is_common(text.expose_secret()) {
            return Err(InvalidPassword::Common);
        }
        Ok(Self(text))
    }

    /// True for a password with little more than words of the service or of the member's address.
    pub fn is_obvious(&self, email: &Email) -> bool {
        obvious::is_obvious(self.0.expose_secret(), email)
    }

    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl Guess {
    pub fn new(text: SecretString) -> Result<Self, InvalidPassword> {
        if text.expose_secret().len() > MAX {
            return Err(InvalidPassword::TooLong);
        }
        Ok(Self(text))
    }

    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), InvalidPassword> {
        Password::new(text.to_owned().into()).map(drop)
    }

    #[test]
    fn a_password_is_8_characters_to_1024_bytes_of_anything() {
        assert_eq!(check("1234567"), Err(InvalidPassword::TooShort));
        assert_eq!(check("        "), Ok(()));
        assert_eq!(check("🦀🦀🦀🦀🦀🦀🦀"), Err(InvalidPassword::TooShort));
        assert_eq!(check("🦀🦀🦀🦀🦀🦀🦀🦀"), Ok(()));
        assert_eq!(check(&"x".repeat(1024)), Ok(()));
        assert_eq!(check(&"x".repeat(1025)), Err(InvalidPassword::TooLong));
        assert_eq!(check("12345678\0"), Err(InvalidPassword::Nul));
    }

    #[test]
    fn what_everybody_tries_first_is_no_password() {
        for common in ["password1", "PassWord1", "qwertyuiop", "11111111", "trustno1"] {
            assert_eq!(check(common), Err(InvalidPassword::Common), "{common}");
        }
        assert_eq!(check("password1 of mine"), Ok(()));
    }

    #[test]
    fn what_only_whoever_knows_the_member_or_the_service_tries_is_no_password_either() {
        let email = Email::parse("ada.lovelace+x@engines.example").unwrap();
        let is_obvious =
            |text: &str| Password::new(text.to_owned().into()).unwrap().is_obvious(&email);
        for obvious in [
            "adalovelace",
            "Lovelace1815",
            "ada-ADA-ada!",
            "ada.lovelace+x@engines.example",
            "bookings2026",
            "Operator!Points",
            "1engines1abc",
        ] {
            assert!(is_obvious(obvious), "{obvious}");
        }
        for fine in [
            "19830704!!",
            "lovelace likes cats",
            "canadians 1867",
            "🦀🦀🦀🦀🦀🦀🦀🦀",
            "auth or not",
        ] {
            assert!(!is_obvious(fine), "{fine}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let password = Password::new("correct horse".to_owned().into()).unwrap();
        assert!(!format!("{password:?}").contains("correct"));
    }
}
