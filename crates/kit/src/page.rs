//! Keyset pagination: a limit, and a cursor with the key of the last item.
//!
//! A cursor is opaque to clients but not secret. It is untrusted input: a query must not show more with it
//! than without one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Class, Classify, Kind};

/// Maximum items per page.
pub const MAX_LIMIT: u64 = 100;
const DEFAULT_LIMIT: u64 = 20;

/// A malformed limit or cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the cursor is not from a previous page of this list")]
    Cursor,
    #[error("the limit must be from 1 to {MAX_LIMIT}")]
    Limit,
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Cursor => Kind::Malformed.code("invalid_cursor"),
            Self::Limit => Kind::Invalid.code("invalid_limit").field("limit"),
        }
    }
}

/// Returns the number of items to read: 20 by default, 1 to [`MAX_LIMIT`].
pub fn limit(asked: Option<i64>) -> Result<u64, Error> {
    match asked.map(u64::try_from) {
        None => Ok(DEFAULT_LIMIT),
        Some(Ok(limit @ 1..=MAX_LIMIT)) => Ok(limit),
        Some(_) => Err(Error::Limit),
    }
}

/// Encodes the key of a page's last item as a cursor. `key` must be representable as JSON.
pub fn cursor(key: &impl Serialize) -> String {
    let json = serde_json::to_vec(key).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(json)
}

/// Decodes a cursor made by [`cursor`].
pub fn key<K: DeserializeOwned>(cursor: &str) -> Result<K, Error> {
    let json = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Error::Cursor)?;
    serde_json::from_slice(&json).map_err(|_| Error::Cursor)
}

/// Removes the extra row of a query for `limit + 1` rows, and returns the cursor of the next page.
pub fn split<T, K: Serialize>(
    mut rows: Vec<T>,
    limit: u64,
    key_of: impl Fn(&T) -> K,
) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return (rows, None);
    }
    rows.truncate(limit);
    let next = rows.last().map(|row| cursor(&key_of(row)));
    (rows, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_forged_one_does_not() {
        let key_in = ("a".to_owned(), 7);
        assert_eq!(key(&cursor(&key_in)), Ok(key_in));
        for forged in ["", "!", "e30", "AAAA", &cursor(&7)] {
            assert_eq!(key::<(String, i64)>(forged), Err(Error::Cursor), "{forged}");
        }
    }

    #[test]
    fn a_limit_is_within_bounds() {
        assert_eq!(limit(None), Ok(20));
        assert_eq!(limit(Some(100)), Ok(100));
        for wrong in [0, -1, 101, 1_000_000, i64::MIN] {
            assert_eq!(limit(Some(wrong)), Err(Error::Limit));
        }
    }

    #[test]
    fn only_a_longer_list_has_a_next_page() {
        assert_eq!(split(vec![1, 2], 2, |n| *n), (vec![1, 2], None));
        assert_eq!(split(vec![1, 2, 3], 2, |n| *n), (vec![1, 2], Some(cursor(&2))));
    }
}
