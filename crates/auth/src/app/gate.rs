use std::sync::Arc;
use std::time::Duration;

use kit::postgres;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::notices::Notice;
use super::{Auth, Error};
use crate::domain::{ATTEMPTS, Client, DeviceToken, Email, STRANGERS_ATTEMPTS, WINDOW};
use crate::metrics;
use crate::store::attempts::{self, Attempt, Count, Reservation};

/// How long a guess waits for those before it: a right one must not be refused because other right ones
/// are being checked.
const PATIENCE: Duration = Duration::from_secs(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Addresses share these, so that their number is bounded; who shares one waits a little longer.
const LANES: usize = 1024;

/// In each process, no more guesses at one address are checked at once than may be wrong. Others wait
/// here, where it costs no connection.
#[derive(Clone)]
pub(super) struct Gate(Arc<[Arc<Semaphore>]>);

/// A guess that may be checked: counted everywhere it has to be. Whatever comes of it is to be said, by
/// [`Auth::wrong`], [`Auth::right`] or [`Auth::unchecked`].
pub(super) struct Reserved {
    email: Email,
    attempts: Vec<Attempt>,
    _lane: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new() -> Self {
        let permits = usize::try_from(ATTEMPTS).unwrap_or(1);
        Self((0..LANES).map(|_| Arc::new(Semaphore::new(permits))).collect())
    }

    fn lane(&self, count: Count) -> Arc<Semaphore> {
        let lane = usize::from(u16::from_be_bytes([count.account[0], count.account[1]])) % LANES;
        Arc::clone(&self.0[lane])
    }
}

impl Auth {
    /// Counts a guess before it is checked: counted after, any number of guesses at the same time would
    /// all find that there were few before them. Every path that checks a member's secret comes here. Also
    /// gives the connection, for what is to be looked up next.
    pub(super) async fn reserve(
        &self,
        email: &Email,
        client: &Client,
    ) -> Result<(Reserved, PoolConnection<Postgres>), Error> {
        if self.hasher.is_full() {
            return Err(Error::Overloaded);
        }
        let by = Instant::now() + PATIENCE;
        let counts = self.counts(email, client);
        let narrowest = counts.last().copied().ok_or(Error::Overloaded)?;
        let lane = timeout_at(by, self.gate.lane(narrowest).acquire_owned()).await;
        let lane = lane.ok().and_then(Result::ok).ok_or(Error::Overloaded)?;
        loop {
            let mut conn = self.db.acquire().await?;
            match attempts::reserve(&mut conn, &counts, WINDOW).await? {
                Reservation::Made(attempts) => {
                    return Ok((Reserved { email: email.clone(), attempts, _lane: lane }, conn));
                }
                Reservation::Locked(wait) => return Err(locked(wait)),
                Reservation::Busy if Instant::now() >= by => {
                    return Err(locked(Duration::from_secs(1)));
                }
                Reservation::Busy => {}
            }
            drop(conn); // others need it
            sleep(BETWEEN_LOOKS).await; // another replica is checking some
        }
    }

    /// A device that has signed in before has a count of its own, so that nobody else can use it up.
    fn counts(&self, email: &Email, client: &Client) -> Vec<Count> {
        let account = email.as_str().as_bytes();
        if let Some(device) = client.known.as_ref().filter(|device| self.knows(email, device)) {
            let key = [account, &[0], &device.id.as_bytes()[..]].concat();
            let account = self.keyring.blind("guess_device", &key);
            return vec![Count { account, limit: ATTEMPTS }];
        }
        let network = client.network.as_ref().map_or(&[][..], |network| network.as_bytes());
        let network = [account, &[0], network].concat();
        vec![
            Count { account: self.keyring.blind("login", account), limit: STRANGERS_ATTEMPTS },
            Count { account: self.keyring.blind("guess_network", &network), limit: ATTEMPTS },
        ]
    }

    /// The guess was wrong. If it was the last one allowed, the owner is told, if there is one.
    pub(super) async fn wrong(&self, guess: &Reserved) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let mut locks = false;
        for attempt in &guess.attempts {
            locks |= attempts::failed(&mut tx, attempt).await?;
        }
        if locks {
            self.note_lock(&mut tx, &guess.email).await?;
            self.tell_owner(&mut tx, &guess.email, Notice::SignInLocked).await?;
        }
        postgres::commit(tx).await?;
        Ok(())
    }

    /// The guess was right; says so in the transaction of what it opens.
    pub(super) async fn right(&self, tx: &mut PgConnection, guess: &Reserved) -> Result<(), Error> {
        for attempt in &guess.attempts {
            attempts::succeeded(tx, attempt).await?;
        }
        Ok(())
    }

    /// The guess was not checked, so it does not count.
    pub(super) async fn unchecked(&self, guess: &Reserved) -> Result<(), Error> {
        let mut conn = self.db.acquire().await?;
        for attempt in &guess.attempts {
            attempts::returned(&mut conn, attempt).await?;
        }
        Ok(())
    }

    /// What a device is to bring back the next time.
    pub(super) fn remember(&self, email: &Email, client: &Client) -> DeviceToken {
        let known = client.known.clone().filter(|device| self.knows(email, device));
        known.unwrap_or_else(|| {
            let id = self.clock.id();
            DeviceToken { id, proof: self.keyring.blind(PURPOSE, &signed_in(email, id)) }
        })
    }

    fn knows(&self, email: &Email, device: &DeviceToken) -> bool {
        self.keyring.has_blinded(PURPOSE, &signed_in(email, device.id), &device.proof)
    }
}

const PURPOSE: &str = "device";

fn signed_in(email: &Email, device: uuid::Uuid) -> Vec<u8> {
    [device.as_bytes(), email.as_str().as_bytes()].concat()
}

fn locked(retry_after: Duration) -> Error {
    metrics::failed_attempt("account_locked");
    Error::TooManyAttempts { retry_after }
}
