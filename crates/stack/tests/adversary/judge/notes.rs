//! What was told to people, and to the public.

use std::collections::HashMap;

use super::records::{Records, Row, id};
use crate::run::Run;

impl Run<'_> {
    /// No message contradicts what the member knows, and none is sent twice.
    pub fn judge_notes(&mut self, records: &Records) {
        let mut of_booking: HashMap<String, Vec<&Row>> = HashMap::new();
        for note in &records.notifications {
            of_booking.entry(id(note, "booking_id")).or_default().push(note);
        }
        let mut accused = Vec::new();
        for (booking, notes) in &of_booking {
            let sent: Vec<_> = notes.iter().filter(|note| note["status"] == "sent").collect();
            let over = notes.iter().find(|note| note["kind"] == "cancelled");
            for note in &sent {
                // Times of one database, as text in one form: they sort as they are.
                let late = over.is_some_and(|over| {
                    note["kind"] != "cancelled"
                        && id(note, "settled_at") > id(over, "settled_at")
                        && !id(over, "settled_at").is_empty()
                        && over["status"] == "sent"
                });
                if late {
                    accused.push(format!(
                        "booking {booking}: `{}` was sent after `cancelled`",
                        id(note, "kind")
                    ));
                }
                let same = sent.iter().filter(|other| {
                    other["kind"] == note["kind"] && other["starts_at"] == note["starts_at"]
                });
                if same.count() > 1 {
                    accused
                        .push(format!("booking {booking}: `{}` was sent twice", id(note, "kind")));
                }
            }
            let status = records.bookings.get(booking).map(|b| id(b, "status")).unwrap_or_default();
            if ["held", "expired"].contains(&&*status) && !sent.is_empty() {
                accused.push(format!(
                    "booking {booking} is {status}, and its member was told otherwise"
                ));
            }
        }
        for what in accused {
            self.accuse("told_wrongly", what);
        }
        if records.rollbacks > 0 {
            self.accuse(
                "rolled_back",
                format!("{} rollbacks, and nobody may ask for one", records.rollbacks),
            );
        }
    }

    /// What a stranger told Alertmanager is not on the public page.
    pub async fn judge_forged(&mut self) {
        if self.forged.is_empty() {
            return;
        }
        for path in ["/", "/v1/status"] {
            let url = self.world.bench.url("incidents", path);
            let Ok(answer) = self.world.client.get(url).send().await else { continue };
            let text = answer.text().await.unwrap_or_default();
            if let Some(forged) = self.forged.iter().find(|forged| text.contains(*forged)) {
                self.accuse("stranger_on_the_status_page", format!("{path} shows {forged:?}"));
            }
        }
    }
}
