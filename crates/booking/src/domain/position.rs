//! Positions in the database's write-ahead log.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A position in the write-ahead log, in PostgreSQL's notation: `16/B374D848`. A replica that has replayed the
/// log up to it has everything that was committed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("log position must be two hexadecimal numbers separated by a slash")]
pub struct InvalidPosition;

impl Position {
    /// Takes the number of bytes before the position.
    pub fn new(bytes: i64) -> Self {
        Self(bytes)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let half = |text: &str| {
            let hex = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
            if hex { i64::from_str_radix(text, 16).ok() } else { None }
        };
        let (high, low) = text.split_once('/').ok_or(InvalidPosition)?;
        let (high, low) = (half(high).ok_or(InvalidPosition)?, half(low).ok_or(InvalidPosition)?);
        // No server has written 8 exabytes.
        if high > i64::from(i32::MAX) { Err(InvalidPosition) } else { Ok(Self(high << 32 | low)) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_as_it_is_read_and_in_the_logs_order() {
        for text in ["0/0", "16/B374D848", "0/FFFFFFFF", "7FFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        let order: Vec<Position> =
            ["0/9", "0/10", "1/0", "10/0"].map(|t| t.parse().unwrap()).into();
        assert!(order.is_sorted());
        for bad in [
            "",
            "/",
            "0",
            "0/",
            "/0",
            "0/G",
            "+1/0",
            "0/-1",
            "0/0/0",
            " 0/0",
            "80000000/0",
            "0/123456789",
        ] {
            assert_eq!(bad.parse::<Position>(), Err(InvalidPosition), "{bad}");
        }
    }
}
