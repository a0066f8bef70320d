//! Who may act for a merchant. Booking knows, and tells us with an event for each change; we keep a copy, so
//! that what a merchant asks for is decided here, and also while booking is away.

use kit::{command, inbox, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Points};
use crate::domain::{Actor, MemberId, MerchantId, MerchantRole};
use crate::store;

/// Whose events are heard once.
const CONSUMER: &str = "merchants";

/// What a member is to a merchant, from an event on.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    /// The event that says so.
    pub event: Uuid,
    pub merchant: MerchantId,
    pub member: MemberId,
    pub role: MerchantRole,
}

impl Points {
    /// They may act for the merchant from now on.
    pub async fn join(&self, told: Membership) -> Result<(), Error> {
        let points = self.clone();
        command::run(async move {
            let mut tx = postgres::begin(&points.db).await?;
            if inbox::first_time(&mut tx, CONSUMER, told.event).await? {
                store::joined(&mut tx, told.merchant, told.member, told.role).await?;
            }
            postgres::commit(tx).await?;
            tracing::info!(merchant.id = %told.merchant.0, role = told.role.as_str(), "joined");
            Ok(())
        })
        .await
    }

    /// And no more.
    pub async fn leave(&self, told: Membership) -> Result<(), Error> {
        let points = self.clone();
        command::run(async move {
            let mut tx = postgres::begin(&points.db).await?;
            if inbox::first_time(&mut tx, CONSUMER, told.event).await? {
                store::left(&mut tx, told.merchant, told.member, told.role).await?;
            }
            postgres::commit(tx).await?;
            tracing::info!(merchant.id = %told.merchant.0, role = told.role.as_str(), "left");
            Ok(())
        })
        .await
    }
}

/// Refuses whoever is not the merchant's owner.
pub(super) async fn owned(
    conn: &mut PgConnection,
    by: &Actor,
    merchant: MerchantId,
) -> Result<(), Error> {
    permit(conn, by, merchant, &[MerchantRole::Owner]).await
}

/// Refuses whoever does not belong to the merchant.
pub(super) async fn sold(
    conn: &mut PgConnection,
    by: &Actor,
    merchant: MerchantId,
) -> Result<(), Error> {
    permit(conn, by, merchant, &[MerchantRole::Owner, MerchantRole::Staff]).await
}

async fn permit(
    conn: &mut PgConnection,
    by: &Actor,
    merchant: MerchantId,
    roles: &[MerchantRole],
) -> Result<(), Error> {
    let permitted = match by.member() {
        None => true,
        Some(member) => store::role_in(conn, merchant, member, roles).await?,
    };
    if permitted { Ok(()) } else { Err(Error::NotFound) }
}
