use chrono::{DateTime, Utc};
use kit::{command, postgres};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Auth, Error};
use crate::domain::Actor;
use crate::store::devices;
use crate::store::events::Event;
use crate::store::sessions::{self, Which};

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
        self.end(member, Which::One(session), "logout").await.map(drop)
    }

    /// Signs the member out everywhere.
    pub async fn logout_everywhere(&self, member: Uuid) -> Result<(), Error> {
        self.end(member, Which::All, "logout_everywhere").await.map(drop)
    }

    /// Ends one of the member's sessions. Another member's session is not found.
    pub async fn revoke_session(&self, member: Uuid, session: Uuid) -> Result<(), Error> {
        let ended = self.end(member, Which::One(session), "session_revoked").await?;
        if ended.is_empty() { Err(Error::SessionNotFound) } else { Ok(()) }
    }

    async fn end(
        &self,
        member: Uuid,
        which: Which,
        reason: &'static str,
    ) -> Result<Vec<Uuid>, Error> {
        let auth = self.clone();
        let end = async move {
            let mut tx = postgres::begin(&auth.db).await?;
            let by = Actor::Member(member);
            let ended = auth.end_within(&mut tx, member, which, reason, by).await?;
            postgres::commit(tx).await?;
            auth.announce(&ended);
            Ok(ended)
        };
        command::run(end).await
    }

    /// Ends sessions within a transaction; the caller calls [`Auth::announce`] after the commit. Ending all sessions
    /// also forgets all known devices.
    pub(super) async fn end_within(
        &self,
        tx: &mut PgConnection,
        member: Uuid,
        which: Which,
        reason: &'static str,
        by: Actor<'_>,
    ) -> Result<Vec<Uuid>, Error> {
        let ended = sessions::end(tx, member, which, reason).await?;
        if let Which::All = which {
            devices::forget_all(tx, member).await?;
        }
        for session in &ended {
            self.note(tx, Event::new(reason, by).of(member).in_session(*session)).await?;
        }
        Ok(ended)
    }

    /// Refuses the access tokens of ended sessions in this process at once. Others learn of them from the feed.
    pub(super) fn announce(&self, ended: &[Uuid]) {
        self.verifier.revoke(ended);
    }
}
