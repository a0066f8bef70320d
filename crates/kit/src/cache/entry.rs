//! How an entry looks in Redis: `<version>:<JSON>`, or a tombstone. Whatever else is there is ignored.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Versioned;

/// For a while after a key was forgotten, so that nobody brings back what they had read before.
pub(super) const TOMBSTONE: &[u8] = b"-";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<V> {
    Value(Versioned<V>),
    Tombstone,
    Corrupt,
}

/// The version and the JSON of a value, for the script that compares before it writes.
pub(super) fn encode<V: Serialize>(entry: &Versioned<V>) -> Option<(String, Vec<u8>)> {
    let json = serde_json::to_vec(&entry.value).ok()?;
    Some((entry.version.to_string(), json))
}

pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Entry<V> {
    if bytes == TOMBSTONE {
        return Entry::Tombstone;
    }
    parse(bytes).map_or(Entry::Corrupt, Entry::Value)
}

fn parse<V: DeserializeOwned>(bytes: &[u8]) -> Option<Versioned<V>> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let version = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    let value = serde_json::from_slice(&bytes[colon + 1..]).ok()?;
    Some(Versioned { version, value })
}
