//! Encryption and keyed hashing with the one secret of this service, `AUTH_KEY_ENCRYPTION_KEY`.

use anyhow::{Context as _, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};

/// Seals values that must be read again, and blinds values that must only be recognized again.
pub struct Keyring {
    sealing: LessSafeKey,
    blinding: hmac::Key,
}

impl Keyring {
    /// Derives the keys from at least 32 bytes in base64 or hexadecimal; each use has its own.
    pub fn new(secret: &SecretString) -> anyhow::Result<Self> {
        let secret = decode(secret.expose_secret().trim())?;
        ensure!(secret.len() >= 32, "expected at least 32 bytes in base64 or hexadecimal");
        let master = hkdf::Salt::new(hkdf::HKDF_SHA256, b"auth").extract(&secret);
        Ok(Self {
            sealing: LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, &derive(&master, b"seal")?).map_err(unspecified)?,
            ),
            blinding: hmac::Key::new(hmac::HMAC_SHA256, &derive(&master, b"blind")?),
        })
    }

    /// Encrypts a secret that belongs to `name`: nonce, ciphertext, tag.
    pub fn seal(&self, name: &str, secret: &[u8]) -> anyhow::Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = secret.to_vec();
        self.sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name),
                &mut sealed,
            )
            .map_err(unspecified)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts a sealed secret. Fails when anything was changed, the name included.
    pub fn open(&self, name: &str, sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (nonce, sealed) =
            sealed.split_first_chunk().context("the sealed value is too short")?;
        let mut secret = sealed.to_vec();
        let opened = self
            .sealing
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(name), &mut secret)
            .map_err(|_| anyhow!("it was sealed with another AUTH_KEY_ENCRYPTION_KEY"))?;
        Ok(opened.to_vec())
    }

    /// Returns the same for the same bytes. A thief of the database cannot find out the bytes by trying: that takes
    /// the key.
    pub fn blind(&self, purpose: &str, bytes: &[u8]) -> [u8; 32] {
        let mut blinded = [0; 32];
        let tag = hmac::sign(&self.blinding, &[purpose.as_bytes(), &[0], bytes].concat());
        blinded.copy_from_slice(tag.as_ref());
        blinded
    }

    /// Checks in constant time that [`Keyring::blind`] made `blinded`.
    pub fn has_blinded(&self, purpose: &str, bytes: &[u8], blinded: &[u8]) -> bool {
        let message = [purpose.as_bytes(), &[0], bytes].concat();
        hmac::verify(&self.blinding, &message, blinded).is_ok()
    }
}

/// Returns bytes from the system's random source.
pub fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(unspecified)?;
    Ok(bytes)
}

fn derive(master: &hkdf::Prk, purpose: &[u8]) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    let purpose = [purpose];
    let okm = master.expand(&purpose, hkdf::HKDF_SHA256).map_err(unspecified)?;
    okm.fill(&mut key).map_err(unspecified)?;
    Ok(key)
}

/// Decodes base64 or hexadecimal.
pub(crate) fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    // 64 hexadecimal digits are also base64 of 48 other bytes, so hexadecimal is tried first.
    if text.len() >= 64
        && text.len().is_multiple_of(2)
        && text.bytes().all(|b| b.is_ascii_hexdigit())
    {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pairs = text.as_bytes().chunks_exact(2);
        let bytes = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
        return bytes.collect::<Option<_>>().context("expected hexadecimal");
    }
    // Not the decoder's own error: it quotes the input.
    STANDARD.decode(text).map_err(|_| anyhow!("expected base64 or hexadecimal"))
}

/// Converts ring's error, which has no text on purpose.
fn unspecified(_: ring::error::Unspecified) -> anyhow::Error {
    anyhow!("cryptographic failure")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(fill: u8) -> Keyring {
        Keyring::new(&STANDARD.encode([fill; 32]).into()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_under_its_name_and_key_only() {
        let sealed = keyring(1).seal("key-1", b"seed").unwrap();
        assert_eq!(keyring(1).open("key-1", &sealed).unwrap(), b"seed");
        assert!(keyring(1).open("key-2", &sealed).is_err());
        assert!(keyring(2).open("key-1", &sealed).is_err());
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(keyring(1).open("key-1", &changed).is_err(), "byte {position}");
        }
    }

    #[test]
    fn the_secret_is_32_bytes_in_base64_or_hexadecimal() {
        let hexadecimal = Keyring::new(&"2a".repeat(32).into()).unwrap();
        assert_eq!(hexadecimal.blind("x", b"y"), keyring(0x2a).blind("x", b"y"));
        for wrong in
            ["", "secret", "not base64 at all, however long it may be made to look, no", "2a2a"]
        {
            let error = Keyring::new(&wrong.to_owned().into()).err().unwrap();
            assert!(wrong.is_empty() || !format!("{error:#}").contains(wrong));
        }
    }

    #[test]
    fn one_purpose_says_nothing_about_another() {
        assert_ne!(keyring(1).blind("a", b"x"), keyring(1).blind("b", b"x"));
        assert_ne!(keyring(1).blind("a", b"x"), keyring(2).blind("a", b"x"));
    }
}
