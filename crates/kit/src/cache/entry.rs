//! The format of an entry in Redis: `<version>:<expires>:<signature>:<JSON>`, or a tombstone.
//!
//! The signature covers the full key and the expiry, so that a value is valid under one key only and an old
//! value cannot be replayed. Entries without a valid signature are counted and ignored.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Versioned;
use crate::clock::Clock;
use crate::redis::SigningKey;

/// Replaces a forgotten value for a while, so that a load in flight cannot store what it read before. It is
/// not signed: its only effect is that the database is asked.
pub(super) const TOMBSTONE: &[u8] = b"-";

/// Maximum clock difference between two replicas, in milliseconds.
const SKEW: i64 = 60_000;

pub(super) enum Entry<V> {
    Value(Versioned<V>),
    Tombstone,
    /// An invalid entry, with the reason for the metric.
    Refused(&'static str),
}

/// The reasons for refusing an entry.
pub(super) const REASONS: [&str; 3] = ["malformed", "forged", "expired"];
const MALFORMED: &str = REASONS[0];
const FORGED: &str = REASONS[1];
const EXPIRED: &str = REASONS[2];

/// Encodes and decodes entries.
#[derive(Clone)]
pub(super) struct Envelope {
    key: SigningKey,
    clock: Clock,
}

impl Envelope {
    pub(super) fn new(key: SigningKey, clock: Clock) -> Self {
        Self { key, clock }
    }

    /// Returns the version and the rest of an entry, for the script that compares versions before it writes.
    pub(super) fn seal<V: Serialize>(
        &self,
        full_key: &str,
        entry: &Versioned<V>,
        ttl: Duration,
    ) -> Option<(String, Vec<u8>)> {
        let json = serde_json::to_vec(&entry.value).ok()?;
        let version = entry.version.to_string();
        let expires = (self.now() + i64::try_from(ttl.as_millis()).ok()?).to_string();
        let parts = [full_key.as_bytes(), version.as_bytes(), expires.as_bytes(), &json];
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(&parts));
        let mut rest = format!("{expires}:{signature}:").into_bytes();
        rest.extend(json);
        Some((version, rest))
    }

    pub(super) fn open<V: DeserializeOwned>(&self, full_key: &str, bytes: &[u8]) -> Entry<V> {
        if bytes == TOMBSTONE {
            return Entry::Tombstone;
        }
        let mut parts = bytes.splitn(4, |byte| *byte == b':');
        let (Some(version), Some(expires), Some(signature), Some(json)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Entry::Refused(MALFORMED);
        };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
            return Entry::Refused(MALFORMED);
        };
        if !self.key.verify(&[full_key.as_bytes(), version, expires, json], &signature) {
            return Entry::Refused(FORGED);
        }
        if number(expires).is_none_or(|expires| expires + SKEW < self.now()) {
            return Entry::Refused(EXPIRED);
        }
        // The signature is ours, so another release wrote a different type.
        match (number(version), serde_json::from_slice(json)) {
            (Some(version), Ok(value)) => Entry::Value(Versioned { version, value }),
            _ => Entry::Refused(MALFORMED),
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::redis::Signer;

    #[test]
    fn a_value_that_is_put_back_after_its_time_is_refused() {
        let key = Signer::new(&"secret".into()).key("cache");
        let at = |seconds| {
            let now: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
            Envelope::new(key.clone(), Clock::fixed(now))
        };
        let value = Versioned { version: 7, value: 5 };
        let sealed = at(0).seal("things:k", &value, Duration::from_secs(300)).unwrap();
        let bytes = [sealed.0.as_bytes(), b":", &sealed.1].concat();
        let open = |seconds, key| at(seconds).open::<i64>(key, &bytes);
        assert!(matches!(open(300, "things:k"), Entry::Value(found) if found == value));
        assert!(matches!(open(361, "things:k"), Entry::Refused("expired")));
        assert!(matches!(open(0, "things:l"), Entry::Refused("forged")));
    }
}
