//! What was refused left nothing behind; what was granted is there, once.

use std::collections::HashSet;

use super::records::{Records, Row, id};
use crate::run::Run;

impl Run<'_> {
    pub fn judge_effects(&mut self, records: &Records) {
        let bookings: Vec<Row> = records.bookings.values().cloned().collect();
        let merchants: Vec<Row> = records.merchants.values().cloned().collect();
        let made: [(&str, &[&str], &[Row]); 6] = [
            ("booking_id", &["POST /v1/holds", "POST /v1/bookings"], &bookings),
            ("merchant_id", &["POST /v1/merchants"], &merchants),
            ("staff_id", &["POST /v1/merchants/{merchant_id}/staff"], &records.staff),
            ("service_id", &["POST /v1/merchants/{merchant_id}/services"], &records.services),
            ("closure_id", &["POST /v1/merchants/{merchant_id}/closures"], &records.closures),
            ("rule_id", &["POST /v1/merchants/{id}/conversion-rules"], &records.rules),
        ];
        for (key, routes, rows) in made {
            self.judge_made(records, key, routes, rows);
        }
    }

    fn judge_made(&mut self, records: &Records, key: &str, routes: &[&str], rows: &[Row]) {
        let api = &self.world.api;
        let made_here = |done: &&crate::run::Done| {
            let route = &api.routes[done.route];
            routes.contains(&route.name().as_str()) && route.service != "points"
                || routes.contains(&route.name().as_str()) && key == "rule_id"
        };
        let made: Vec<_> = self.log.iter().filter(made_here).collect();
        let mut told: HashSet<String> =
            made.iter().filter(|d| d.granted()).map(|d| id(&d.answer.body, key)).collect();
        told.remove("");
        let unknown = made.iter().filter(|done| done.is_unknown()).count();
        let there: HashSet<String> = rows.iter().map(|row| id(row, key)).collect();
        let mut accused = Vec::new();
        let taken_back = self.taken_back();
        for lost in told.difference(&there).filter(|lost| !taken_back.contains(*lost)) {
            accused.push(("lost_effect", format!("{key} {lost} was granted and is not there")));
        }
        let ours = rows.iter().filter(|row| self.is_ours(records, key, row));
        let extra: Vec<_> = ours.map(|row| id(row, key)).filter(|id| !told.contains(id)).collect();
        if extra.len() > unknown {
            let what = format!("{key} {extra:?} exist, and {unknown} commands may have made one");
            accused.push(("effect_of_nobody", what));
        }
        for (kind, what) in accused {
            self.accuse(kind, what);
        }
    }

    /// The things whose removal somebody asked for and nobody refused. A rule that is ended before it
    /// begins never was.
    fn taken_back(&self) -> HashSet<String> {
        let removes = [
            "DELETE /v1/merchants/{merchant_id}/closures/{closure_id}",
            "POST /v1/conversion-rules/{id}/end",
        ];
        let route = |done: &crate::run::Done| self.world.api.routes[done.route].name();
        let asked = self.log.iter().filter(|done| removes.contains(&route(done).as_str()));
        let done = asked.filter(|done| done.granted() || done.is_unknown());
        done.filter_map(|done| done.path.last().cloned()).collect()
    }

    /// A thing of this cast.
    fn is_ours(&self, records: &Records, key: &str, row: &Row) -> bool {
        let member = |column: &str| {
            let whose = id(row, column);
            self.cast.iter().any(|p| p.member_id.as_deref() == Some(&whose))
        };
        match key {
            "booking_id" => member("member_id"),
            "merchant_id" => member("owner_id"),
            _ => records.merchants.get(&id(row, "merchant_id")).is_some_and(|merchant| {
                let owner = id(merchant, "owner_id");
                self.cast.iter().any(|p| p.member_id.as_deref() == Some(&owner))
            }),
        }
    }
}
