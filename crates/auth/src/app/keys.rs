use anyhow::Context as _;
use kit::caller::token::SigningKey;
use kit::run::Refusal;
use kit::{Clock, postgres};
use sqlx::PgPool;

use crate::keyring::{Keyring, random};
use crate::store::keys::{self, SealedKey};

/// The keys as they were at the start. The newest signs, all verify.
pub(crate) struct Keys {
    signer: SigningKey,
    public: Vec<PublicKey>,
}

/// What others verify our tokens with.
#[derive(Clone, Debug)]
pub struct PublicKey {
    pub kid: String,
    /// Raw Ed25519, 32 bytes.
    pub bytes: Vec<u8>,
}

impl PublicKey {
    pub(crate) fn to_pair(&self) -> (String, Vec<u8>) {
        (self.kid.clone(), self.bytes.clone())
    }
}

impl Keys {
    /// Reads the keys; makes one when there is none yet. Replicas that start together agree on it.
    pub(crate) async fn load(
        db: &PgPool,
        keyring: &Keyring,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let mut tx = postgres::begin(db).await?;
        keys::lock(&mut tx).await?;
        let mut sealed = keys::all(&mut tx).await?;
        if sealed.is_empty() {
            let key = make(clock.id().to_string(), keyring)?;
            keys::add(&mut tx, &key, clock.now()).await?;
            tracing::info!(kid = key.kid, "made the first signing key");
            sealed.push(key);
        }
        postgres::commit(tx).await?;

        let newest = sealed.first().context("no signing key")?;
        let seed = keyring
            .open(&newest.kid, &newest.sealed_seed)
            .map_err(|error| Refusal(format!("cannot open signing key {}: {error}", newest.kid)))?;
        let seed = seed.as_slice().try_into().context("a seed is 32 bytes")?;
        let signer = SigningKey::from_seed(newest.kid.clone(), seed)?;
        let public = |key: SealedKey| PublicKey { kid: key.kid, bytes: key.public_key };
        Ok(Self { signer, public: sealed.into_iter().map(public).collect() })
    }

    pub(crate) fn signer(&self) -> &SigningKey {
        &self.signer
    }

    pub(crate) fn public(&self) -> &[PublicKey] {
        &self.public
    }
}

fn make(kid: String, keyring: &Keyring) -> anyhow::Result<SealedKey> {
    let seed: [u8; 32] = random()?;
    let sealed_seed = keyring.seal(&kid, &seed)?;
    let public_key = SigningKey::from_seed(kid.clone(), &seed)?.public_key().to_vec();
    Ok(SealedKey { kid, public_key, sealed_seed })
}
