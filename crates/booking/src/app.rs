//! What a caller may ask of the calendar: one file per use case.

mod add_service;
mod add_staff;
mod book;
mod cancel;
mod catalog;
mod close;
mod complete;
mod confirm;
mod create_merchant;
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
mod reschedule;
mod saga;
mod sagas;
mod set_hours;
mod slots;

pub use add_service::AddService;
pub use add_staff::{AddStaff, Staff};
pub use book::Book;
pub use catalog::{PageQuery, ServicePage, StaffPage, StaffWithServices};
pub use close::{Close, Closure, ClosurePage};
pub use complete::{BOOKING_COMPLETED, BookingCompleted};
pub use create_merchant::{CreateMerchant, Merchant};
pub use error::Error;
pub use hold::Hold;
pub use line::{Notification, Notifications};
pub(crate) use list::Place;
pub use list::{Filter, List, Page};
pub use offer_services::{OfferServices, StaffServices};
pub use pay::{Pay, Pending};
pub use reschedule::Reschedule;
pub use sagas::{SagaFilter, SagaPage, SagaStep, SagaView, SagaWithSteps};
pub use set_hours::SetHours;
pub(crate) use slots::Bookable;
pub use slots::{FindSlots, Slot, Slots};

use std::sync::Arc;

use self::guard::Guard;
use kit::Clock;
use sqlx::PgPool;

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
    /// Without it no merchant can connect a channel, and no token can be read.
    seal: Option<Arc<Seal>>,
}

impl Bookings {
    pub fn new(db: PgPool, clock: Clock, points: Arc<dyn Points>) -> Self {
        metrics::register();
        Self { db, clock, points, guard: Guard::assumed(), seal: None }
    }

    /// The same, with LINE: tokens are kept under this seal.
    #[must_use]
    pub fn sealing(self, seal: Option<Seal>) -> Self {
        Self { seal: seal.map(Arc::new), ..self }
    }
}
