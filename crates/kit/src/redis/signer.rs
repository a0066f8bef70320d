//! Signatures of a service's values in Redis, so that it accepts only its own.
//!
//! The keys are derived from the service's secret (HKDF-SHA256), one for each purpose: a signature for one
//! purpose, or by another service, is invalid for every other. A new secret invalidates all earlier
//! signatures.

use ring::{hkdf, hmac};
use secrecy::{ExposeSecret as _, SecretString};

/// Separates our keys from other keys derived from the same secret.
const SALT: &[u8] = b"kit::redis::Signer 1";

/// Length of a signature in bytes.
pub const SIGNATURE: usize = 32;

/// Derives the signing keys of a service. Cheap to clone.
#[derive(Clone)]
pub struct Signer(hkdf::Prk);

/// Signs and verifies for one purpose. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl Signer {
    /// Creates the signer of a service, the same in each replica.
    pub fn new(secret: &SecretString) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT);
        Self(salt.extract(secret.expose_secret().as_bytes()))
    }

    /// Creates a signer with a random secret, for tests and clients without Redis.
    pub(super) fn random() -> Self {
        Self(hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &rand::random::<[u8; 32]>()))
    }

    /// Returns the key for a purpose, such as `cache` or `fallback-queue`.
    ///
    /// # Panics
    /// Never panics: HKDF yields up to 255 times 32 bytes.
    pub fn key(&self, purpose: &str) -> SigningKey {
        let purpose = [purpose.as_bytes()];
        let key = self.0.expand(&purpose, hmac::HMAC_SHA256).expect("HKDF yields 32 bytes");
        SigningKey(key.into())
    }
}

impl SigningKey {
    /// Signs these parts in this order. Another division of the same bytes has another signature.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(hmac::sign(&self.0, &message(parts)).as_ref());
        signature
    }

    /// Verifies a signature of these parts in constant time.
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        hmac::verify(&self.0, &message(parts), signature).is_ok()
    }
}

/// Concatenates the parts, each preceded by its length.
fn message(parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len() + size_of::<u64>()).sum();
    let mut message = Vec::with_capacity(length);
    for part in parts {
        message.extend((part.len() as u64).to_be_bytes());
        message.extend(*part);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str, purpose: &str) -> SigningKey {
        Signer::new(&secret.into()).key(purpose)
    }

    #[test]
    fn replicas_agree_and_nobody_else_does() {
        let parts: [&[u8]; 2] = [b"points:account:1", b"7"];
        let signature = key("secret", "cache").sign(&parts);
        assert!(key("secret", "cache").verify(&parts, &signature));
        assert!(!key("secret", "queue").verify(&parts, &signature), "another purpose");
        assert!(!key("another", "cache").verify(&parts, &signature), "another service");
        assert!(!Signer::random().key("cache").verify(&parts, &signature));
        for n in 0..SIGNATURE {
            let mut altered = signature;
            altered[n] ^= 1;
            assert!(!key("secret", "cache").verify(&parts, &altered));
        }
        assert!(!key("secret", "cache").verify(&parts, &signature[..31]));
    }

    #[test]
    fn parts_are_not_mistaken_for_each_other() {
        let key = key("secret", "cache");
        let signature = key.sign(&[b"ab", b"c"]);
        for parts in [&[b"a".as_slice(), b"bc"][..], &[b"abc"], &[b"ab", b"c", b""]] {
            assert!(!key.verify(parts, &signature));
        }
    }
}
