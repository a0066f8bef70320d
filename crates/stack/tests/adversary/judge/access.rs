//! Whoever was let in may be there: by docs/access.md.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::records::{Records, id};
use crate::cast::OPERATOR;
use crate::run::{Done, Run};

impl Run<'_> {
    pub fn judge_access(&mut self, records: &Records) {
        let mut accused = Vec::new();
        // What is queued has not been looked at yet.
        let granted = |done: &&Done| done.granted() && done.answer.status != Some(202);
        for done in self.log.iter().filter(granted) {
            let route = &self.world.api.routes[done.route];
            // What opens with a code, a password or a credential is judged where these are.
            if route.is_open {
                if route.path == "/v1/alerts" && done.who != OPERATOR {
                    accused.push(("let_in", format!("{} sent an alert", self.cast[done.who].name)));
                }
                continue;
            }
            // `me` in place of an id is another route.
            if done.path.iter().any(|part| part == "me") {
                continue;
            }
            let Some(cells) = self.world.access.get(&(route.service.to_owned(), route.name()))
            else {
                continue;
            };
            // Where the table's own example is refused to everybody, it says nothing.
            if !cells.keys().any(|column| lets_in(cells, column)) {
                continue;
            }
            let columns = self.columns(records, done);
            if !columns.iter().any(|column| lets_in(cells, column)) {
                let who = self.cast[done.who].name;
                let what = format!(
                    "{who} ({columns:?}) was let in: {} {} {:?} {}",
                    route.service,
                    route.name(),
                    done.path,
                    done.body
                );
                accused.push(("let_in", what));
            }
            if let Some(what) = self.foreign_booking(records, done) {
                accused.push(("foreign_data", what));
            }
        }
        for (kind, what) in accused {
            self.accuse(kind, what);
        }
    }

    /// The kinds of caller that this one is, by roles and by whose thing it is.
    fn columns(&self, records: &Records, done: &Done) -> BTreeSet<&'static str> {
        let mut columns = BTreeSet::new();
        let Some(member) = &done.principal else { return BTreeSet::from(["nobody"]) };
        for role in &done.roles {
            columns.insert(match *role {
                "merchant_admin" => "merchant",
                role => role,
            });
        }
        let route = &self.world.api.routes[done.route];
        let slots = route.slots();
        let kinds: Vec<_> = slots.iter().map(|slot| route.kind_of(slot)).collect();
        let named = id(&done.body, "merchant_id");
        if !named.is_empty() && self.ever_belonged(records, member, &named) {
            columns.insert("shop");
        }
        // The first id says whose the thing is; the others lie within it.
        let Some((kind, object)) = kinds.first().zip(done.path.first()) else {
            columns.insert("owner");
            return columns;
        };
        let (owner, merchant) = self.whose(records, kind, object);
        if owner.as_deref() == Some(member) {
            columns.insert("owner");
        }
        if merchant.is_some_and(|merchant| self.ever_belonged(records, member, &merchant)) {
            columns.insert("shop");
        }
        columns
    }

    /// The member and the merchant of a thing.
    fn whose(
        &self,
        records: &Records,
        kind: &str,
        object: &str,
    ) -> (Option<String>, Option<String>) {
        let merchant_of = |row: &Value| {
            let merchant = id(row, "merchant_id");
            (!merchant.is_empty()).then_some(merchant)
        };
        match kind {
            "booking_id" => match records.bookings.get(object) {
                Some(row) => (Some(id(row, "member_id")), merchant_of(row)),
                None => (None, None),
            },
            // Whoever sells may give points to any account.
            "account_id" => (Some(records.member_of_account(object)), None),
            "hold_id" => match records.holds.get(object) {
                Some(row) => {
                    let account = id(row, "account_id");
                    (Some(records.member_of_account(&account)), merchant_of(row))
                }
                None => (None, None),
            },
            "merchant_id" => (None, Some(object.to_owned())),
            "rule_id" => {
                let rule = records.rules.iter().find(|rule| id(rule, "rule_id") == object);
                (None, rule.and_then(merchant_of))
            }
            "session_id" => {
                let session = records.sessions.iter().find(|s| id(s, "session_id") == object);
                (session.map(|session| id(session, "member_id")), None)
            }
            "queued_id" => {
                let told = self.log.iter().find(|done| done.answer.body["queued_id"] == object);
                (told.and_then(|done| done.principal.clone()), None)
            }
            _ => (None, None),
        }
    }

    /// A booking in an answer that is neither the caller's own nor of a merchant of theirs.
    fn foreign_booking(&self, records: &Records, done: &Done) -> Option<String> {
        let route = &self.world.api.routes[done.route];
        if route.service != "booking" || done.who == OPERATOR {
            return None;
        }
        let member = done.principal.as_ref()?;
        let items = done.answer.body["items"].as_array().into_iter().flatten();
        let mut all = items
            .chain([&done.answer.body])
            .filter(|item| item["booking_id"].is_string() && item["member_id"].is_string());
        let foreign = all.find(|item| {
            id(item, "member_id") != *member
                && !self.ever_belonged(records, member, &id(item, "merchant_id"))
        })?;
        let who = self.cast[done.who].name;
        Some(format!("{} {} told {who} of {foreign}", route.service, route.name()))
    }
}

/// Also a refusal for another reason than who asks.
fn lets_in(cells: &HashMap<String, String>, column: &str) -> bool {
    let cell = cells.get(column).map(String::as_str).unwrap_or_default();
    let status = cell.split(' ').next().and_then(|status| status.parse::<u16>().ok());
    status.is_some_and(|status| matches!(status, 200..400 | 409 | 412 | 422 | 503))
}
