//! The audit: security events of accounts.

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Actor, Email, Network};

/// A security event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) kind: &'static str,
    pub(crate) by: Actor<'a>,
    pub(crate) member: Option<Uuid>,
    pub(crate) session: Option<Uuid>,
    /// The client that was changed.
    pub(crate) client: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// Creates an event that concerns no account in particular.
    pub(crate) const fn new(kind: &'static str, by: Actor<'a>) -> Self {
        Self { kind, by, member: None, session: None, client: None }
    }

    pub(crate) fn of(self, member: impl Into<Option<Uuid>>) -> Self {
        Self { member: member.into(), ..self }
    }

    pub(crate) fn in_session(self, session: Uuid) -> Self {
        Self { session: Some(session), ..self }
    }

    pub(crate) fn to_client(self, client: &'a str) -> Self {
        Self { client: Some(client), ..self }
    }
}

/// Records an event for the member with this address, if there is one, and returns the member. One statement, so that
/// an unknown address costs the same.
pub(crate) async fn record_for(
    tx: &mut PgConnection,
    id: Uuid,
    event: &Event<'_>,
    from: Option<&Network>,
    email: &Email,
) -> sqlx::Result<Option<Uuid>> {
    let statement = sqlx::query_scalar!(
        "INSERT INTO security_event (event_id, kind, member_id, actor_role, network)
         VALUES ($1, $2, (SELECT member_id FROM member WHERE email = $3), $4, $5::text::cidr)
         RETURNING member_id",
        id,
        event.kind,
        email.as_str(),
        event.by.role(),
        from.map(ToString::to_string),
    );
    query("event_record_for", statement.fetch_one(tx)).await
}

pub(crate) async fn record(
    tx: &mut PgConnection,
    id: Uuid,
    event: &Event<'_>,
    from: Option<&Network>,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "INSERT INTO security_event (event_id, kind, member_id, session_id, actor_id, actor_role, client_id,
                                     network)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::cidr)",
        id,
        event.kind,
        event.member,
        event.session,
        event.by.id(),
        event.by.role(),
        event.by.client().or(event.client),
        from.map(ToString::to_string),
    );
    query("event_record", statement.execute(tx)).await.map(drop)
}

/// Deletes the networks of events that are three months old.
pub(crate) async fn forget_networks(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement = sqlx::query_scalar!(r#"SELECT forget_networks() AS "forgotten!""#);
    Ok(query("event_forget_networks", statement.fetch_one(conn)).await?.unsigned_abs())
}
