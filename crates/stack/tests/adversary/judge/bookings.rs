//! Bookings, their payments and the ledger agree.

use super::money::worth;
use super::records::{Records, Row, id, number};
use crate::run::Run;

/// What points knows of a payment.
struct Payment {
    held: i64,
    captured: i64,
    state: String,
    captures: usize,
    reversals: usize,
    member: String,
}

impl Run<'_> {
    pub fn judge_bookings(&mut self, records: &Records) {
        for saga in &records.sagas {
            if let Some(wrong) = disagreement(records, saga) {
                let payment = payment(records, &id(saga, "saga_id"));
                let points = payment
                    .map(|p| format!("held {}, captured {}, {}", p.held, p.captured, p.state));
                let booking = &records.bookings[&id(saga, "booking_id")];
                let what = format!(
                    "{wrong}: booking {} says {} and {} points paid; saga {} of {} points is {}; points says {points:?}",
                    id(booking, "booking_id"),
                    id(booking, "status"),
                    number(booking, "points_paid"),
                    id(saga, "saga_id"),
                    number(saga, "points"),
                    id(saga, "state"),
                );
                self.accuse("payment_disagrees", what);
            }
        }
        for (booking_id, booking) in &records.bookings {
            let paid = number(booking, "points_paid");
            let saga = records.sagas.iter().find(|saga| id(saga, "booking_id") == *booking_id);
            if paid != 0 && saga.is_none_or(|saga| number(saga, "points") != paid) {
                self.accuse(
                    "payment_disagrees",
                    format!("{paid} points paid by nobody: {booking}"),
                );
            }
            let merchant = records.merchants.get(&id(booking, "merchant_id"));
            let currency = merchant.map(|merchant| id(merchant, "currency")).unwrap_or_default();
            let value = records.value_of(paid, &currency);
            if paid != 0 && value != Some(worth(booking)) {
                let what = format!("{paid} points are worth {value:?} {currency}: {booking}");
                self.accuse("paid_without_a_worth", what);
            }
            if worth(booking) > number(booking, "price_minor") {
                self.accuse("paid_without_a_worth", format!("more than the price: {booking}"));
            }
            self.judge_status(records, booking_id, booking);
        }
        self.judge_completed(records);
    }

    /// A status that only certain people can bring about was brought about by one of them.
    fn judge_status(&mut self, records: &Records, booking_id: &str, booking: &Row) {
        let end = match booking["status"].as_str().unwrap_or_default() {
            "completed" => "/complete",
            "no_show" => "/no-show",
            _ => return,
        };
        let merchant = id(booking, "merchant_id");
        let by_seller = self.log.iter().any(|done| {
            let route = &self.world.api.routes[done.route];
            let member = done.principal.clone().unwrap_or_default();
            route.path.ends_with(end)
                && done.path.first().map(String::as_str) == Some(booking_id)
                && (done.granted() || done.is_unknown())
                && self.ever_belonged(records, &member, &merchant)
        });
        let ours = self.cast.iter().any(|p| p.member_id == Some(id(booking, "member_id")));
        if ours && !by_seller {
            self.accuse("status_by_nobody", format!("nobody of the merchant did it: {booking}"));
        }
    }

    /// Where nothing stands against it, a completed booking has earned.
    fn judge_completed(&mut self, records: &Records) {
        for (booking_id, booking) in &records.bookings {
            let (merchant, member) = (id(booking, "merchant_id"), id(booking, "member_id"));
            let plain = records.merchants.get(&merchant).is_some_and(|m| m["currency"] == "JPY")
                && !records.rules.iter().any(|rule| id(rule, "merchant_id") == merchant)
                && !self.ever_belonged(records, &member, &merchant);
            let paid = number(booking, "price_minor") - worth(booking);
            if booking["status"] != "completed" || !plain || paid < 100 {
                continue;
            }
            let reference = format!("booking:{booking_id}");
            let earned = records.transfers.iter().any(|t| id(t, "reference") == reference);
            if !earned && !records.wrong.iter().any(|wrong| wrong.contains("given up")) {
                self.accuse("never_earned", format!("{booking}"));
            }
        }
    }
}

fn payment(records: &Records, saga: &str) -> Option<Payment> {
    let hold = records.holds.get(saga)?;
    let of_hold = || records.transfers.iter().filter(|t| id(t, "hold_id") == saga);
    let captures: Vec<_> = of_hold().filter(|t| t["kind"] == "capture").collect();
    let is_reversal = |t: &&Row| captures.iter().any(|c| c["transfer_id"] == t["reverses"]);
    Some(Payment {
        held: number(hold, "amount"),
        captured: number(hold, "captured"),
        state: id(hold, "state"),
        captures: captures.len(),
        reversals: records.transfers.iter().filter(is_reversal).count(),
        member: records.member_of_account(&id(hold, "account_id")),
    })
}

fn disagreement(records: &Records, saga: &Row) -> Option<&'static str> {
    let booking = records.bookings.get(&id(saga, "booking_id"))?;
    let is_on = ["confirmed", "completed", "no_show"].contains(&&*id(booking, "status"));
    let points = number(saga, "points");
    let payment = payment(records, &id(saga, "saga_id"));
    if id(saga, "member_id") != id(booking, "member_id") {
        return Some("another member pays");
    }
    if is_on && number(booking, "points_paid") == points {
        let Some(payment) = payment else { return Some("confirmed, and nothing was held") };
        return match payment {
            Payment { captured, .. } if captured != points => Some("confirmed, and not paid"),
            Payment { member, .. } if member != id(booking, "member_id") => {
                Some("another member paid")
            }
            Payment { captures: 1, reversals: 0, .. } => None,
            _ => Some("confirmed, and not paid once"),
        };
    }
    if is_on {
        return Some("confirmed with another number of points than it was paid with");
    }
    let needs_attention = !saga["needs_attention_at"].is_null();
    match (payment, needs_attention) {
        (_, true) | (None, _) => None,
        (Some(payment), false) => {
            let given_back = payment.state != "active" && payment.captures == payment.reversals;
            (!given_back).then_some("the booking is off, and its points are not given back")
        }
    }
}
