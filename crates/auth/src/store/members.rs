//! Members, their passwords and roles.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{DisplayName, Email};

/// The data that a login needs.
pub(crate) struct Credentials {
    pub(crate) member_id: Uuid,
    pub(crate) hash: String,
    /// The time the password was chosen. A new hash of the same password does not change it.
    pub(crate) changed_at: DateTime<Utc>,
    pub(crate) disabled: bool,
}

/// A member's profile.
pub(crate) struct Row {
    pub(crate) email: String,
    pub(crate) verified: bool,
    pub(crate) display_name: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) version: i64,
    pub(crate) roles: Vec<String>,
}

/// Creates a member. False when the address is taken; then nothing was done.
pub(crate) async fn create(
    tx: &mut PgConnection,
    id: Uuid,
    email: &Email,
    name: &DisplayName,
    hash: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    // One statement, so that a known address takes one round trip, too.
    let statement = sqlx::query!(
        "WITH new_member AS (
             INSERT INTO member (member_id, email, display_name, created_at)
             VALUES ($1, $2, $3, $5)
             ON CONFLICT ON CONSTRAINT member_email_unique DO NOTHING
             RETURNING member_id
         )
         INSERT INTO member_password (member_id, hash, changed_at)
         SELECT member_id, $4, $5 FROM new_member",
        id,
        email.as_str(),
        name.as_str(),
        hash,
        now,
    );
    Ok(query("member_create", statement.execute(tx)).await?.rows_affected() == 1)
}

pub(crate) async fn credentials(
    conn: &mut PgConnection,
    email: &Email,
) -> sqlx::Result<Option<Credentials>> {
    let statement = sqlx::query_as!(
        Credentials,
        r#"SELECT m.member_id, p.hash, p.changed_at, m.disabled_at IS NOT NULL AS "disabled!"
           FROM member m JOIN member_password p USING (member_id)
           WHERE m.email = $1"#,
        email.as_str(),
    );
    query("member_credentials", statement.fetch_optional(conn)).await
}

/// Returns the roles beside `member`. None while the address is not verified: anybody may register any address.
pub(crate) async fn roles(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<String>> {
    let statement = sqlx::query_scalar!(
        "SELECT role FROM member_role JOIN member USING (member_id)
         WHERE member_id = $1 AND verified_at IS NOT NULL",
        id,
    );
    query("member_roles", statement.fetch_all(conn)).await
}

/// The password hash of a signed-in member, and the address at which their guesses are counted.
pub(crate) struct Secret {
    pub(crate) email: String,
    pub(crate) hash: String,
}

pub(crate) async fn secret(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Secret>> {
    let statement = sqlx::query_as!(
        Secret,
        "SELECT m.email, p.hash FROM member m JOIN member_password p USING (member_id)
         WHERE member_id = $1",
        id,
    );
    query("member_secret", statement.fetch_optional(conn)).await
}

/// Replaces a password hash. False when it is not `from` any more.
pub(crate) async fn replace_hash(
    tx: &mut PgConnection,
    id: Uuid,
    from: &str,
    to: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let statement = sqlx::query!(
        "UPDATE member_password SET hash = $3, changed_at = $4 WHERE member_id = $1 AND hash = $2",
        id,
        from,
        to,
        now,
    );
    Ok(query("member_replace_hash", statement.execute(tx)).await?.rows_affected() == 1)
}

/// Sets a new password, whatever the old one was.
pub(crate) async fn set_hash(
    tx: &mut PgConnection,
    id: Uuid,
    to: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE member_password SET hash = $2, changed_at = $3 WHERE member_id = $1",
        id,
        to,
        now,
    );
    query("member_set_hash", statement.execute(tx)).await.map(drop)
}

/// Stores a stronger hash of the same password, unless the password has changed meanwhile.
pub(crate) async fn rehash(
    conn: &mut PgConnection,
    id: Uuid,
    from: &str,
    to: &str,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE member_password SET hash = $3 WHERE member_id = $1 AND hash = $2",
        id,
        from,
        to,
    );
    query("member_rehash", statement.execute(conn)).await.map(drop)
}

pub(crate) async fn profile(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Row>> {
    let statement = sqlx::query_as!(
        Row,
        r#"SELECT email, verified_at IS NOT NULL AS "verified!", display_name, created_at, version,
               ARRAY(SELECT role FROM member_role r WHERE r.member_id = m.member_id) AS "roles!"
           FROM member m WHERE member_id = $1"#,
        id,
    );
    query("member_profile", statement.fetch_optional(conn)).await
}

/// Gives the member with this address a role. `None` when there is no such member, the address is not verified, or the
/// password is older than the verification.
pub(crate) async fn grant(
    conn: &mut PgConnection,
    email: &Email,
    role: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Uuid>> {
    let statement = sqlx::query_scalar!(
        "WITH known AS (
             UPDATE member m SET version = version + 1 FROM member_password p
             WHERE m.email = $1 AND p.member_id = m.member_id
               AND p.changed_at >= m.verified_at - interval '1 minute'
             RETURNING m.member_id
         ), granted AS (
             INSERT INTO member_role (member_id, role, granted_at)
             SELECT member_id, $2, $3 FROM known
             ON CONFLICT ON CONSTRAINT member_role_pk DO NOTHING
         )
         SELECT member_id FROM known",
        email.as_str(),
        role,
        now,
    );
    query("member_grant", statement.fetch_optional(conn)).await
}

/// Takes a role from the member with this address. `None` when no member has both.
pub(crate) async fn revoke(
    tx: &mut PgConnection,
    email: &Email,
    role: &str,
) -> sqlx::Result<Option<Uuid>> {
    let statement = sqlx::query_scalar!(
        "WITH held AS (
             DELETE FROM member_role r USING member m
             WHERE m.email = $1 AND r.member_id = m.member_id AND r.role = $2
             RETURNING r.member_id
         )
         UPDATE member m SET version = version + 1 FROM held
         WHERE m.member_id = held.member_id
         RETURNING m.member_id",
        email.as_str(),
        role,
    );
    query("member_revoke", statement.fetch_optional(tx)).await
}

/// Renames a member and returns the new version. `None` when the version is not `seen` any more.
pub(crate) async fn rename(
    tx: &mut PgConnection,
    id: Uuid,
    name: &DisplayName,
    seen: i64,
) -> sqlx::Result<Option<i64>> {
    let statement = sqlx::query_scalar!(
        "UPDATE member SET display_name = $2, version = version + 1
         WHERE member_id = $1 AND version = $3
         RETURNING version",
        id,
        name.as_str(),
        seen,
    );
    query("member_rename", statement.fetch_optional(tx)).await
}

pub(crate) async fn by_email(conn: &mut PgConnection, email: &Email) -> sqlx::Result<Option<Uuid>> {
    let statement =
        sqlx::query_scalar!("SELECT member_id FROM member WHERE email = $1", email.as_str());
    query("member_by_email", statement.fetch_optional(conn)).await
}

/// Deletes up to `most` accounts that were not verified in time, and returns their number.
pub(crate) async fn delete_unverified(conn: &mut PgConnection, most: i32) -> sqlx::Result<u64> {
    let statement = sqlx::query_scalar!(r#"SELECT delete_unverified($1) AS "deleted!""#, most);
    Ok(query("member_delete_unverified", statement.fetch_one(conn)).await?.unsigned_abs())
}

/// Locks an account. True when it is disabled, `None` when there is none.
pub(crate) async fn lock(tx: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<bool>> {
    let statement = sqlx::query_scalar!(
        r#"SELECT disabled_at IS NOT NULL AS "disabled!" FROM member WHERE member_id = $1
           FOR NO KEY UPDATE"#,
        id,
    );
    query("member_lock", statement.fetch_optional(tx)).await
}

pub(crate) async fn set_disabled(
    tx: &mut PgConnection,
    id: Uuid,
    disabled: bool,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE member SET disabled_at = CASE WHEN $2 THEN now() END WHERE member_id = $1",
        id,
        disabled,
    );
    query("member_set_disabled", statement.execute(tx)).await.map(drop)
}

/// A member to write to.
pub(crate) struct Addressee {
    pub(crate) email: String,
    pub(crate) verified: bool,
    pub(crate) display_name: String,
}

/// Returns a member to write to, unless the account is disabled.
pub(crate) async fn addressee(
    conn: &mut PgConnection,
    id: Uuid,
) -> sqlx::Result<Option<Addressee>> {
    let statement = sqlx::query_as!(
        Addressee,
        r#"SELECT email, verified_at IS NOT NULL AS "verified!", display_name
           FROM member WHERE member_id = $1 AND disabled_at IS NULL"#,
        id,
    );
    query("member_addressee", statement.fetch_optional(conn)).await
}
