//! The owners and the staff of merchants. Points learns each change by an event, so that it knows who may act for a
//! merchant.

use kit::outbox::{self, Event};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{MERCHANT_REGISTERED, Membership, Owner, STAFF_LINKED, STAFF_UNLINKED};
use crate::store;

/// Merchants announced in one transaction.
const BATCH: i64 = 500;

/// Links a staff member with the member that they sign in as, or unlinks them. For the merchant's owner.
#[derive(Clone, Copy, Debug)]
pub struct LinkStaff {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub member_id: Option<Uuid>,
}

impl Bookings {
    /// Replaces the link. A repetition has no further effect.
    pub async fn link_staff(&self, wanted: LinkStaff) -> Result<(), Error> {
        let LinkStaff { owner, merchant_id, staff_id, member_id } = wanted;
        let mut tx = postgres::begin(&self.db).await?;
        // The lock keeps the events of a merchant in order.
        if !store::lock_merchant(&mut tx, owner.id(), merchant_id).await? {
            return Err(Error::UnknownStaff);
        }
        let staff = store::member_of_staff(&mut tx, merchant_id, staff_id).await?;
        let before = staff.ok_or(Error::UnknownStaff)?;
        if before == member_id {
            return Ok(());
        }
        let link = store::link_staff(&mut tx, merchant_id, staff_id, member_id).await;
        link.map_err(linked_already)?;
        for (kind, member) in [(STAFF_UNLINKED, before), (STAFF_LINKED, member_id)] {
            if let Some(member_id) = member {
                let membership = Membership { merchant_id, member_id };
                self.publish_membership(&mut tx, kind, membership).await?;
            }
        }
        postgres::commit(tx).await?;
        tracing::info!(merchant.id = %merchant_id, staff.id = %staff_id, "staff linked");
        Ok(())
    }

    /// Publishes an event in the transaction of the change.
    pub(super) async fn publish_membership(
        &self,
        conn: &mut PgConnection,
        kind: &str,
        membership: Membership,
    ) -> Result<(), Error> {
        let event = Event {
            id: self.clock.id(),
            aggregate: format!("merchant:{}", membership.merchant_id),
            kind: kind.to_owned(),
            payload: serde_json::json!(membership),
            occurred_at: self.clock.now(),
        };
        Ok(outbox::publish(conn, &event).await?)
    }

    /// Publishes the owners of merchants that an older version created without an event. Returns their number.
    pub async fn announce_merchants(&self) -> Result<usize, Error> {
        let mut total = 0;
        loop {
            let mut tx = postgres::begin(&self.db).await?;
            let announced = store::mark_announced(&mut tx, self.clock.now(), BATCH).await?;
            for (merchant_id, member_id) in announced.iter().copied() {
                let membership = Membership { merchant_id, member_id };
                self.publish_membership(&mut tx, MERCHANT_REGISTERED, membership).await?;
            }
            postgres::commit(tx).await?;
            if announced.is_empty() {
                return Ok(total);
            }
            total += announced.len();
        }
    }
}

fn linked_already(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("staff_one_per_member") => Error::StaffMemberTaken,
        _ => error.into(),
    }
}
