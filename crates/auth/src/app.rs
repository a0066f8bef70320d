//! The use cases of auth, one file each.

mod addressee;
mod audit;
mod codes;
mod delivery;
mod devices;
mod disable;
mod error;
mod gate;
mod gauges;
mod grants;
mod introspect;
mod keys;
mod login;
mod notices;
mod operate;
mod password;
mod profile;
mod proof;
mod refresh;
mod register;
mod retention;
mod revocations;
mod service_token;
mod sessions;
mod tokens;

use std::sync::Arc;

use kit::Clock;
use kit::cache::Cache;
use kit::caller::Verifier;
use kit::idempotency::Key;
use kit::redis::Redis;
use sqlx::PgPool;

pub use addressee::Addressee;
pub use codes::Accepted;
pub use error::Error;
pub use grants::{HoldPoints, IssuedGrant};
pub use introspect::Introspection;
pub use keys::PublicKey;
pub use login::Login;
pub use password::{ChangePassword, Changed};
pub use profile::{Profile, Rename};
pub use proof::{Done, Proof, Proven};
pub use register::Register;
pub use service_token::{ClientSecret, ServiceToken, WeakSecret};
pub use sessions::SessionView;
pub use tokens::Session;

use crate::hasher::Hasher;
use crate::keyring::Keyring;
use crate::metrics;

use gate::Gate;
use keys::Keys;

/// The principal of idempotency keys before a login. All clients share it; their keys are UUIDs and do not collide.
const ANONYMOUS: &str = "anonymous";

/// Accounts, logins and tokens. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    db: PgPool,
    redis: Redis,
    clock: Clock,
    hasher: Hasher,
    keyring: Arc<Keyring>,
    keys: Keys,
    gate: Gate,
    verifier: Verifier,
    profiles: Cache<Profile>,
}

impl Auth {
    /// Loads the signing keys, and makes the first one if there is none.
    pub async fn open(
        db: PgPool,
        redis: Redis,
        clock: Clock,
        hasher: Hasher,
        keyring: Keyring,
    ) -> anyhow::Result<Self> {
        metrics::declare();
        let loaded = keys::load(&db, &keyring, &clock).await?;
        let verifier = Verifier::empty("auth", clock.clone());
        verifier.set_keys(loaded.public.iter().map(PublicKey::to_pair).collect());
        let keys = Keys::new(loaded);
        Ok(Self {
            profiles: Cache::new("auth:profile", profile::TTL, redis.clone(), &db),
            db,
            redis,
            clock,
            hasher,
            keyring: keyring.into(),
            keys,
            gate: Gate::new(),
            verifier,
        })
    }

    /// The verifier for auth's own routes. It has the signing keys already.
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// The keys that verify tokens.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.current().public.clone()
    }

    /// Blinds the key's fingerprint of a request with a password in it: a fast hash would be a way to guess the
    /// password.
    fn blinded(&self, purpose: &str, key: Key) -> Key {
        Key { fingerprint: self.keyring.blind(purpose, &key.fingerprint), ..key }
    }
}
