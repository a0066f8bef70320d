//! Every movement of the ledger is explained by a command of somebody who may give it.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::records::{Records, Row, id, number};
use crate::cast::OPERATOR;
use crate::run::{Done, Run};

/// More than this share of a purchase nobody may give.
const MOST_PERCENT: i64 = 20;

/// The commands of this run at points, by what they did or may have done.
struct Commands<'a> {
    by_transfer: HashMap<&'a str, &'a Done>,
    by_hold: HashMap<String, &'a Done>,
    unknown: Vec<&'a Done>,
    used: HashSet<usize>,
}

/// A transfer and its member's side.
struct Movement<'a> {
    transfer: &'a Row,
    kind: String,
    account: String,
    amount: i64,
}

impl Run<'_> {
    pub fn judge_money(&mut self, records: &Records) {
        for wrong in &records.wrong {
            self.accuse("records", wrong.clone());
        }
        let members: HashSet<_> = self.cast.iter().filter_map(|p| p.member_id.clone()).collect();
        let ours = |account: &str| members.contains(&records.member_of_account(account));
        let mut commands = self.commands();
        let mut accused = self.unkept_receipts(records);
        for transfer in &records.transfers {
            let transfer_id = id(transfer, "transfer_id");
            let entries = records.entries.get(&transfer_id).into_iter().flatten();
            let sides: Vec<_> = entries.filter(|e| ours(&id(e, "account_id"))).collect();
            let payer = sides.iter().find(|e| number(e, "amount") < 0);
            let Some(side) = payer.or(sides.first()) else { continue };
            let movement = Movement {
                transfer,
                kind: id(transfer, "kind"),
                account: id(side, "account_id"),
                amount: number(side, "amount"),
            };
            if let Err(why) = self.explain(records, &mut commands, &movement) {
                let whose = self.name_of(&records.member_of_account(&movement.account));
                let Movement { kind, amount, .. } = &movement;
                accused.push((why, format!("{kind} of {amount} on {whose}'s account: {transfer}")));
            }
        }
        for (kind, what) in accused {
            self.accuse(kind, what);
        }
        self.judge_budget(records);
    }

    pub fn name_of(&self, member: &str) -> &'static str {
        let person = self.cast.iter().find(|p| p.member_id.as_deref() == Some(member));
        person.map_or("nobody", |person| person.name)
    }

    fn commands(&self) -> Commands<'_> {
        let api = &self.world.api;
        let sent = self.log.iter().filter(|done| {
            let route = &api.routes[done.route];
            route.service == "points" && route.changes_something()
        });
        let mut commands = Commands {
            by_transfer: HashMap::new(),
            by_hold: HashMap::new(),
            unknown: Vec::new(),
            used: HashSet::new(),
        };
        for done in sent {
            if let Some(transfer) = done.answer.body["transfer_id"].as_str() {
                commands.by_transfer.entry(transfer).or_insert(done);
            } else if done.is_unknown() {
                commands.unknown.push(done);
            }
            if done.granted() && api.routes[done.route].path.ends_with("/holds") {
                commands.by_hold.insert(id(&done.answer.body, "hold_id"), done);
            }
        }
        commands
    }

    /// Receipts that the ledger does not keep.
    fn unkept_receipts(&self, records: &Records) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let mut told: HashMap<&str, (&str, usize)> = HashMap::new();
        for done in self.log.iter().filter(|done| done.granted()) {
            let body = &done.answer.body;
            let (Some(entry), Some(transfer)) =
                (body["entry_id"].as_str(), body["transfer_id"].as_str())
            else {
                continue;
            };
            let key = done.key.as_deref().unwrap_or_default();
            let (first, who) = *told.entry(transfer).or_insert((key, done.who));
            if (first, who) != (key, done.who) {
                wrong.push(("one_effect_told_twice", format!("{body}")));
            }
            let entries = records.entries.get(transfer).into_iter().flatten();
            let kept = entries.into_iter().find(|e| e["entry_id"] == entry);
            let same = kept.is_some_and(|e| {
                e["balance"] == body["balance"] && e["account_version"] == body["version"]
            });
            if !same {
                wrong.push(("lost_receipt", format!("{body} is not in the ledger, but {kept:?}")));
            }
        }
        wrong
    }

    fn explain(
        &self,
        records: &Records,
        commands: &mut Commands<'_>,
        movement: &Movement<'_>,
    ) -> Result<(), &'static str> {
        match movement.kind.as_str() {
            "release" | "expire" => Ok(()),
            "earn" => self.explain_earning(records, commands, movement),
            "hold" | "capture" => self.explain_hold(records, commands, movement),
            "redeem" => self.by_payer(records, commands, movement, "/redemptions"),
            "transfer" => self.by_payer(records, commands, movement, "/transfers"),
            "reverse" => self.explain_reversal(records, commands, movement),
            _ => self.by_operator(commands, movement),
        }
    }

    fn find<'a>(
        &self,
        commands: &mut Commands<'a>,
        movement: &Movement<'_>,
        path: &str,
        fits: impl Fn(&Done) -> bool,
    ) -> Option<&'a Done> {
        let transfer = id(movement.transfer, "transfer_id");
        if let Some(done) = commands.by_transfer.get(transfer.as_str()) {
            return Some(done);
        }
        let found = commands.unknown.iter().enumerate().find(|(n, done)| {
            let route = &self.world.api.routes[done.route];
            !commands.used.contains(n) && route.path.ends_with(path) && fits(done)
        });
        let (n, done) = found?;
        commands.used.insert(n);
        Some(done)
    }

    /// Only whose account it is may spend from it.
    fn by_payer(
        &self,
        records: &Records,
        commands: &mut Commands<'_>,
        movement: &Movement<'_>,
        path: &str,
    ) -> Result<(), &'static str> {
        let points = movement.amount.abs();
        let done = self.find(commands, movement, path, |done| {
            done.path.first() == Some(&movement.account) && done.body["points"] == points
        });
        let done = done.ok_or("spent_by_nobody")?;
        let member = records.member_of_account(&movement.account);
        let is_payer = done.principal.as_ref() == Some(&member) || done.who == OPERATOR;
        // The receiver's side of a transfer is explained by the payer's command.
        if is_payer || (movement.kind == "transfer" && movement.amount > 0) {
            if done.body["points"] == points { Ok(()) } else { Err("another_amount") }
        } else {
            Err("spent_by_another")
        }
    }

    fn by_operator(
        &self,
        commands: &mut Commands<'_>,
        movement: &Movement<'_>,
    ) -> Result<(), &'static str> {
        let path = if movement.kind == "adjust" { "/adjustments" } else { "/reversal" };
        let done = self.find(commands, movement, path, |_| true).ok_or("corrected_by_nobody")?;
        if done.who == OPERATOR { Ok(()) } else { Err("corrected_by_another") }
    }

    fn explain_earning(
        &self,
        records: &Records,
        commands: &mut Commands<'_>,
        movement: &Movement<'_>,
    ) -> Result<(), &'static str> {
        let merchant = id(movement.transfer, "merchant_id");
        let member = records.member_of_account(&movement.account);
        if self.belongs_now(records, &member, &merchant) && self.was_calm_about(&merchant) {
            return Err("earned_at_ones_own");
        }
        let visit = self.explain_visit(records, movement, &merchant, &member);
        let told = commands.by_transfer.contains_key(id(movement.transfer, "transfer_id").as_str());
        if visit.is_ok() && !told {
            return Ok(());
        }
        let fits = |done: &Done| {
            let points = done.body["points"].as_i64();
            done.path.first() == Some(&movement.account)
                && done.body["merchant_id"] == merchant.as_str()
                && points.is_none_or(|points| points == movement.amount)
        };
        let is_entitled = |done: &Done| {
            let by = done.principal.clone().unwrap_or_default();
            done.who == OPERATOR || self.ever_belonged(records, &by, &merchant)
        };
        // Of the commands that nobody answered, one by somebody who may explains it better.
        let by_entitled =
            self.find(commands, movement, "/earnings", |done| fits(done) && is_entitled(done));
        let done = by_entitled.or_else(|| self.find(commands, movement, "/earnings", fits));
        let Some(done) = done else { return visit };
        if !is_entitled(done) {
            return Err("issued_by_another");
        }
        let limit = match (done.body["points"].as_i64(), done.body["purchase_minor"].as_i64()) {
            (Some(points), _) => points,
            (None, minor) => {
                let currency = done.body["currency"].as_str().unwrap_or("JPY");
                most(records, minor.unwrap_or(0), currency).ok_or("issued_without_a_worth")?
            }
        };
        if movement.amount > limit { Err("issued_beyond_its_bound") } else { Ok(()) }
    }

    /// A completed booking earns once, for its member, at its merchant.
    fn explain_visit(
        &self,
        records: &Records,
        movement: &Movement<'_>,
        merchant: &str,
        member: &str,
    ) -> Result<(), &'static str> {
        let reference = id(movement.transfer, "reference");
        let booking = reference.strip_prefix("booking:").and_then(|id| records.bookings.get(id));
        let booking = booking.ok_or("issued_by_nobody")?;
        let same = id(booking, "merchant_id") == merchant && id(booking, "member_id") == member;
        if !same || booking["status"] != "completed" {
            return Err("issued_by_nobody");
        }
        let twins = records.transfers.iter().filter(|t| {
            t["kind"] == "earn" && id(t, "reference") == reference && t["merchant_id"] == merchant
        });
        let by_event = twins.filter(|t| !self.is_by_hand(&id(t, "transfer_id")));
        if by_event.count() > 1 {
            return Err("earned_twice");
        }
        let paid = number(booking, "price_minor") - worth(booking);
        let currency = records.merchants.get(merchant).map(|m| id(m, "currency"));
        let limit = most(records, paid, &currency.unwrap_or_default());
        let limit = limit.ok_or("issued_without_a_worth")?;
        if movement.amount > limit { Err("issued_beyond_its_bound") } else { Ok(()) }
    }

    fn is_by_hand(&self, transfer: &str) -> bool {
        self.log.iter().any(|done| done.answer.body["transfer_id"] == transfer)
    }

    fn explain_hold(
        &self,
        records: &Records,
        commands: &mut Commands<'_>,
        movement: &Movement<'_>,
    ) -> Result<(), &'static str> {
        let hold = id(movement.transfer, "hold_id");
        let member = records.member_of_account(&movement.account);
        if let Some(saga) = records.sagas.iter().find(|saga| id(saga, "saga_id") == hold) {
            if id(saga, "member_id") != member {
                return Err("held_of_another");
            }
            let asked = self.log.iter().any(|done| {
                done.principal.as_ref() == Some(&member)
                    && done.path.first() == Some(&id(saga, "booking_id"))
                    && done.body["points"] == saga["points"]
            });
            return match (asked, movement.kind.as_str()) {
                (false, _) => Err("paid_by_nobody"),
                (true, "hold") if -movement.amount != number(saga, "points") => {
                    Err("another_amount_held")
                }
                _ => Ok(()),
            };
        }
        if movement.kind == "hold" {
            let by = commands.by_hold.get(&hold).copied();
            let done = by.or_else(|| {
                self.find(commands, movement, "/holds", |done| {
                    done.path.first() == Some(&movement.account)
                        && done.body["points"] == movement.amount.abs()
                })
            });
            let done = done.ok_or("held_by_nobody")?;
            let own = done.principal.as_ref() == Some(&member) || done.who == OPERATOR;
            return if own { Ok(()) } else { Err("held_by_another") };
        }
        let done = self.find(commands, movement, "/capture", |d| d.path.first() == Some(&hold));
        let done = done.ok_or("captured_by_nobody")?;
        let merchant = id(&records.holds[&hold], "merchant_id");
        let by = done.principal.clone().unwrap_or_default();
        let may = done.who == OPERATOR || self.ever_belonged(records, &by, &merchant);
        if may { Ok(()) } else { Err("captured_by_another") }
    }

    fn explain_reversal(
        &self,
        records: &Records,
        commands: &mut Commands<'_>,
        movement: &Movement<'_>,
    ) -> Result<(), &'static str> {
        let original = id(movement.transfer, "reverses");
        let of = |transfer: &&Row| id(transfer, "transfer_id") == original;
        let hold = records.transfers.iter().find(of).map(|t| id(t, "hold_id")).unwrap_or_default();
        let saga = records.sagas.iter().find(|saga| id(saga, "saga_id") == hold);
        match saga {
            Some(saga) if ["reversing", "reversed"].contains(&&*id(saga, "state")) => Ok(()),
            _ => self.by_operator(commands, movement),
        }
    }

    fn judge_budget(&mut self, records: &Records) {
        let set = self.log.iter().filter(|done| {
            done.granted() && self.world.api.routes[done.route].path.ends_with("/issuance")
        });
        let budgets: HashMap<String, i64> = set
            .filter_map(|done| Some((done.path[0].clone(), done.body["budget_points"].as_i64()?)))
            .collect();
        for (merchant, budget) in budgets {
            let issued = records
                .transfers
                .iter()
                .filter(|t| t["kind"] == "earn" && t["merchant_id"] == merchant.as_str());
            let sum: i64 = issued
                .flat_map(|t| records.entries.get(&id(t, "transfer_id")).into_iter().flatten())
                .filter(|entry| !entry["account_id"].is_null())
                .map(|entry| number(entry, "amount"))
                .sum();
            if sum > budget {
                self.accuse("budget_exceeded", format!("{merchant} gave away {sum} of {budget}"));
            }
        }
    }

    pub fn belongs_now(&self, records: &Records, member: &str, merchant: &str) -> bool {
        let belongs =
            |row: &Row| id(row, "merchant_id") == merchant && id(row, "member_id") == member;
        records.belongs.iter().any(belongs)
    }

    /// Nobody came to this merchant, or left it, after the set-up.
    fn was_calm_about(&self, merchant: &str) -> bool {
        let moved = self.log.iter().filter(|done| done.at.step > self.set_up);
        !moved.clone().any(|done| {
            let route = &self.world.api.routes[done.route];
            route.changes_something() && route.path.ends_with("/member") && done.path[0] == merchant
        }) && self.places.values().any(|place| self.resolve(place) == Some(Value::from(merchant)))
    }

    pub fn ever_belonged(&self, records: &Records, member: &str, merchant: &str) -> bool {
        let owner = records.merchants.get(merchant).is_some_and(|m| id(m, "owner_id") == member);
        let owned = self.log.iter().any(|done| {
            done.answer.body["merchant_id"] == merchant
                && self.world.api.routes[done.route].name() == "POST /v1/merchants"
                && done.principal.as_deref() == Some(member)
        });
        let joined = self.log.iter().any(|done| {
            let route = &self.world.api.routes[done.route];
            (done.granted() || done.is_unknown())
                && done.path.first().map(String::as_str) == Some(merchant)
                && ["/member", "/owner", "/staff"].iter().any(|end| route.path.ends_with(end))
                && done.body["member_id"] == member
        });
        owner || owned || joined || self.belongs_now(records, member, merchant)
    }
}

/// What points paid of a booking's price.
pub fn worth(booking: &Row) -> i64 {
    let value = booking["points_value_minor"].as_i64();
    value.unwrap_or_else(|| number(booking, "points_paid"))
}

/// The most points that a purchase may give; None where points are worth nothing in its currency.
fn most(records: &Records, minor: i64, currency: &str) -> Option<i64> {
    let share = minor * MOST_PERCENT / 100;
    if currency == "JPY" {
        return Some(share);
    }
    let tender = records.tenders.get(currency)?;
    let (unit, minor) = (number(tender, "points"), number(tender, "minor"));
    i64::try_from(i128::from(share) * i128::from(unit) / i128::from(minor)).ok()
}
