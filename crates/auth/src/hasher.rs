//! Password hashing with Argon2id, bounded: it is the most expensive work that a stranger can cause.

use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use observability::context;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::{Guess, Password};
use crate::metrics;
use crate::pepper::{self, Peppers};

/// Passwords that may wait for each core. A hash takes some 25 ms, so the last in line waits half a second; further
/// ones are refused.
const QUEUE_PER_CORE: usize = 20;

/// The parameters that OWASP and ASVS ask for, with one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// The hash that is checked for an unknown address, so that it costs the same as a known one.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBvdGhlciBzYWx0$\
                     w8FDYuD8ogI0505xnaJFIKZXSBaYCiQI0tS+OsH9Ms0";

/// The `nice` value added to hashing threads, so that they yield to all others.
const NICENESS: i32 = 10;

/// Threads for hashing alone, at a lower priority: logins may take every core, and a token is still checked at once.
/// A priority that was lowered cannot be raised again, so these threads do nothing else.
static THREADS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_current_thread()
        .max_blocking_threads(cores())
        .thread_name("hash")
        .on_thread_start(|| {
            let _ = rustix::process::nice(NICENESS);
        })
        .build()
});

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Hashes and verifies passwords, as many at a time as there are cores. Cheap to clone.
#[derive(Clone)]
pub struct Hasher {
    cores: Arc<Semaphore>,
    places: Arc<Semaphore>,
    peppers: Peppers,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    #[error("cannot hash a password")]
    Broken,
}

impl Hasher {
    pub fn new() -> Self {
        Self::with(cores(), cores() * QUEUE_PER_CORE)
    }

    /// Creates a hasher with `cores` hashes at a time and `waiting` in the queue.
    pub fn with(cores: usize, waiting: usize) -> Self {
        let (cores, places) = (Semaphore::new(cores), Semaphore::new(cores + waiting));
        let peppers = Peppers::default();
        Self { cores: Arc::new(cores), places: Arc::new(places), peppers }
    }

    /// Mixes these peppers into passwords.
    #[must_use]
    pub fn peppered(self, peppers: Peppers) -> Self {
        Self { peppers, ..self }
    }

    /// Hashes a password for storage.
    pub async fn hash(&self, password: Password) -> Result<String, Failure> {
        let peppers = self.peppers.clone();
        self.run(move || make(&peppers, password.expose())).await?
    }

    /// Hashes a password that was just verified again with today's parameters, whatever the rules for choosing one
    /// are now. `None` when `hash` has them already.
    pub async fn strengthen(&self, guess: Guess, hash: &str) -> Result<Option<String>, Failure> {
        let peppers = self.peppers.clone();
        if !is_weak(hash, peppers.newest()) {
            return Ok(None);
        }
        self.run(move || make(&peppers, guess.expose())).await?.map(Some)
    }

    /// Verifies a guess. Without a hash it is wrong, and takes the same time.
    pub async fn verify(&self, guess: Guess, hash: Option<String>) -> Result<bool, Failure> {
        let known = hash.is_some();
        let peppers = self.peppers.clone();
        let verify = move || {
            let hash = hash.as_deref().unwrap_or(DUMMY);
            let hash = PasswordHash::new(hash).map_err(|_| Failure::Broken)?;
            let params = Params::try_from(&hash).map_err(|_| Failure::Broken)?;
            let mixed = peppers.mix(pepper_of(&params), guess.expose()).map_err(missing)?;
            Ok(argon2(None)?.verify_password(&mixed, &hash).is_ok() && known)
        };
        self.run(verify).await?
    }

    /// True when the next password would be refused. Checked before anything else, so that a flood of logins costs no
    /// connection.
    pub fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place =
            Arc::clone(&self.places).try_acquire_owned().map_err(|_| Failure::Overloaded)?;
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| Failure::Broken)?;
        // The permits move into the blocking task, which cannot be canceled. In a future, which can, clients that
        // hang up would start more hashes than there are cores.
        let held: [OwnedSemaphorePermit; 2] = [place, core];
        let threads = THREADS.as_ref().map_err(|_| Failure::Broken)?;
        let task = context::spawn_blocking(threads.handle(), move || {
            let _held = held;
            let _timer = metrics::HASH_DURATION.start_timer();
            work()
        });
        task.await.map_err(|_| Failure::Broken)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

fn make(peppers: &Peppers, password: &[u8]) -> Result<String, Failure> {
    let newest = peppers.newest();
    let mixed = peppers.mix(newest, password).map_err(missing)?;
    let hash = argon2(newest)?.hash_password(&mixed).map_err(|_| Failure::Broken)?;
    Ok(hash.to_string())
}

fn missing(error: pepper::Missing) -> Failure {
    tracing::error!(%error, "cannot mix a pepper into a password");
    Failure::Broken
}

/// True when today's parameters make a stronger hash.
fn is_weak(hash: &str, pepper: Option<u8>) -> bool {
    let hash = PasswordHash::new(hash).ok();
    hash.and_then(|hash| Params::try_from(&hash).ok()).is_some_and(|held| {
        held.m_cost() < MEMORY_KIB || held.t_cost() < PASSES || pepper_of(&held) < pepper
    })
}

/// The version of the pepper, which the hash carries as its `keyid`.
fn pepper_of(params: &Params) -> Option<u8> {
    params.keyid().first().copied()
}

/// The crate's defaults, written out so that an update cannot weaken them. Each hash allocates its memory: reusing it
/// was measured and saves nothing with mimalloc.
fn argon2(pepper: Option<u8>) -> Result<Argon2<'static>, Failure> {
    let mut params = ParamsBuilder::new();
    params.m_cost(MEMORY_KIB).t_cost(PASSES).p_cost(1);
    if let Some(version) = pepper {
        params.keyid(KeyId::new(&[version]).map_err(|_| Failure::Broken)?);
    }
    let params = params.build().map_err(|_| Failure::Broken)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(text: &str) -> Guess {
        Guess::new(text.to_owned().into()).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let hasher = Hasher::with(1, 1);
        let hash =
            hasher.hash(Password::new("ordinary words".to_owned().into()).unwrap()).await.unwrap();

        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify(guess("ordinary words"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(guess("12345679"), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn without_a_hash_nothing_is_right_and_it_is_computed_all_the_same() {
        let before = metrics::HASH_DURATION.get_sample_count();
        assert!(!Hasher::with(1, 1).verify(guess("12345678"), None).await.unwrap());
        assert!(metrics::HASH_DURATION.get_sample_count() > before); // other tests hash as well
    }

    #[tokio::test]
    async fn whoever_hashes_gives_way() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let ours = priority();
        let theirs = Hasher::with(1, 1).run(priority).await.unwrap();
        assert_eq!(theirs, (ours + NICENESS).min(19));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let hasher = Hasher::with(1, 1);
        let calls = (0..3).map(|_| hasher.verify(guess("12345678"), None));
        let results = futures::future::join_all(calls).await;
        let refused = results.iter().filter(|r| matches!(r, Err(Failure::Overloaded)));
        assert_eq!(refused.count(), 1);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_its_core_taken_until_the_hash_is_done() {
        let hasher = Hasher::with(1, 1);
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (finish, may_finish) = std::sync::mpsc::channel::<()>();
        let work = move || {
            started.send(()).unwrap();
            may_finish.recv()
        };
        tokio::select! {
            _ = hasher.run(work) => panic!("the hash is done too early"),
            _ = has_started => {} // and the caller is gone
        }
        assert_eq!(hasher.cores.available_permits(), 0);
        finish.send(()).unwrap();
        hasher.run(|| ()).await.unwrap();
    }
}
