//! Encrypts merchants' secrets, so that the database alone does not reveal them.

use anyhow::{Context as _, anyhow, ensure};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// A key that is derived from `LINE_TOKEN_KEY`.
pub struct Seal(LessSafeKey);

impl Seal {
    /// Derives the key from at least 32 characters that cannot be guessed.
    pub fn new(secret: &SecretString) -> anyhow::Result<Self> {
        let secret = secret.expose_secret().trim();
        ensure!(secret.len() >= 32, "LINE_TOKEN_KEY has fewer than 32 characters");
        let master = hkdf::Salt::new(hkdf::HKDF_SHA256, b"booking").extract(secret.as_bytes());
        let mut key = [0; 32];
        let purpose: [&[u8]; 1] = [b"line channel token"];
        let derived = master.expand(&purpose, hkdf::HKDF_SHA256).map_err(unspecified)?;
        derived.fill(&mut key).map_err(unspecified)?;
        Ok(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).map_err(unspecified)?)))
    }

    /// Encrypts a secret of this merchant: nonce, ciphertext, tag.
    pub(crate) fn seal(&self, merchant: Uuid, secret: &str) -> anyhow::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(unspecified)?;
        let mut sealed = secret.as_bytes().to_vec();
        let (unique, whose) = (Nonce::assume_unique_for_key(nonce), Aad::from(merchant.as_bytes()));
        self.0.seal_in_place_append_tag(unique, whose, &mut sealed).map_err(unspecified)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts a secret. Fails when it was changed, and when it is another merchant's.
    pub(crate) fn open(&self, merchant: Uuid, sealed: &[u8]) -> anyhow::Result<SecretString> {
        let (nonce, sealed) = sealed.split_first_chunk().context("sealed secret is too short")?;
        let mut secret = sealed.to_vec();
        let (nonce, whose) = (Nonce::assume_unique_for_key(*nonce), Aad::from(merchant.as_bytes()));
        let opened = self.0.open_in_place(nonce, whose, &mut secret).map_err(unspecified)?;
        let text = std::str::from_utf8(opened).map_err(|_| anyhow!("sealed secret is not text"))?;
        Ok(text.into())
    }
}

/// Replaces ring's error, which has no content on purpose.
fn unspecified(_: ring::error::Unspecified) -> anyhow::Error {
    anyhow!("cryptographic failure")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_for_its_merchant_and_key_only() {
        let key = |text: &str| Seal::new(&text.repeat(32).into()).unwrap();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = key("a").seal(one, "token").unwrap();
        assert_eq!(key("a").open(one, &sealed).unwrap().expose_secret(), "token");
        assert!(!sealed.windows(5).any(|part| part == b"token"));
        assert!(key("a").open(other, &sealed).is_err() && key("b").open(one, &sealed).is_err());
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(key("a").open(one, &changed).is_err(), "byte {position}");
        }
        assert!(key("a").open(one, b"short").is_err());
        assert!(Seal::new(&"a".repeat(31).into()).is_err());
    }
}
