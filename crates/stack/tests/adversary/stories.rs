//! Sequences that lead deep, with random steps in between.

mod accounts;
mod ledger;
mod merchants;
mod visits;

use serde_json::Value;

use crate::cast::{OLGA, OTTO};
use crate::fault::Fault;
use crate::run::Run;
use crate::step::{At, Step, reference};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    Visit,
    PaidInTheDark,
    Walk,
    Ledger,
    Holds,
    Rules,
    Queued,
    Sessions,
    Refresh,
    Passwords,
    Guessed,
    Hijack,
    Line,
    Staff,
    Closures,
    Own,
    Budget,
    Alerts,
    RoleTaken,
}

impl Story {
    pub const ALL: [Self; 19] = [
        Self::PaidInTheDark,
        Self::Ledger,
        Self::Hijack,
        Self::Visit,
        Self::Holds,
        Self::Sessions,
        Self::Walk,
        Self::Alerts,
        Self::Refresh,
        Self::Own,
        Self::Queued,
        Self::Line,
        Self::Staff,
        Self::Rules,
        Self::Closures,
        Self::Guessed,
        Self::Passwords,
        Self::Budget,
        Self::RoleTaken,
    ];
}

impl Run<'_> {
    pub async fn tell(&mut self, story: Story) {
        self.story = self.trace.last().map_or(0, |(last, _)| last + 1);
        match story {
            Story::Visit => self.visit().await,
            Story::PaidInTheDark => self.paid_in_the_dark().await,
            Story::Walk => self.walk().await,
            Story::Ledger => self.ledger().await,
            Story::Holds => self.holds().await,
            Story::Rules => self.rules().await,
            Story::Queued => self.queued().await,
            Story::Sessions => self.session_ends().await,
            Story::Refresh => self.refreshed_twice().await,
            Story::Passwords => self.passwords().await,
            Story::Guessed => self.guessed().await,
            Story::Hijack => self.hijack().await,
            Story::Line => self.line().await,
            Story::Staff => self.staff().await,
            Story::Closures => self.closures().await,
            Story::Own => self.own_merchant().await,
            Story::Budget => self.budget().await,
            Story::Alerts => self.alerts().await,
            Story::RoleTaken => self.role_taken().await,
        }
    }

    pub async fn inflict(&mut self, fault: Fault) {
        self.step(Step::Break(fault)).await;
    }

    pub async fn heal(&mut self) {
        if self.is_broken {
            self.step(Step::Mend).await;
        }
    }

    pub fn granted(&self, at: At) -> bool {
        self.answers.contains_key(&at)
    }

    /// A shop: its number, its owner, hints that name it.
    pub fn shop(&mut self) -> (usize, Vec<(&'static str, Value)>) {
        let first = self.dice.chance(75);
        let (owner, n) = if first { (OLGA, "1") } else { (OTTO, "2") };
        let names =
            if n == "1" { ["m1", "service1", "staff1"] } else { ["m2", "service2", "staff2"] };
        let [merchant, service, staff] = names.map(|name| self.place(name));
        (owner, vec![("merchant_id", merchant), ("service_id", service), ("staff_id", staff)])
    }

    /// A slot that is held, and its booking.
    pub async fn hold(&mut self, who: usize, shop: &[(&'static str, Value)]) -> Value {
        let at = self.ask(who, "booking", "POST /v1/holds", shop).await;
        reference(at, "/booking_id")
    }
}
