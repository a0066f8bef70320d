//! The members of merchants. Booking sends an event for each change, and points keeps a copy, so that it can
//! decide about a merchant's commands by itself, also while booking is away.

use kit::{inbox, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Points;
use crate::domain::{Actor, MemberId, MerchantId, MerchantRole};
use crate::error::Error;
use crate::store;

/// The consumer in the inbox, which takes each event once.
const CONSUMER: &str = "merchants";

/// A member's role at a merchant, from an event on.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    pub event: Uuid,
    pub merchant: MerchantId,
    pub member: MemberId,
    pub role: MerchantRole,
}

impl Points {
    /// Lets the member act for the merchant.
    pub async fn join(&self, joined: Membership) -> Result<(), Error> {
        let Membership { event, merchant, member, role } = joined;
        let mut tx = postgres::begin(&self.db).await?;
        if inbox::first_time(&mut tx, CONSUMER, event).await? {
            store::joined(&mut tx, merchant, member, role).await?;
        }
        postgres::commit(tx).await?;
        tracing::info!(merchant.id = %merchant.0, role = role.as_str(), "member joined the merchant");
        Ok(())
    }

    /// Ends the member's role at the merchant.
    pub async fn leave(&self, left: Membership) -> Result<(), Error> {
        let Membership { event, merchant, member, role } = left;
        let mut tx = postgres::begin(&self.db).await?;
        if inbox::first_time(&mut tx, CONSUMER, event).await? {
            store::left(&mut tx, merchant, member, role).await?;
        }
        postgres::commit(tx).await?;
        tracing::info!(merchant.id = %merchant.0, role = role.as_str(), "member left the merchant");
        Ok(())
    }
}

/// True unless a member acts who does not own the merchant.
pub(super) async fn is_owner(
    conn: &mut PgConnection,
    by: &Actor,
    merchant: MerchantId,
) -> Result<bool, Error> {
    has_role(conn, by, merchant, &[MerchantRole::Owner]).await
}

/// True unless a member acts who does not belong to the merchant.
pub(super) async fn is_member(
    conn: &mut PgConnection,
    by: &Actor,
    merchant: MerchantId,
) -> Result<bool, Error> {
    has_role(conn, by, merchant, &[MerchantRole::Owner, MerchantRole::Staff]).await
}

async fn has_role(
    conn: &mut PgConnection,
    by: &Actor,
    merchant: MerchantId,
    roles: &[MerchantRole],
) -> Result<bool, Error> {
    match by.member() {
        None => Ok(true),
        Some(member) => Ok(store::has_role(conn, merchant, member, roles).await?),
    }
}
