use std::fmt;
use std::time::Duration;

/// A code that a person copies from a mail: ten characters that are hard to confuse, 50 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

/// The purpose of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Verifies the address of an account.
    Verify,
    /// Replaces a forgotten password.
    Reset,
}

impl Purpose {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Verify, Self::Reset].into_iter().find(|purpose| purpose.as_str() == word)
    }

    /// The life of a code. A new member reads the mail within a day, or not at all.
    pub const fn life(self) -> Duration {
        match self {
            Self::Verify => Duration::from_hours(24),
            Self::Reset => Duration::from_mins(10),
        }
    }
}

/// Crockford's base 32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 10;

impl Code {
    /// Makes a code of random or keyed bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
        Self(bytes.iter().take(LENGTH).map(letter).collect())
    }

    /// Reads a code as a person types it: in any case, with or without the dash. Any other text is a wrong code.
    pub fn typed(text: &str) -> Self {
        let letters = text.chars().filter(char::is_ascii_alphanumeric).take(LENGTH + 1);
        Self(letters.map(|letter| letter.to_ascii_uppercase()).collect())
    }

    /// The form in a mail, with a dash.
    pub fn spaced(&self) -> String {
        let (one, two) = self.0.split_at(self.0.len().min(LENGTH / 2));
        format!("{one}-{two}")
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Redacted: a code is a secret.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_written() {
        let code = Code::from_bytes(&std::array::from_fn(|n| n as u8 * 7));
        assert_eq!(code.spaced().len(), 11);
        for typed in [code.spaced(), code.spaced().to_lowercase(), code.spaced().replace('-', " ")]
        {
            assert!(Code::typed(&typed) == code, "{typed}");
        }
        assert!(Code::typed("") != code);
        assert!(Code::typed(&(code.spaced() + "0")) != code);
    }
}
