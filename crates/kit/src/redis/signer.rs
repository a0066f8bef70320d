//! Signs what a service keeps in Redis, so that it believes only what it wrote itself.
//!
//! The keys are derived from the service's own secret (HKDF-SHA256), one for each purpose: a value signed for one
//! purpose, or by another service, is worth nothing for another. A new secret makes everything signed before
//! unreadable.

use ring::{hkdf, hmac};
use secrecy::{ExposeSecret as _, SecretString};

/// Tells our keys from others that somebody derives from the same secret.
const SALT: &[u8] = b"kit::redis::Signer 1";

/// The length of a signature in bytes.
pub const SIGNATURE: usize = 32;

/// Derives the signing keys of a service. Cheap to clone.
#[derive(Clone)]
pub struct Signer(hkdf::Prk);

/// Signs and verifies for one purpose. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl Signer {
    /// The signer of a service with this secret, the same in each of its replicas.
    pub fn new(secret: &SecretString) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT);
        Self(salt.extract(secret.expose_secret().as_bytes()))
    }

    /// A signer whose signatures nobody else can verify.
    pub(super) fn random() -> Self {
        Self(hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &rand::random::<[u8; 32]>()))
    }

    /// The key for this purpose, such as `cache` or `fallback-queue`.
    ///
    /// # Panics
    /// Never: HKDF gives up to 255 times the 32 bytes that are asked for.
    pub fn key(&self, purpose: &str) -> SigningKey {
        let purpose = [purpose.as_bytes()];
        let key = self.0.expand(&purpose, hmac::HMAC_SHA256).expect("32 bytes are not too many");
        SigningKey(key.into())
    }
}

impl SigningKey {
    /// The signature of these parts in this order. No other division of the same bytes has the same signature.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(hmac::sign(&self.0, &message(parts)).as_ref());
        signature
    }

    /// Whether it signed these parts. Takes the same time for every wrong signature.
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        hmac::verify(&self.0, &message(parts), signature).is_ok()
    }
}

/// Each part with its length before it.
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
