//! Argon2id, bounded: hashing is the most expensive thing a stranger can make us do.

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

/// How many may wait for each core. A hash takes some 25 ms, so that the last in line waits half a
/// second; whoever comes after is told to come back.
const QUEUE_PER_CORE: usize = 20;

/// As OWASP and ASVS ask for, with one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// Hashed against when there is no such member, so that an unknown address costs the same.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBvdGhlciBzYWx0$\
                     w8FDYuD8ogI0505xnaJFIKZXSBaYCiQI0tS+OsH9Ms0";

/// How much whoever hashes gives way to everybody else, as `nice` counts it.
const PATIENCE: i32 = 10;

/// Threads of their own, because they give way: hashing takes every core for as long as there are logins,
/// and a token is still checked at once. A priority, once lowered, cannot be raised again.
static THREADS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_current_thread()
        .max_blocking_threads(cores())
        .thread_name("hash")
        .on_thread_start(|| {
            let _ = rustix::process::nice(PATIENCE);
        })
        .build()
});

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// As many hashes at a time as there are cores. Cheap to clone.
#[derive(Clone)]
pub struct Hasher {
    cores: Arc<Semaphore>,
    places: Arc<Semaphore>,
    peppers: Peppers,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Too many are waiting already.
    #[error("too many passwords to hash")]
    Overloaded,
    #[error("a password could not be hashed")]
    Broken,
}

impl Hasher {
    pub fn new() -> Self {
        Self::with(cores(), cores() * QUEUE_PER_CORE)
    }

    /// So many at a time, and so many waiting.
    pub fn with(cores: usize, waiting: usize) -> Self {
        let (cores, places) = (Semaphore::new(cores), Semaphore::new(cores + waiting));
        let peppers = Peppers::default();
        Self { cores: Arc::new(cores), places: Arc::new(places), peppers }
    }

    /// Mixes these into passwords.
    #[must_use]
    pub fn peppered(self, peppers: Peppers) -> Self {
        Self { peppers, ..self }
    }

    /// A hash to keep: Argon2id, 19 MiB, two passes, one lane, as OWASP and ASVS ask for.
    pub async fn hash(&self, password: Password) -> Result<String, Failure> {
        let peppers = self.peppers.clone();
        self.run(move || make(&peppers, password.expose())).await?
    }

    /// A stronger hash of a password that has just proven right, whatever the rules for choosing one are
    /// by now. `None` when `hash` is as strong as they come.
    pub async fn strengthen(&self, guess: Guess, hash: &str) -> Result<Option<String>, Failure> {
        let peppers = self.peppers.clone();
        if !is_weak(hash, peppers.newest()) {
            return Ok(None);
        }
        self.run(move || make(&peppers, guess.expose())).await?.map(Some)
    }

    /// Whether the guess is right. Without a hash it never is, and takes as long to find out.
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

    /// Whoever came now would be refused. Asked before anything else is done for them, so that a flood
    /// of logins costs no connection.
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
        // The permits move into the blocking task. It cannot be canceled; were they left behind in a
        // future that can, clients that hang up would start more hashes than there are cores.
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
    tracing::error!(%error, "a password cannot be checked");
    Failure::Broken
}

/// Whether we would make a stronger one today.
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

/// The crate's defaults; written out, so that an update cannot weaken them. Its memory comes from the
/// allocator each time: keeping it for the next hash was measured, and saves nothing with mimalloc.
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
        assert_eq!(theirs, (ours + PATIENCE).min(19));
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
            _ = hasher.run(work) => panic!("it cannot be done yet"),
            _ = has_started => {} // and the caller is gone
        }
        assert_eq!(hasher.cores.available_permits(), 0);
        finish.send(()).unwrap();
        hasher.run(|| ()).await.unwrap();
    }
}
