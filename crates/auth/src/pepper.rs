//! Peppers: keys that passwords are mixed with before hashing, so that a stolen database alone cannot be guessed at.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use ring::hmac;

use crate::keyring::decode;

/// Peppers by version, written `1:key,2:key`; each key is at least 32 bytes in base64 or hexadecimal. New hashes use
/// the highest version, older hashes their own. Cheap to clone.
#[derive(Clone, Default)]
pub struct Peppers(Arc<BTreeMap<u8, hmac::Key>>);

/// The pepper of a hash is not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PASSWORD_PEPPERS lacks the version of this hash")]
pub struct Missing;

impl Peppers {
    /// The version for new hashes.
    pub(crate) fn newest(&self) -> Option<u8> {
        self.0.last_key_value().map(|(version, _)| *version)
    }

    /// Mixes a password with the pepper of this version; without a version, returns the password itself.
    pub(crate) fn mix(&self, version: Option<u8>, password: &[u8]) -> Result<Vec<u8>, Missing> {
        let Some(version) = version else { return Ok(password.to_vec()) };
        let key = self.0.get(&version).ok_or(Missing)?;
        Ok(hmac::sign(key, password).as_ref().to_vec())
    }
}

impl FromStr for Peppers {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut peppers = BTreeMap::new();
        for part in text.split(',') {
            let (version, key) = part.split_once(':').context("expected version:key")?;
            let version: u8 = version.trim().parse().context("a version must be 1 to 255")?;
            let key = decode(key.trim())?;
            ensure!(version > 0, "a version must be 1 to 255");
            ensure!(key.len() >= 32, "a pepper must have at least 32 bytes");
            if peppers.insert(version, hmac::Key::new(hmac::HMAC_SHA256, &key)).is_some() {
                bail!("version {version} is given twice");
            }
        }
        Ok(Self(Arc::new(peppers)))
    }
}

/// Prints versions only; the keys are secret.
impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peppers_have_versions_and_the_highest_is_used() {
        let one = format!("1:{}", "01".repeat(32));
        let both: Peppers = format!("2:{}, {one}", "02".repeat(32)).parse().unwrap();
        assert_eq!((both.newest(), Peppers::default().newest()), (Some(2), None));
        assert_eq!(both.mix(None, b"word").unwrap(), b"word");
        let (first, second) = (both.mix(Some(1), b"word"), both.mix(Some(2), b"word"));
        assert_ne!(first, second);
        assert_eq!(one.parse::<Peppers>().unwrap().mix(Some(1), b"word"), first);
        assert_eq!(both.mix(Some(3), b"word"), Err(Missing));
        assert_eq!(format!("{both:?}"), "[1, 2]");
    }

    #[test]
    fn what_is_no_pepper_is_refused_and_not_quoted() {
        let (key, short) = ("ab".repeat(32), "ab".repeat(31));
        for wrong in [
            String::new(),
            key.clone(),
            format!("0:{key}"),
            format!("256:{key}"),
            format!("1:{short}"),
            format!("1:{key},1:{key}"),
            format!("1:{key},"),
            "1:geheim".to_owned(),
        ] {
            let error = wrong.parse::<Peppers>().err().unwrap();
            let error = format!("{error:#}");
            assert!(!error.contains("abab") && !error.contains("geheim"), "{error}");
        }
    }
}
