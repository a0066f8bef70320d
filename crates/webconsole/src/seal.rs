//! Seals auth's refresh token in a cookie: the browser carries it, and only this service can use it, for a limited time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};

const PURPOSE: &[u8] = b"console refresh token";

/// The sealing key, derived from the service's client secret and so the same in every replica.
#[derive(Clone)]
pub(crate) struct Seal(std::sync::Arc<LessSafeKey>);

/// A refresh token that a browser brought back.
pub(crate) struct Kept {
    pub(crate) token: SecretString,
    /// The time at which auth issued it.
    pub(crate) since: DateTime<Utc>,
}

impl Seal {
    pub(crate) fn new(secret: &SecretString, service: &str) -> anyhow::Result<Self> {
        let secret = secret.expose_secret().as_bytes();
        let master = hkdf::Salt::new(hkdf::HKDF_SHA256, service.as_bytes()).extract(secret);
        let mut key = [0; 32];
        let derived = master.expand(&[PURPOSE], hkdf::HKDF_SHA256).map_err(unspecified)?;
        derived.fill(&mut key).map_err(unspecified)?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(unspecified)?;
        Ok(Self(std::sync::Arc::new(LessSafeKey::new(key))))
    }

    /// Returns the cookie's value; `None` when the machine has no randomness.
    pub(crate) fn seal(&self, token: &SecretString, now: DateTime<Utc>) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = format!("{} {}", now.timestamp(), token.expose_secret()).into_bytes();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(PURPOSE), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens a cookie's value; `None` unless it was sealed with this key.
    pub(crate) fn open(&self, cookie: &str) -> Option<Kept> {
        let mut sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk_mut()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self.0.open_in_place(nonce, Aad::from(PURPOSE), sealed).ok()?;
        let (since, token) = std::str::from_utf8(text).ok()?.split_once(' ')?;
        let since = DateTime::from_timestamp(since.parse().ok()?, 0)?;
        Some(Kept { token: token.into(), since })
    }
}

/// Replaces ring's errors, which carry no information on purpose.
fn unspecified(_: ring::error::Unspecified) -> anyhow::Error {
    anyhow::anyhow!("cryptographic failure")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_and_unchanged_only() {
        let seal = |secret: &str| Seal::new(&secret.into(), "incidents").unwrap();
        let cookie = seal("a").seal(&"token".into(), DateTime::UNIX_EPOCH).unwrap();
        let kept = seal("a").open(&cookie).unwrap();
        assert_eq!((kept.token.expose_secret(), kept.since), ("token", DateTime::UNIX_EPOCH));
        assert!(!cookie.contains("token") && seal("b").open(&cookie).is_none());
        for changed in ["", "token", &cookie[1..], &cookie[..cookie.len() - 2]] {
            assert!(seal("a").open(changed).is_none(), "{changed}");
        }
    }
}
