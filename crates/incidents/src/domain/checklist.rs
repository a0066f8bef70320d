use super::Severity;

/// One item of a checklist, and its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// A stable name that ticks refer to.
    pub item: &'static str,
    pub phase: &'static str,
    pub text: &'static str,
}

const fn check(item: &'static str, phase: &'static str, text: &'static str) -> Check {
    Check { item, phase, text }
}

const FIRST: &str = "0–15 min";
const THEN: &str = "15–60 min";
const LATER: &str = "1–2 h";

const P0: [Check; 14] = [
    check("acknowledge", FIRST, "Acknowledge the incident, so that nobody is paged again"),
    check("commander", FIRST, "Name the commander, who decides and does not debug"),
    check("leads", FIRST, "Name a technical and a communications lead"),
    check("impact", FIRST, "Say who is affected and since when"),
    check("runbook", FIRST, "Open the alert's runbook"),
    check("first_update", FIRST, "First update to members, merchants and management"),
    check("recent_change", THEN, "Look at what changed in the last hour; roll it back if in doubt"),
    check("mitigate", THEN, "Stop the harm before looking for the cause"),
    check("evidence", THEN, "Keep logs, traces and graphs of the time before it"),
    check("updates", THEN, "An update every 15 minutes, also when there is nothing new"),
    check("verify", LATER, "Verify the fix with numbers, not by looking once"),
    check("data", LATER, "Check the data: balances reconciled, no double bookings"),
    check("all_clear", LATER, "All clear to everybody who was told"),
    check("postmortem", LATER, "Book the postmortem within two working days"),
];

const P1: [Check; 7] = [
    check("acknowledge", FIRST, "Acknowledge the incident"),
    check("commander", FIRST, "Name the commander"),
    check("runbook", FIRST, "Open the alert's runbook"),
    check("recent_change", THEN, "Look at what changed in the last hour; roll it back if in doubt"),
    check("updates", THEN, "Keep the status page and the team up to date"),
    check("verify", LATER, "Verify the fix with numbers, not by looking once"),
    check("postmortem", LATER, "Book the postmortem within the week"),
];

const LESSER: [Check; 3] = [
    check("acknowledge", FIRST, "Acknowledge the incident"),
    check("runbook", THEN, "Follow the alert's runbook"),
    check("verify", LATER, "Verify that it is over"),
];

/// Returns the items for an incident of this severity, in order.
pub fn checklist(severity: Severity) -> &'static [Check] {
    match severity {
        Severity::P0 => &P0,
        Severity::P1 => &P1,
        Severity::P2 | Severity::P3 => &LESSER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ticked_stays_ticked_when_it_gets_worse() {
        for pair in [Severity::P3, Severity::P2, Severity::P1, Severity::P0].windows(2) {
            for check in checklist(pair[0]) {
                assert!(checklist(pair[1]).iter().any(|c| c.item == check.item), "{}", check.item);
            }
        }
    }
}
