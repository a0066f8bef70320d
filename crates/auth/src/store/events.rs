//! What happened to accounts.

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

/// Something worth investigating one day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) member: Option<Uuid>,
    pub(crate) session: Option<Uuid>,
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
