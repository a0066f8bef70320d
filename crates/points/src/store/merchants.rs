//! The members of merchants.

use kit::postgres;
use sqlx::PgConnection;

use crate::domain::{MemberId, MerchantId, MerchantRole};

pub(crate) async fn joined(
    conn: &mut PgConnection,
    merchant: MerchantId,
    member: MemberId,
    role: MerchantRole,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO merchant_member (merchant_id, member_id, role) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT merchant_member_pk DO NOTHING",
        merchant.0,
        member.0,
        role.as_str(),
    );
    postgres::query("merchant_joined", insert.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn left(
    conn: &mut PgConnection,
    merchant: MerchantId,
    member: MemberId,
    role: MerchantRole,
) -> sqlx::Result<()> {
    let delete = sqlx::query!(
        "DELETE FROM merchant_member WHERE merchant_id = $1 AND member_id = $2 AND role = $3",
        merchant.0,
        member.0,
        role.as_str(),
    );
    postgres::query("merchant_left", delete.execute(conn)).await?;
    Ok(())
}

/// True when a member has one of these roles at a merchant.
pub(crate) async fn has_role(
    conn: &mut PgConnection,
    merchant: MerchantId,
    member: MemberId,
    roles: &[MerchantRole],
) -> sqlx::Result<bool> {
    let roles: Vec<_> = roles.iter().map(|role| role.as_str().to_owned()).collect();
    let select = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM merchant_member
                          WHERE merchant_id = $1 AND member_id = $2 AND role = ANY ($3)) AS "is!""#,
        merchant.0,
        member.0,
        &roles,
    );
    postgres::query("merchant_role", select.fetch_one(conn)).await
}
