use std::fmt;

/// A code that a person copies from a mail: ten characters that are hard to confuse, 50 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

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
