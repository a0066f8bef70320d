use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use kit::caller::token::SigningKey;
use kit::postgres;
use kit::process::Refusal;
use sqlx::PgConnection;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::Auth;
use crate::domain::Actor;
use crate::keyring::{Keyring, random};
use crate::store::events::Event;
use crate::store::keys::{self, SealedKey};

/// The time that a key is published before it signs. The services fetch the keys every minute.
const LEAD: Duration = Duration::from_mins(2);

/// The age at which the newest key is replaced.
const LIFE: Duration = Duration::from_hours(30 * 24);

/// The time after which a running process knows of a new key. Far shorter than the lead.
const RELOAD_PERIOD: Duration = Duration::from_secs(5);

/// The keys as last loaded.
#[derive(Clone)]
pub(super) struct Keys(Arc<RwLock<Arc<Loaded>>>);

pub(super) struct Loaded {
    pub(super) signer: SigningKey,
    pub(super) public: Vec<PublicKey>,
}

/// A key that the services verify tokens with.
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
    pub(super) fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn new(loaded: Loaded) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(loaded))))
    }

    fn replace(&self, loaded: Loaded) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
    }
}

/// Loads the keys, and makes one if there is none. Replicas that start together agree on it.
pub(super) async fn load(
    db: &sqlx::PgPool,
    keyring: &Keyring,
    clock: &kit::Clock,
) -> anyhow::Result<Loaded> {
    let mut tx = postgres::begin(db).await?;
    keys::lock(&mut tx).await?;
    let mut sealed = keys::live(&mut tx).await?;
    if !sealed.iter().any(|key| key.may_sign) {
        let key = make(clock.id().to_string(), keyring)?;
        keys::add(&mut tx, &key, clock.now(), Duration::ZERO).await?;
        tracing::info!(kid = key.kid, "created the first signing key");
        sealed.insert(0, key);
    }
    postgres::commit(tx).await?;
    open(keyring, sealed)
}

fn open(keyring: &Keyring, sealed: Vec<SealedKey>) -> anyhow::Result<Loaded> {
    let newest = sealed.iter().find(|key| key.may_sign).context("no signing key")?;
    let seed = keyring
        .open(&newest.kid, &newest.sealed_seed)
        .map_err(|error| Refusal(format!("cannot open signing key {}: {error}", newest.kid)))?;
    let seed = seed.as_slice().try_into().context("a seed is 32 bytes")?;
    let signer = SigningKey::from_seed(newest.kid.clone(), seed)?;
    let public = |key: SealedKey| PublicKey { kid: key.kid, bytes: key.public_key };
    Ok(Loaded { signer, public: sealed.into_iter().map(public).collect() })
}

impl Auth {
    /// Makes a new signing key. It signs in two minutes, when all services know it, and the old one verifies until its
    /// last grant has expired. After a leak the old keys end at once instead: all access tokens and grants are refused,
    /// and all clients refresh.
    pub async fn rotate_keys(&self, leaked: bool) -> anyhow::Result<()> {
        let mut tx = postgres::begin(&self.db).await?;
        keys::lock(&mut tx).await?;
        if leaked {
            keys::drop_all(&mut tx).await?;
        }
        let lead = if leaked { Duration::ZERO } else { LEAD };
        self.add_key(&mut tx, lead, Actor::CommandLine).await?;
        postgres::commit(tx).await?;
        Ok(())
    }

    /// Makes a new signing key when the newest is old, and deletes keys that verify nothing any more.
    pub async fn tend_keys(&self) -> anyhow::Result<()> {
        let mut tx = postgres::begin(&self.db).await?;
        keys::lock(&mut tx).await?;
        if keys::newest_is_older(&mut tx, LIFE).await? {
            self.add_key(&mut tx, LEAD, Actor::Auth).await?;
        }
        keys::drop_retired(&mut tx).await?;
        postgres::commit(tx).await?;
        Ok(())
    }

    async fn add_key(
        &self,
        tx: &mut PgConnection,
        lead: Duration,
        by: Actor<'_>,
    ) -> anyhow::Result<()> {
        let key = make(self.clock.id().to_string(), &self.keyring)?;
        keys::add(tx, &key, self.clock.now(), lead).await?;
        self.record(tx, Event::new("key_rotated", by)).await?;
        tracing::info!(kid = key.kid, "created a signing key");
        Ok(())
    }

    /// Reloads the keys, which other processes may change, until `stop`.
    pub async fn reload_keys(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut tick = interval(RELOAD_PERIOD);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.reload().await?;
        }
        Ok(())
    }

    async fn reload(&self) -> anyhow::Result<()> {
        let mut conn = self.db.acquire().await?;
        let sealed = keys::live(&mut conn).await?;
        drop(conn);
        let loaded = open(&self.keyring, sealed)?;
        self.verifier.set_keys(loaded.public.iter().map(PublicKey::to_pair).collect());
        self.keys.replace(loaded);
        Ok(())
    }
}

fn make(kid: String, keyring: &Keyring) -> anyhow::Result<SealedKey> {
    let seed: [u8; 32] = random()?;
    let sealed_seed = keyring.seal(&kid, &seed)?;
    let public_key = SigningKey::from_seed(kid.clone(), &seed)?.public_key().to_vec();
    Ok(SealedKey { kid, public_key, sealed_seed, may_sign: true })
}
