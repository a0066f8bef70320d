//! Who belongs to a merchant: its owner, and staff who sign in. Points is told of each change by an event, so
//! that it knows who may act for whom.

use chrono::{DateTime, Utc};
use kit::outbox::{self, Event};
use kit::{command, postgres};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bookings, Error, Owner};
use crate::store;

/// The kinds of events that tell of it.
pub const MERCHANT_REGISTERED: &str = "merchant.registered";
pub const OWNER_LEFT: &str = "owner.left";
pub const STAFF_LINKED: &str = "staff.linked";
pub const STAFF_UNLINKED: &str = "staff.unlinked";

/// How many merchants from before are told of in one transaction.
const BATCH: i64 = 500;

/// Their payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belonging {
    pub merchant_id: Uuid,
    /// The owner, or the member that the person signs in as.
    pub member_id: Uuid,
}

/// Says which member a person signs in as, or that they do no longer. Only the merchant's owner may.
#[derive(Clone, Copy, Debug)]
pub struct LinkStaff {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub member_id: Option<Uuid>,
}

impl Bookings {
    /// Saying it twice changes nothing.
    pub async fn link_staff(&self, wanted: LinkStaff) -> Result<(), Error> {
        let this = self.clone();
        command::run(async move { this.link(wanted).await }).await
    }

    async fn link(&self, wanted: LinkStaff) -> Result<(), Error> {
        let LinkStaff { owner, merchant_id, staff_id, member_id } = wanted;
        let mut tx = postgres::begin(&self.db).await?;
        // What is told of a merchant is told in the order in which it happened.
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
                self.tell_belonging(&mut tx, kind, Belonging { merchant_id, member_id }).await?;
            }
        }
        postgres::commit(tx).await?;
        tracing::info!(merchant.id = %merchant_id, staff.id = %staff_id, "staff linked");
        Ok(())
    }

    /// Puts the event into the transaction of what it tells of.
    pub(super) async fn tell_belonging(
        &self,
        tx: &mut PgConnection,
        kind: &str,
        belonging: Belonging,
    ) -> Result<(), Error> {
        Ok(outbox::publish(tx, &event(self.clock.id(), self.clock.now(), kind, belonging)).await?)
    }

    /// Tells of the merchants that nobody was told of: those from before there was anybody to tell.
    /// Returns how many.
    pub async fn tell_of_merchants(&self) -> Result<usize, Error> {
        let mut told = 0;
        loop {
            let mut tx = postgres::begin(&self.db).await?;
            let untold = store::mark_untold(&mut tx, self.clock.now(), BATCH).await?;
            for (merchant_id, member_id) in &untold {
                let (merchant_id, member_id) = (*merchant_id, *member_id);
                let belonging = Belonging { merchant_id, member_id };
                self.tell_belonging(&mut tx, MERCHANT_REGISTERED, belonging).await?;
            }
            postgres::commit(tx).await?;
            if untold.is_empty() {
                return Ok(told);
            }
            told += untold.len();
        }
    }
}

fn event(id: Uuid, now: DateTime<Utc>, kind: &str, belonging: Belonging) -> Event {
    Event {
        id,
        aggregate: format!("merchant:{}", belonging.merchant_id),
        kind: kind.to_owned(),
        payload: serde_json::json!(belonging),
        occurred_at: now,
    }
}

fn linked_already(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("staff_one_per_member") => Error::StaffMemberTaken,
        _ => error.into(),
    }
}
