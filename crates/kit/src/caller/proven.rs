//! Member tokens whose signature was found good.
//!
//! To check an Ed25519 signature costs a quarter of what a small request costs in all, and a client
//! sends the same token for five minutes. Only what can never change is remembered: time and
//! revocation are asked again with every request, and other keys end what was proven by these.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{SHA256, digest};

use super::token::Member;
use super::verifier::Keys;

const SHARDS: usize = 16;

/// How many tokens a shard remembers: some 16,000 in all, a few megabytes.
const TOKENS: usize = 1_024;

/// Not the token itself: a secret need not lie about.
type Digest = [u8; 32];

#[derive(Default)]
pub(super) struct Proven {
    shards: [Mutex<HashMap<Digest, Proof>>; SHARDS],
}

struct Proof {
    claims: Member,
    by: Arc<Keys>,
}

impl Proven {
    /// What the token says, if these very keys have proven it.
    pub(super) fn get(&self, token: &str, keys: &Arc<Keys>) -> Option<Member> {
        let digest = digest_of(token);
        let shard = self.shard(&digest);
        let proof = shard.get(&digest).filter(|proof| Arc::ptr_eq(&proof.by, keys))?;
        Some(proof.claims.clone())
    }

    pub(super) fn add(&self, token: &str, claims: Member, by: Arc<Keys>) {
        let digest = digest_of(token);
        let mut shard = self.shard(&digest);
        // Whoever fills it with good tokens only makes us check signatures again.
        if shard.len() >= TOKENS {
            shard.clear();
        }
        shard.insert(digest, Proof { claims, by });
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, HashMap<Digest, Proof>> {
        let shard = usize::from(digest[0]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest_of(token: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}
