//! Notices: mail about changes to an account.

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::Email;

/// A notice, and the address it goes to.
pub(crate) struct Notice {
    pub(crate) email: String,
    pub(crate) kind: String,
}

pub(crate) async fn create(
    tx: &mut PgConnection,
    id: Uuid,
    member: Uuid,
    kind: &str,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "INSERT INTO mail_notice (notice_id, member_id, kind) VALUES ($1, $2, $3)",
        id,
        member,
        kind,
    );
    query("notice_create", statement.execute(tx)).await.map(drop)
}

/// Creates a notice for the member with this address, if there is one, at most once a day, so that strangers cannot fill
/// a mailbox. Notices at the same time wait for each other by `lock`, which stands for the address. An unknown address
/// takes the same statements.
pub(crate) async fn create_for(
    tx: &mut PgConnection,
    id: Uuid,
    email: &Email,
    kind: &str,
    lock: i64,
) -> sqlx::Result<()> {
    let statement = sqlx::query!("SELECT pg_advisory_xact_lock($1)", lock);
    query("notice_lock", statement.execute(&mut *tx)).await?;
    let statement = sqlx::query!(
        "INSERT INTO mail_notice (notice_id, member_id, kind)
         SELECT $1, m.member_id, $3 FROM member m
         WHERE m.email = $2 AND m.disabled_at IS NULL
           AND NOT EXISTS (
               SELECT FROM mail_notice n
               WHERE n.member_id = m.member_id AND n.kind = $3
                 AND n.created_at > now() - interval '1 day')",
        id,
        email.as_str(),
        kind,
    );
    query("notice_create_for", statement.execute(tx)).await.map(drop)
}

pub(crate) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Notice>> {
    let statement = sqlx::query_as!(
        Notice,
        "SELECT m.email, n.kind FROM mail_notice n JOIN member m USING (member_id)
         WHERE n.notice_id = $1",
        id,
    );
    query("notice_find", statement.fetch_optional(conn)).await
}

/// Deletes notices that are too old to be delivered.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement =
        sqlx::query!("DELETE FROM mail_notice WHERE created_at < now() - interval '30 days'");
    Ok(query("notice_forget", statement.execute(conn)).await?.rows_affected())
}
