//! The editor of a postmortem.

use maud::{Markup, html};
use uuid::Uuid;

use super::frame::{layout, nav, severity, state, time};
use crate::domain::Status;
use crate::view::{IncidentDetail, Postmortem};

pub(crate) fn postmortem(detail: &IncidentDetail, text: &Postmortem, key: Uuid) -> Markup {
    let incident = &detail.incident;
    let page = format!("/console/incidents/{}", incident.incident_id);
    let closable = incident.status == Status::Resolved;
    let content = html! {
        div.title {
            div.row {
                (severity(incident.severity)) a.number href=(page) { (incident.number) }
                (state(incident.status))
            }
            h1 { "Postmortem" }
            p.quiet {
                @match text.edited_at {
                    Some(at) => { "Version " (text.version) ", edited " (time(at)) },
                    None => "Made from the record. Edit it to add the answers.",
                }
            }
        }
        form.stack.editor method="post" action={ (page) "/postmortem" } {
            input type="hidden" name="key" value=(key);
            input type="hidden" name="version" value=(text.version);
            label { "Markdown" textarea name="body" rows="32" maxlength="40000" spellcheck="true" required { "\n" (text.body) } }
            div.row {
                button.primary name="done" value="false" { "Save" }
                @if closable { button name="done" value="true" { "Save and close the incident" } }
                a.button href={ (page) "/postmortem.md" } download { "Download" }
            }
        }
    };
    layout("Postmortem", &nav("/console"), &content)
}
