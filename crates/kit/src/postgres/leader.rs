//! Leader election by advisory lock: one replica does the work, the others stand by.
//!
//! Each replica has one connection for all its elections, in addition to the pool and the health check's
//! connection.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgSeverity};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::timeout;

use super::{client_timeout, incarnation, lock_id, query};

/// The sessions of this process, one for each pool. Pools are distinguished by their options, which clones
/// share.
static SESSIONS: LazyLock<Mutex<Vec<Weak<Session>>>> = LazyLock::new(Mutex::default);

/// The connection that holds a replica's locks. PostgreSQL releases them when it ends.
struct Session {
    options: Arc<PgConnectOptions>,
    state: tokio::sync::Mutex<State>,
    /// The locks that have a [`Leader`] in this process.
    led: Mutex<HashSet<i64>>,
}

#[derive(Default)]
struct State {
    connection: Option<PgConnection>,
    /// Number of the connection, by which a leader recognizes its own.
    generation: u64,
    /// The locks of this connection, with a leader or (after a panic) without.
    locked: HashSet<i64>,
}

/// A replica that takes part in an election.
pub(crate) struct Candidate {
    session: Arc<Session>,
    lock: i64,
}

/// The leadership of one election. No other replica leads while its connection lives; PostgreSQL ends it when
/// the process dies.
pub(crate) struct Leader {
    session: Arc<Session>,
    lock: i64,
    generation: u64,
}

impl Candidate {
    pub(crate) fn new(db: &PgPool, election: &[&str]) -> Self {
        Self { session: Session::of(db), lock: lock_id(election) }
    }

    /// Tries to become the leader. `None` while another replica leads.
    pub(crate) async fn elect(&self) -> sqlx::Result<Option<Leader>> {
        let Self { session, lock } = self;
        if session.led().contains(lock) {
            return Ok(None);
        }
        let mut state = session.state.lock().await;
        if state.connection.is_none() {
            let connection = session.connect().await?;
            *state = State {
                connection: Some(connection),
                generation: state.generation + 1,
                locked: HashSet::new(),
            };
        }
        if !state.locked.contains(lock) {
            let elected = state
                .ask(async |connection| {
                    let elect = sqlx::query_scalar!(
                        r#"SELECT pg_try_advisory_lock($1) AS "elected!""#,
                        *lock
                    );
                    query("leader_elect", elect.fetch_one(connection)).await
                })
                .await?;
            if !elected {
                return Ok(None);
            }
            state.locked.insert(*lock);
        }
        session.led().insert(*lock);
        let (session, lock, generation) = (Arc::clone(session), *lock, state.generation);
        Ok(Some(Leader { session, lock, generation }))
    }
}

impl Leader {
    /// Runs a statement on the connection that holds the lock, and therefore as the leader. Fails when
    /// leadership was lost, or when the statement failed.
    pub(crate) async fn ask<T>(
        &self,
        ask: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let mut state = self.session.state.lock().await;
        if state.generation != self.generation {
            return Err(sqlx::Error::WorkerCrashed);
        }
        state.ask(ask).await
    }

    /// Fails when leadership was lost.
    pub(crate) async fn confirm(&self) -> sqlx::Result<()> {
        self.ask(async |connection| query("leader_confirm", connection.ping()).await).await
    }

    /// Releases the lock, so that another replica can lead at once.
    pub(crate) async fn resign(self) {
        let mut state = self.session.state.lock().await;
        if state.generation != self.generation {
            return;
        }
        let lock = self.lock;
        let resigned = state
            .ask(async |connection| {
                let unlock =
                    sqlx::query_scalar!(r#"SELECT pg_advisory_unlock($1) AS "held!""#, lock);
                query("leader_resign", unlock.fetch_one(connection)).await
            })
            .await;
        if resigned.is_ok() {
            state.locked.remove(&lock);
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.session.led().remove(&self.lock);
    }
}

impl Session {
    fn of(db: &PgPool) -> Arc<Self> {
        let options = db.connect_options();
        let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| session.strong_count() > 0);
        let ours = sessions.iter().filter_map(Weak::upgrade);
        if let Some(session) = ours.into_iter().find(|s| Arc::ptr_eq(&s.options, &options)) {
            return session;
        }
        let session = Arc::new(Self { options, state: Default::default(), led: Mutex::default() });
        sessions.push(Arc::downgrade(&session));
        session
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let connect = PgConnection::connect_with(&self.options);
        let mut connection = match timeout(client_timeout(), connect).await {
            Ok(connection) => connection?,
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        incarnation::read(&mut connection).await?;
        Ok(connection)
    }

    fn led(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Runs a statement. Keeps the connection unless it is lost or the statement was canceled: a failed
    /// statement costs no other election its lock.
    async fn ask<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let Some(mut connection) = self.connection.take() else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        let asked = ask(&mut connection).await;
        if asked.as_ref().err().is_none_or(is_of_the_statement) {
            self.connection = Some(connection);
        }
        asked
    }
}

/// Returns true for an error of the statement, after which the connection still works.
fn is_of_the_statement(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref());
    error.is_some_and(|error: &PgDatabaseError| error.severity() == PgSeverity::Error)
}
