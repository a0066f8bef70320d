//! What a caller may ask of the calendar: one file per use case.

mod add_service;
mod add_staff;
mod archive;
mod belonging;
mod book;
mod by;
mod cancel;
mod catalog;
mod close;
mod close_merchant;
mod complete;
mod confirm;
mod create_merchant;
mod edit_service;
mod error;
mod expire;
mod get;
mod guard;
mod hand_over;
mod hold;
mod house;
mod join_line;
mod line;
mod list;
mod no_show;
mod notify;
mod offer_services;
mod pay;
mod replica;
mod reschedule;
mod rezone;
mod saga;
mod sagas;
mod seed;
mod set_hours;
mod slots;

pub use add_service::AddService;
pub use add_staff::{AddStaff, Staff};
pub use belonging::{
    Belonging, LinkStaff, MERCHANT_REGISTERED, OWNER_LEFT, STAFF_LINKED, STAFF_UNLINKED,
};
pub use book::Book;
pub(crate) use book::Wish;
pub use by::{By, Owner};
pub use catalog::{PageQuery, ServicePage, StaffPage, StaffWithServices};
pub use close::{Close, Closure, ClosurePage};
pub use close_merchant::ClosedMerchant;
pub use complete::{BOOKING_COMPLETED, BookingCompleted};
pub use create_merchant::{CreateMerchant, Merchant};
pub use edit_service::EditService;
pub use error::Error;
pub use hand_over::{HandOver, HandedOver};
pub use hold::Hold;
pub use line::{Notification, Notifications};
pub(crate) use list::Place;
pub use list::{Filter, List, Page};
pub use offer_services::{OfferServices, StaffServices};
pub use pay::Pay;
pub use replica::Seen;
pub use reschedule::Reschedule;
pub use rezone::{Moved, Rezoned, Unmended};
pub use sagas::{SagaFilter, SagaPage, SagaStep, SagaView, SagaWithSteps};
pub use set_hours::SetHours;
pub(crate) use slots::Bookable;
pub use slots::{FindSlots, Slot, Slots};

use std::sync::Arc;

use self::guard::Guard;
use self::replica::Replica;
use kit::Clock;
use kit::redis::Redis;
use sqlx::PgPool;

use crate::config::Config;
use crate::domain::Currency;
use crate::metrics;
use crate::peers::{self, Grants, Line, NoGrants, Pace, Points};
use crate::seal::Seal;

/// The calendar. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Bookings {
    db: PgPool,
    clock: Clock,
    points: Arc<dyn Points>,
    grants: Arc<dyn Grants>,
    /// In which a point is worth one minor unit.
    points_currency: Currency,
    guard: Guard,
    /// How many slots a member may hold at the same time.
    holds_per_member: u32,
    /// How many bookings and holds a member may have ahead of them at merchants of others.
    bookings_per_member: u32,
    /// Without it every list comes from the primary.
    replica: Option<Replica>,
    /// Without it no merchant can connect a channel, and no token can be read.
    seal: Option<Arc<Seal>>,
    /// Without it nobody is told.
    line: Option<(Line, Pace)>,
}

impl Bookings {
    pub fn new(db: PgPool, clock: Clock, points: Arc<dyn Points>) -> Self {
        metrics::register();
        Self {
            db,
            clock,
            points,
            grants: Arc::new(NoGrants),
            points_currency: Currency::default(),
            guard: Guard::assumed(),
            holds_per_member: 10,
            bookings_per_member: 50,
            replica: None,
            seal: None,
            line: None,
        }
    }

    /// As an operator wants it.
    pub fn configured(
        db: PgPool,
        (points, grants): (Arc<dyn Points>, Arc<dyn Grants>),
        redis: &Redis,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let this = Self::new(db, Clock::system(), points).reading(config.replica()?);
        let this = this.allowing(config.holds_per_member, config.bookings_per_member);
        let this = this.paying(grants, config.points_currency.clone());
        Ok(this.sealing(config.line.seal()?).telling(peers::line(&config.line, redis)?))
    }

    /// The same, with auth, which signs for members who pay, and the currency in which a point is worth one minor
    /// unit.
    #[must_use]
    pub fn paying(self, grants: Arc<dyn Grants>, points_currency: Currency) -> Self {
        Self { grants, points_currency, ..self }
    }

    /// The same, with LINE to send by.
    #[must_use]
    pub fn telling(self, line: (Line, Pace)) -> Self {
        Self { line: Some(line), ..self }
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
