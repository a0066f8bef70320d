//! What a caller may ask of the calendar: one file per use case.

mod add_service;
mod add_staff;
mod archive;
mod belonging;
mod book;
mod cancel;
mod catalog;
mod close;
mod complete;
mod confirm;
mod create_merchant;
mod edit_service;
mod error;
mod expire;
mod get;
mod guard;
mod hold;
mod house;
mod line;
mod list;
mod no_show;
mod notify;
mod offer_services;
mod pay;
mod replica;
mod reschedule;
mod saga;
mod sagas;
mod seed;
mod set_hours;
mod slots;

pub use add_service::AddService;
pub use add_staff::{AddStaff, Staff};
pub use belonging::{Belonging, LinkStaff, MERCHANT_REGISTERED, STAFF_LINKED, STAFF_UNLINKED};
pub use book::Book;
pub use catalog::{PageQuery, ServicePage, StaffPage, StaffWithServices};
pub use close::{Close, Closure, ClosurePage};
pub use complete::{BOOKING_COMPLETED, BookingCompleted};
pub use create_merchant::{CreateMerchant, Merchant};
pub use edit_service::EditService;
pub use error::Error;
pub use hold::Hold;
pub use line::{Notification, Notifications};
pub(crate) use list::Place;
pub use list::{Filter, List, Page};
pub use offer_services::{OfferServices, StaffServices};
pub use pay::{Pay, Pending};
pub use replica::Seen;
pub use reschedule::Reschedule;
pub use sagas::{SagaFilter, SagaPage, SagaStep, SagaView, SagaWithSteps};
pub use set_hours::SetHours;
pub(crate) use slots::Bookable;
pub use slots::{FindSlots, Slot, Slots};

use std::sync::Arc;

use self::guard::Guard;
use self::replica::Replica;
use kit::Clock;
use sqlx::PgPool;

use crate::config::Config;
use crate::metrics;
use crate::peers::Points;
use crate::seal::Seal;

/// The calendar. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Bookings {
    db: PgPool,
    clock: Clock,
    points: Arc<dyn Points>,
    guard: Guard,
    /// How many slots a member may hold at the same time.
    holds_per_member: u32,
    /// How many bookings and holds a member may have ahead of them at merchants of others.
    bookings_per_member: u32,
    /// Without it every list comes from the primary.
    replica: Option<Replica>,
    /// Without it no merchant can connect a channel, and no token can be read.
    seal: Option<Arc<Seal>>,
}

impl Bookings {
    pub fn new(db: PgPool, clock: Clock, points: Arc<dyn Points>) -> Self {
        metrics::register();
        Self {
            db,
            clock,
            points,
            guard: Guard::assumed(),
            holds_per_member: 10,
            bookings_per_member: 50,
            replica: None,
            seal: None,
        }
    }

    /// As an operator wants it.
    pub fn configured(
        db: PgPool,
        points: Arc<dyn Points>,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let this = Self::new(db, Clock::system(), points).reading(config.replica()?);
        let this = this.allowing(config.holds_per_member, config.bookings_per_member);
        Ok(this.sealing(config.line.seal()?))
    }

    /// The same, with other numbers of slots that a member may hold at the same time, and of bookings that
    /// they may have ahead of them.
    #[must_use]
    pub fn allowing(self, holds_per_member: u32, bookings_per_member: u32) -> Self {
        Self { holds_per_member, bookings_per_member, ..self }
    }

    /// The same, with LINE: tokens are kept under this seal.
    #[must_use]
    pub fn sealing(self, seal: Option<Seal>) -> Self {
        Self { seal: seal.map(Arc::new), ..self }
    }
}
