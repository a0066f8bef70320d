use std::fmt;

use thiserror::Error;

/// An e-mail address in its canonical form: two ways to write one address are one account.
///
/// ASCII only. Letters that look or fold alike (dotless ı, the Kelvin sign) would let a stranger register an address
/// that passes for another's, and then reset its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

#[derive(Debug, PartialEq, Eq, Error)]
#[error("not a valid e-mail address")]
pub struct InvalidEmail;

impl Email {
    /// Parses an address. Case and a final dot of the domain do not matter. RFC 5321 lets a mail server tell `Bob@`
    /// from `bob@`; in practice none does.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        if text.len() > 254 || !is_local_part(local) || !is_domain(domain) {
            return Err(InvalidEmail);
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Accepts RFC 5322's dot-atom. Quoted local parts are hardly used.
fn is_local_part(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b);
    text.len() <= 64 && text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(allowed))
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.contains('.') && text.split('.').all(is_label)
}

/// Redacted: personal data does not belong in logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_form() {
        for twin in ["mike@example.org", "Mike@Example.ORG", "mike@example.org."] {
            assert_eq!(Email::parse(twin).unwrap().as_str(), "mike@example.org");
        }
        assert_eq!(Email::parse("a.b+c@x-y.example.").unwrap().as_str(), "a.b+c@x-y.example");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long = format!("a@{}.org", "a.".repeat(130));
        for wrong in [
            "",
            "@",
            "a",
            "a@",
            "@example.org",
            "a@localhost",
            "a b@example.org",
            ".a@example.org",
            "a..b@example.org",
            "a@-example.org",
            "a@exa_mple.org",
            "a@example..org",
            "a@example.org..",
            "a@b@example.org",
            "a\n@example.org",
            "a\0@example.org",
            "\u{131}@example.org",
            "mi\u{212a}e@example.org",
            &long_local,
            &long,
        ] {
            assert_eq!(Email::parse(wrong), Err(InvalidEmail), "{wrong:?}");
        }
    }

    #[test]
    fn an_address_is_not_printed() {
        let email = Email::parse("mike@example.org").unwrap();
        assert!(!format!("{email:?}").contains("mike"));
    }
}
