use std::sync::Arc;
use std::time::Duration;

use kit::postgres;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::notices::Notice;
use super::{Auth, Error};
use crate::domain::{
    ATTEMPTS, Client, DeviceToken, Email, Network, Password, STRANGERS_ATTEMPTS, WINDOW,
};
use crate::metrics;
use crate::store::attempts::{self, Attempt, Count, Reservation};

/// The time that a guess waits for others: a right one must not be refused because other right ones are being checked.
const PATIENCE: Duration = Duration::from_secs(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The number of lanes. Addresses share them, so that their number is bounded; those in one lane wait a little longer.
const LANES: usize = 1024;

/// Bounds the guesses at one address that this process checks at once to the number that may be wrong. Others wait
/// here, without a connection.
#[derive(Clone)]
pub(super) struct Gate(Arc<[Arc<Semaphore>]>);

/// A secret that strangers may guess at. Each has its own counts: wrong passwords must not keep the owner from choosing
/// a new one with a mailed code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    Password,
    /// A mailed code. Its 50 bits cannot be guessed within its life, from however many networks. So each network and
    /// each device has its own count, and the account has none: strangers could use it up.
    Code,
}

/// A counted guess that may be checked. It ends in [`Auth::guess_failed`], [`Auth::guess_succeeded`] or
/// [`Auth::return_guess`].
pub(super) struct ReservedGuess {
    pub(super) email: Email,
    secret: Secret,
    /// The device of the guess, if the member has signed in on it before.
    pub(super) device: Option<DeviceToken>,
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
    /// Counts a guess before it is checked: counted afterwards, any number of guesses at the same time would each find
    /// few before them. Every path that checks a member's secret calls this. Also returns the connection, for the
    /// look-up that follows.
    pub(super) async fn reserve(
        &self,
        secret: Secret,
        email: &Email,
        client: &Client,
    ) -> Result<(ReservedGuess, PoolConnection<Postgres>), Error> {
        if self.hasher.is_full() {
            return Err(Error::Overloaded);
        }
        let by = Instant::now() + PATIENCE;
        let device = self.known_device(email, client).await?;
        let counts = self.counts(secret, email, client.network.as_ref(), device.as_ref());
        let narrowest = counts.last().copied().ok_or(Error::Overloaded)?;
        let lane = timeout_at(by, self.gate.lane(narrowest).acquire_owned()).await;
        let lane = lane.ok().and_then(Result::ok).ok_or(Error::Overloaded)?;
        loop {
            let mut conn = self.db.acquire().await?;
            match attempts::reserve(&mut conn, &counts, WINDOW).await? {
                Reservation::Made(attempts) => {
                    let email = email.clone();
                    let guess = ReservedGuess { email, secret, device, attempts, _lane: lane };
                    return Ok((guess, conn));
                }
                Reservation::Locked(wait) => return Err(locked(wait)),
                Reservation::Busy if Instant::now() >= by => {
                    return Err(locked(Duration::from_secs(1)));
                }
                Reservation::Busy => {}
            }
            drop(conn); // other requests need it
            sleep(BETWEEN_LOOKS).await; // another replica is checking guesses
        }
    }

    /// Returns the counts of a guess. A known device has its own, so that strangers cannot use it up.
    fn counts(
        &self,
        secret: Secret,
        email: &Email,
        network: Option<&Network>,
        device: Option<&DeviceToken>,
    ) -> Vec<Count> {
        let of_all = Count {
            account: self.keyring.blind("login", email.as_str().as_bytes()),
            limit: STRANGERS_ATTEMPTS,
            doubles: true,
        };
        let own = |purpose, bytes: &[u8]| Count {
            account: self.keyring.blind(purpose, &at(email, bytes)),
            limit: ATTEMPTS,
            doubles: secret == Secret::Password,
        };
        let network = network.map_or(&[][..], |network| network.as_bytes());
        match (secret, device) {
            (Secret::Password, Some(device)) => vec![own("guess_device", device.id.as_bytes())],
            (Secret::Password, None) => vec![of_all, own("guess_network", network)],
            (Secret::Code, Some(device)) => vec![own("code_device", device.id.as_bytes())],
            (Secret::Code, None) => vec![own("code_network", network)],
        }
    }

    /// Names the requester of a mail to this address, because each requester may have a number of mails: their known
    /// device, or else their network.
    pub(super) async fn requester(
        &self,
        email: &Email,
        client: &Client,
    ) -> Result<[u8; 32], Error> {
        let device = self.known_device(email, client).await?;
        let network = client.network.as_ref().map_or(&[][..], |network| network.as_bytes());
        Ok(match &device {
            Some(device) => self.keyring.blind("mail_device", &at(email, device.id.as_bytes())),
            None => self.keyring.blind("mail_network", &at(email, network)),
        })
    }

    /// Deletes the counts of wrong guesses at a replaced password.
    pub(super) async fn clear_guesses(
        &self,
        tx: &mut PgConnection,
        email: &Email,
        client: &Client,
    ) -> Result<(), Error> {
        for count in self.counts(Secret::Password, email, client.network.as_ref(), None) {
            attempts::clear(tx, &count).await?;
        }
        Ok(())
    }

    /// Records a wrong guess. The last one allowed is a lock, of which the owner is notified.
    pub(super) async fn guess_failed(&self, guess: &ReservedGuess) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let mut locks = false;
        for attempt in &guess.attempts {
            locks |= attempts::failed(&mut tx, attempt).await?;
        }
        if locks {
            self.record_lock(&mut tx, &guess.email, guess.secret).await?;
            // A lock of codes concerns only the requester who guessed, not the owner.
            if guess.secret == Secret::Password {
                self.notify_owner(&mut tx, &guess.email, Notice::SignInLocked).await?;
            }
        }
        postgres::commit(tx).await?;
        Ok(())
    }

    /// Records a right guess, in the transaction of its effect.
    pub(super) async fn guess_succeeded(
        &self,
        tx: &mut PgConnection,
        guess: &ReservedGuess,
    ) -> Result<(), Error> {
        for attempt in &guess.attempts {
            attempts::succeeded(tx, attempt).await?;
        }
        Ok(())
    }

    /// Gives back a guess that was not checked.
    pub(super) async fn return_guess(&self, guess: &ReservedGuess) -> Result<(), Error> {
        let mut conn = self.db.acquire().await?;
        for attempt in &guess.attempts {
            attempts::returned(&mut conn, attempt).await?;
        }
        Ok(())
    }

    /// Hashes the new password that a guess asks for. Gives back the guess when that fails.
    pub(super) async fn hash_or_return(
        &self,
        password: Password,
        guess: &ReservedGuess,
    ) -> Result<String, Error> {
        match self.hasher.hash(password).await {
            Ok(hash) => Ok(hash),
            Err(failure) => {
                self.return_guess(guess).await?;
                Err(failure.into())
            }
        }
    }
}

/// Joins an address with the bytes of a device or network.
fn at(email: &Email, bytes: &[u8]) -> Vec<u8> {
    [email.as_str().as_bytes(), &[0], bytes].concat()
}

fn locked(retry_after: Duration) -> Error {
    metrics::failed_attempt("account_locked");
    Error::TooManyAttempts { retry_after }
}
