//! The use cases of the calendar, one file each. Read [`Bookings::hold`] first: it is the textbook.

mod add_service;
mod add_staff;
mod archive;
mod book;
mod cancel;
mod catalog;
mod catch_up;
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
mod join_line;
mod limits;
mod line;
mod list;
mod membership;
mod no_show;
mod notify;
mod offer_services;
mod one_statement;
mod pay;
mod publish;
mod replica;
mod reschedule;
mod rezone;
mod saga;
mod sagas;
mod seed;
mod set_hours;
mod slots;
mod take_slot;

pub use add_service::AddService;
pub use add_staff::AddStaff;
pub use book::Book;
pub use catalog::PageQuery;
pub use close::Close;
pub use create_merchant::CreateMerchant;
pub use edit_service::EditService;
pub use error::Error;
pub use hand_over::HandOver;
pub use hold::Hold;
pub use list::List;
pub use membership::LinkStaff;
pub use offer_services::OfferServices;
pub use pay::Pay;
pub use replica::Seen;
pub use reschedule::Reschedule;
pub use rezone::{Moved, Rezone, Rezoned, Unmended};
pub use set_hours::SetHours;
pub use slots::FindSlots;

use std::sync::Arc;

use kit::Clock;
use sqlx::PgPool;

use self::guard::Guard;
use self::replica::Replica;
use crate::domain::Currency;
use crate::metrics;
use crate::peers::{Grants, Line, NoGrants, Pace, Points};
use crate::seal::Seal;

/// The calendar. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Bookings {
    db: PgPool,
    clock: Clock,
    points: Arc<dyn Points>,
    grants: Arc<dyn Grants>,
    /// The currency in which a point is worth one minor unit.
    points_currency: Currency,
    guard: Guard,
    /// Slots that a member may hold at the same time.
    holds_per_member: u32,
    /// Bookings and holds that a member may have ahead at merchants of others.
    bookings_per_member: u32,
    /// Without it, every list comes from the primary.
    replica: Option<Replica>,
    /// Without it, merchants cannot connect a LINE channel.
    seal: Option<Arc<Seal>>,
    /// Without it, no messages are sent.
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

    /// Takes payments with points: with auth, which signs grants, and the currency in which a point is worth one minor
    /// unit.
    #[must_use]
    pub fn with_grants(self, grants: Arc<dyn Grants>, points_currency: Currency) -> Self {
        Self { grants, points_currency, ..self }
    }

    /// Sends messages by LINE.
    #[must_use]
    pub fn with_line(self, line: (Line, Pace)) -> Self {
        Self { line: Some(line), ..self }
    }

    /// Limits the slots that a member may hold at the same time, and the bookings that they may have ahead.
    #[must_use]
    pub fn with_limits(self, holds_per_member: u32, bookings_per_member: u32) -> Self {
        Self { holds_per_member, bookings_per_member, ..self }
    }

    /// Encrypts the tokens of merchants' LINE channels with this seal.
    #[must_use]
    pub fn with_seal(self, seal: Option<Seal>) -> Self {
        Self { seal: seal.map(Arc::new), ..self }
    }
}
