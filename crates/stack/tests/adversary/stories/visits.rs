use serde_json::{Value, json};

use crate::cast::{ANN, BEN, MEMBERS};
use crate::draw::Style;
use crate::fault::Fault;
use crate::run::Run;
use crate::step::{At, Key, Step};

const CONFIRM: &str = "POST /v1/bookings/{booking_id}/confirm";

impl Run<'_> {
    /// Held, confirmed or paid, and then moved, completed, cancelled or left.
    pub async fn visit(&mut self) {
        let who = *self.dice.pick(&[ANN, BEN]);
        let (owner, shop) = self.shop();
        let booking = self.hold(who, &shop).await;
        self.noise(1).await;
        let is_dark = self.dice.chance(35);
        if is_dark {
            let fault = Fault::draw(&mut self.dice);
            self.inflict(fault).await;
        }
        let points =
            if self.dice.chance(75) { json!(self.dice.range(1, 900)) } else { Value::Null };
        let hints = [("booking_id", booking.clone()), ("points", points)];
        let paid = self.ask(who, "booking", CONFIRM, &hints).await;
        self.noise(if is_dark { 3 } else { 1 }).await;
        self.heal().await;
        if is_dark {
            // Whatever was said: the same again with the same key.
            self.same_again(paid).await;
        }
        self.end_of_visit(who, owner, booking).await;
    }

    /// The same call under the same key.
    pub async fn same_again(&mut self, at: At) {
        let step = self.trace.iter().find(|(n, _)| *n == at.step).map(|(_, step)| step.clone());
        if let Some(Step::Calls(mut calls)) = step {
            let mut call = calls.swap_remove(at.call);
            (call.key, call.must) = (Key::Of(at), &[]);
            self.step(Step::Calls(vec![call])).await;
        }
    }

    async fn end_of_visit(&mut self, who: usize, owner: usize, booking: Value) {
        let hints = [("booking_id", booking.clone())];
        let path = |what: &str| format!("POST /v1/bookings/{{booking_id}}/{what}");
        match self.dice.roll(6) {
            0 => drop(self.ask(who, "booking", &path("reschedule"), &hints).await),
            1 => drop(self.ask(owner, "booking", &path("no-show"), &hints).await),
            2 => self.at_once(&booking, who, owner).await,
            3 => {
                self.ask(who, "booking", &path("cancel"), &hints).await;
                self.ask(who, "booking", &path("cancel"), &hints).await;
            }
            _ => {
                self.ask(owner, "booking", &path("complete"), &hints).await;
                // A second time, under another key, and by somebody else.
                self.ask(owner, "booking", &path("complete"), &hints).await;
                self.ask(who, "booking", &path("complete"), &hints).await;
            }
        }
        self.ask(who, "booking", "GET /v1/bookings/{booking_id}", &hints).await;
    }

    /// The member cancels while the merchant completes, and pays while it is cancelled.
    async fn at_once(&mut self, booking: &Value, who: usize, owner: usize) {
        let hints = [("booking_id", booking.clone()), ("points", json!(100))];
        let mut calls = Vec::new();
        for (by, what) in
            [(who, "cancel"), (owner, "complete"), (who, "confirm"), (owner, "cancel")]
        {
            let name = format!("POST /v1/bookings/{{booking_id}}/{what}");
            if let Some(route) = self.world.api.find("booking", &name) {
                calls.push(self.draw(by, route, Style::Valid, &hints));
            }
        }
        self.step(Step::Together(calls)).await;
    }

    /// Somebody pays while booking cannot reach points, and looks around before it can again.
    pub async fn paid_in_the_dark(&mut self) {
        for _ in 0..2 {
            let who = *self.dice.pick(&[ANN, BEN]);
            let (_, shop) = self.shop();
            let booking = self.hold(who, &shop).await;
            let fault = *self.dice.pick(&[
                Fault::Cut("booking", "points"),
                Fault::Hang("booking", "points"),
                Fault::Cut("booking", "points"),
            ]);
            self.inflict(fault).await;
            let hints = [("booking_id", booking), ("points", json!(self.dice.range(100, 900)))];
            let paid = self.ask(who, "booking", CONFIRM, &hints).await;
            self.probes(9).await;
            self.heal().await;
            self.same_again(paid).await;
        }
    }

    /// Booked at once, without a hold; whoever was told of it tries what they can.
    pub async fn walk(&mut self) {
        let who = *self.dice.pick(&MEMBERS);
        let (owner, shop) = self.shop();
        let booked = self.ask(who, "booking", "POST /v1/bookings", &shop).await;
        self.ask(who, "booking", "GET /v1/merchants/{merchant_id}/slots", &shop).await;
        let booking = crate::step::reference(booked, "/booking_id");
        self.probes(3).await;
        self.ask(who, "booking", "GET /v1/bookings", &[("status", Value::Null)]).await;
        self.ask(owner, "booking", "GET /v1/bookings", &[("status", Value::Null)]).await;
        self.end_of_visit(who, owner, booking).await;
    }
}
