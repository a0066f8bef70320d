//! What happened to accounts.

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::Email;

/// Something worth investigating one day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) member: Option<Uuid>,
    pub(crate) session: Option<Uuid>,
}

/// The same for whoever has this address, if anybody: says who. One statement, whatever the address.
pub(crate) async fn record_for(
    tx: &mut PgConnection,
    id: Uuid,
    kind: &str,
    email: &Email,
) -> sqlx::Result<Option<Uuid>> {
    let statement = sqlx::query_scalar!(
        "INSERT INTO security_event (event_id, kind, member_id)
         VALUES ($1, $2, (SELECT member_id FROM member WHERE email = $3))
         RETURNING member_id",
        id,
        kind,
        email.as_str(),
    );
    query("event_record_for", statement.fetch_one(tx)).await
}

pub(crate) async fn record(tx: &mut PgConnection, id: Uuid, event: Event) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "INSERT INTO security_event (event_id, kind, member_id, session_id) VALUES ($1, $2, $3, $4)",
        id,
        event.kind,
        event.member,
        event.session,
    );
    query("event_record", statement.execute(tx)).await.map(drop)
}
