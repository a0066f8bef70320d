use chrono::{DateTime, Utc};
use kit::postgres;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Auth, Error};
use crate::domain::Actor;
use crate::store::devices;
use crate::store::events::Event;
use crate::store::sessions::{self, Selection};

/// A session, as its member sees it.
#[derive(Serialize, ToSchema)]
pub struct SessionView {
    pub session_id: Uuid,
    /// The client's `User-Agent`.
    pub device: String,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// True for the session of the request.
    pub current: bool,
}

impl Auth {
    /// Lists the live sessions of a member, newest first.
    pub async fn sessions(&self, member: Uuid, current: Uuid) -> Result<Vec<SessionView>, Error> {
        let mut conn = self.db.acquire().await?;
        let rows = sessions::list(&mut conn, member).await?;
        let view = |row: sessions::Row| SessionView {
            session_id: row.session_id,
            device: row.device,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            current: row.session_id == current,
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// Signs the member out of this session.
    pub async fn logout(&self, member: Uuid, session: Uuid) -> Result<(), Error> {
        self.end(member, Selection::One(session), "logout").await.map(drop)
    }

    /// Signs the member out everywhere.
    pub async fn logout_everywhere(&self, member: Uuid) -> Result<(), Error> {
        self.end(member, Selection::All, "logout_everywhere").await.map(drop)
    }

    /// Ends one of the member's sessions. Another member's session is not found.
    pub async fn revoke_session(&self, member: Uuid, session: Uuid) -> Result<(), Error> {
        let ended = self.end(member, Selection::One(session), "session_revoked").await?;
        if ended.is_empty() { Err(Error::SessionNotFound) } else { Ok(()) }
    }

    async fn end(
        &self,
        member: Uuid,
        selection: Selection,
        reason: &'static str,
    ) -> Result<Vec<Uuid>, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let by = Actor::Member(member);
        let ended = self.end_sessions(&mut tx, member, selection, reason, by).await?;
        postgres::commit(tx).await?;
        self.revoke_locally(&ended);
        Ok(ended)
    }

    /// Ends sessions within a transaction; the caller calls [`Auth::revoke_locally`] after the commit. Ending all sessions
    /// also forgets all known devices.
    pub(super) async fn end_sessions(
        &self,
        tx: &mut PgConnection,
        member: Uuid,
        selection: Selection,
        reason: &'static str,
        by: Actor<'_>,
    ) -> Result<Vec<Uuid>, Error> {
        let ended = sessions::end(tx, member, selection, reason).await?;
        if let Selection::All = selection {
            devices::forget_all(tx, member).await?;
        }
        for session in &ended {
            self.record(tx, Event::new(reason, by).of(member).in_session(*session)).await?;
        }
        Ok(ended)
    }

    /// Refuses the access tokens of ended sessions in this process at once. Others learn of them from the feed.
    pub(super) fn revoke_locally(&self, ended: &[Uuid]) {
        self.verifier.revoke(ended);
    }
}
