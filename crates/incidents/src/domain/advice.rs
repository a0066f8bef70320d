use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Severity, Texts};

/// A deployment within this time is the first suspect.
const FRESH: TimeDelta = TimeDelta::hours(1);

/// A way to end an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Stop all writes, before anything else.
    Contain,
    Rollback,
    Hotfix,
    Restart,
    Scale,
    /// Repair a dependency of the service.
    Dependency,
}

impl Repair {
    /// Returns the name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Contain => "Stop the writer",
            Self::Rollback => "Roll back",
            Self::Hotfix => "Fix and deploy",
            Self::Restart => "Restart",
            Self::Scale => "Scale up",
            Self::Dependency => "Repair the dependency",
        }
    }
}

/// One piece of advice with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Advice {
    pub repair: Repair,
    pub why: String,
    /// A warning to consider first.
    pub caution: Option<String>,
}

/// The kind of root cause, as far as an alert can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootCause {
    Code,
    Resources,
    Dependency,
    Data,
    Unknown,
}

/// The signals that advice is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals {
    pub cause: RootCause,
    pub severity: Severity,
    pub data_at_risk: bool,
    pub since_deployment: Option<TimeDelta>,
}

impl Signals {
    /// Reads labels and annotations, never free text: the label `root_cause`, else the rule's name;
    /// the label `data_at_risk`; the annotation `deployed_at`, in seconds since 1970.
    pub fn of<'a>(
        severity: Severity,
        alerts: impl Iterator<Item = (&'a Texts, &'a Texts)>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut signals = Self {
            cause: RootCause::Unknown,
            severity,
            data_at_risk: false,
            since_deployment: None,
        };
        for (labels, annotations) in alerts {
            let cause = cause(labels);
            if cause == RootCause::Data || signals.cause == RootCause::Unknown {
                signals.cause = cause;
            }
            signals.data_at_risk |= labels.get("data_at_risk").is_some_and(|text| text == "true");
            let at =
                annotations.get("deployed_at").and_then(|text| text.trim().parse::<f64>().ok());
            #[expect(clippy::cast_possible_truncation, reason = "a time in seconds, checked below")]
            let at = at.and_then(|seconds| DateTime::from_timestamp(seconds as i64, 0));
            let since = at.map(|at| now - at).filter(|since| *since >= TimeDelta::zero());
            signals.since_deployment =
                [signals.since_deployment, since].into_iter().flatten().min();
        }
        signals.data_at_risk |= signals.cause == RootCause::Data;
        signals
    }

    /// Returns at least one piece of advice, the one to try first at the front.
    pub fn advice(&self) -> Vec<Advice> {
        let fresh = self.since_deployment.filter(|since| *since <= FRESH);
        let mut advice = Vec::new();
        let mut give = |repair, why: String, caution: Option<&str>| {
            advice.push(Advice { repair, why, caution: caution.map(str::to_owned) });
        };
        if self.data_at_risk {
            let why = "Data is at risk: a stopped service is better than a wrong one.";
            give(Repair::Contain, why.to_owned(), Some("Announce it on the status page first."));
        }
        if let Some(since) = fresh
            && self.cause != RootCause::Dependency
        {
            let why = format!("A new version was deployed {} min ago.", since.num_minutes());
            let caution = "Check that the previous version runs on the current migrations.";
            give(Repair::Rollback, why, self.data_at_risk.then_some(caution));
        }
        match self.cause {
            RootCause::Resources => {
                give(
                    Repair::Scale,
                    "The service lacks capacity: more replicas help at once.".to_owned(),
                    None,
                );
                give(
                    Repair::Restart,
                    "A restart frees leaked resources for a while.".to_owned(),
                    None,
                );
            }
            RootCause::Dependency => {
                let why = "A dependency is down; no change to the service itself will help.";
                give(Repair::Dependency, why.to_owned(), None);
            }
            RootCause::Code if fresh.is_none() => {
                let why = "The code fails, and no deployment in the last hour explains it.";
                give(Repair::Hotfix, why.to_owned(), None);
            }
            RootCause::Code | RootCause::Data | RootCause::Unknown => {}
        }
        // A restart gains time, unless it would lose evidence or data.
        let urgent = self.severity <= Severity::P1 && !self.data_at_risk;
        if urgent && matches!(self.cause, RootCause::Code | RootCause::Unknown) {
            give(Repair::Restart, "A restart gains time to find the cause.".to_owned(), None);
        }
        if advice.is_empty() || (self.data_at_risk && fresh.is_none()) {
            let why = "Find the cause with the runbook, fix it, and deploy as usual.";
            advice.push(Advice { repair: Repair::Hotfix, why: why.to_owned(), caution: None });
        }
        advice
    }
}

fn cause(labels: &Texts) -> RootCause {
    let label = |name: &str| labels.get(name).map_or("", |text| text.trim());
    match label("root_cause") {
        "code" => return RootCause::Code,
        "resources" => return RootCause::Resources,
        "dependency" => return RootCause::Dependency,
        "data" => return RootCause::Data,
        _ => {}
    }
    match label("alertname") {
        "HighErrorRate"
        | "HighGrpcErrorRate"
        | "PanicDetected"
        | "HighBookingErrorRate"
        | "ServiceDown"
        | "RollbackErrors"
        | "RollbackLatency"
        | "RollbackUnhealthy" => RootCause::Code,
        "DatabaseConnectionsExhausted"
        | "HighLatency"
        | "HighP95Latency"
        | "HighConcurrencyConflicts"
        | "OutboxStalled"
        | "BookingInsertSlow" => RootCause::Resources,
        "PostgresDown" | "RedisDown" | "CircuitBreakerOpen" | "TargetDown" | "LineFailing" => {
            RootCause::Dependency
        }
        "InvariantViolation" | "BackupStale" | "WalArchiveStalled" => RootCause::Data,
        _ => RootCause::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repairs(
        cause: RootCause,
        severity: Severity,
        risk: bool,
        minutes: Option<i64>,
    ) -> Vec<Repair> {
        let since_deployment = minutes.map(TimeDelta::minutes);
        let signals = Signals { cause, severity, data_at_risk: risk, since_deployment };
        signals.advice().into_iter().map(|advice| advice.repair).collect()
    }

    #[test]
    fn advice_follows_from_what_is_known() {
        use Repair::{Contain, Dependency, Hotfix, Restart, Rollback, Scale};
        use RootCause::{Code, Data, Resources, Unknown};
        use Severity::{P0, P1, P2};
        for (cause, severity, risk, minutes, expected) in [
            (Code, P0, false, Some(10), vec![Rollback, Restart]),
            (Code, P0, false, Some(60), vec![Rollback, Restart]),
            (Code, P0, false, Some(61), vec![Hotfix, Restart]),
            (Code, P2, false, None, vec![Hotfix]),
            (Code, P0, true, Some(10), vec![Contain, Rollback]),
            (Data, P0, true, None, vec![Contain, Hotfix]),
            (Resources, P1, false, None, vec![Scale, Restart]),
            (Resources, P1, false, Some(5), vec![Rollback, Scale, Restart]),
            (RootCause::Dependency, P0, false, Some(5), vec![Dependency]),
            (Unknown, P2, false, None, vec![Hotfix]),
            (Unknown, P0, false, None, vec![Restart]),
        ] {
            let found = repairs(cause, severity, risk, minutes);
            assert_eq!(found, expected, "{cause:?} {severity:?} {risk} {minutes:?}");
        }
    }

    proptest! {
        #[test]
        fn there_is_always_advice_and_never_a_restart_where_data_is_at_risk(
            cause in 0_usize..5, severity in 0_usize..4, risk: bool, minutes in proptest::option::of(0_i64..200),
        ) {
            let causes = [RootCause::Code, RootCause::Resources, RootCause::Dependency, RootCause::Data, RootCause::Unknown];
            let found = repairs(causes[cause], Severity::ALL[severity], risk, minutes);
            prop_assert!(!found.is_empty());
            if risk && causes[cause] != RootCause::Resources {
                prop_assert!(found[0] == Repair::Contain && !found.contains(&Repair::Restart));
            }
        }

        #[test]
        fn whatever_a_stranger_wrote_there_is_advice(text: String) {
            let texts: Texts = ["root_cause", "alertname", "data_at_risk", "deployed_at"]
                .map(|name| (name.to_owned(), text.clone())).into();
            let signals = Signals::of(Severity::P0, [(&texts, &texts)].into_iter(), DateTime::UNIX_EPOCH);
            prop_assert!(!signals.advice().is_empty());
        }
    }
}
