//! The `grpc-timeout` header of the gRPC specification.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

pub(super) const HEADER: &str = "grpc-timeout";

/// Reads one to eight digits and a unit. `None` when it is absent or malformed.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Writes milliseconds, at least one: zero would mean that the time is up.
pub(super) fn write(headers: &mut HeaderMap, timeout: Duration) {
    let milliseconds = timeout.as_millis().clamp(1, 99_999_999);
    if let Ok(value) = HeaderValue::from_str(&format!("{milliseconds}m")) {
        headers.insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(text).unwrap());
        read(&headers)
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut headers = HeaderMap::new();
        write(&mut headers, Duration::from_millis(1500));
        assert_eq!(read(&headers), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn only_digits_and_a_unit_are_a_timeout() {
        assert_eq!(parse("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "S", "2", "-1S", "+1S", "1.5S", "123456789m", "2s", "2é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
