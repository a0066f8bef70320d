use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Severity, text};

/// A channel that people are notified through. Its name stands in metrics, configuration and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    SlackCritical,
    SlackAlerts,
    SlackGeneral,
    MailManagement,
    MailTeam,
    Sms,
    Ticket,
    Log,
}

impl Channel {
    pub const ALL: [Self; 8] = [
        Self::SlackCritical,
        Self::SlackAlerts,
        Self::SlackGeneral,
        Self::MailManagement,
        Self::MailTeam,
        Self::Sms,
        Self::Ticket,
        Self::Log,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlackCritical => "slack-critical",
            Self::SlackAlerts => "slack-alerts",
            Self::SlackGeneral => "slack-general",
            Self::MailManagement => "mail-management",
            Self::MailTeam => "mail-team",
            Self::Sms => "sms",
            Self::Ticket => "ticket",
            Self::Log => "log",
        }
    }
}

/// A name that no channel has.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown channel: expected slack-critical, slack-alerts, slack-general, mail-management, mail-team, sms, ticket or log"
)]
pub struct UnknownChannel;

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(name: &str) -> Result<Self, UnknownChannel> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name.trim()).ok_or(UnknownChannel)
    }
}

/// The channels of each severity, from P0 on. No set is empty: see [`Routes::try_new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes([BTreeSet<Channel>; 4]);

impl Routes {
    /// Fails, with the severity's name, when one has no channel, or one that is not in `working`.
    pub fn try_new(routes: [Vec<Channel>; 4], working: &[Channel]) -> Result<Self, String> {
        for (severity, channels) in Severity::ALL.into_iter().zip(&routes) {
            let severity = severity.as_str();
            if channels.is_empty() {
                return Err(format!("{severity} has no channel: nobody would be notified"));
            }
            if let Some(dead) = channels.iter().find(|channel| !working.contains(channel)) {
                let dead = dead.as_str();
                return Err(format!("{severity} goes to {dead}, which is not configured"));
            }
        }
        Ok(Self(routes.map(|channels| channels.into_iter().collect())))
    }

    /// Returns the channels of this severity.
    pub fn of(&self, severity: Severity) -> BTreeSet<Channel> {
        self.0[severity as usize].clone()
    }

    /// Returns the channels of this severity and of the next worse one, for an incident that has waited too long.
    pub fn escalated(&self, severity: Severity) -> BTreeSet<Channel> {
        self.of(severity).union(&self.0[severity.worse() as usize]).copied().collect()
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self(Severity::ALL.map(|_| BTreeSet::from([Channel::Log])))
    }
}

/// The kind of news in a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    Opened,
    Worse,
    /// A target was missed.
    Late,
    /// Still unacknowledged.
    Unanswered,
    Resolved,
    /// A rollback has ended, well or not.
    Rollback,
    /// An action is due.
    Action,
}

impl News {
    pub const ALL: [Self; 7] = [
        Self::Opened,
        Self::Worse,
        Self::Late,
        Self::Unanswered,
        Self::Resolved,
        Self::Rollback,
        Self::Action,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Worse => "worse",
            Self::Late => "late",
            Self::Unanswered => "unanswered",
            Self::Resolved => "resolved",
            Self::Rollback => "rollback",
            Self::Action => "action",
        }
    }

    /// Returns the name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Opened => "New incident",
            Self::Worse => "Severity raised",
            Self::Late => "Late: escalated",
            Self::Unanswered => "Still unacknowledged",
            Self::Resolved => "Resolved",
            Self::Rollback => "Rollback",
            Self::Action => "Action due",
        }
    }
}

/// A message as it is stored, before a channel formats it. Its texts are untrusted; each channel escapes them
/// itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub news: News,
    pub incident: Uuid,
    pub number: String,
    pub severity: Severity,
    pub title: String,
    pub service: String,
    /// Several lines: the event, and the next step.
    pub text: String,
}

impl Notice {
    /// Returns the subject, as one line.
    pub fn subject(&self) -> String {
        let Self { news, number, severity, title, .. } = self;
        let subject = format!("[{}] {number} {}: {title}", severity.as_str(), news.words());
        text::inert(&subject, 200).replace('\n', " ")
    }

    /// Returns the text, without control characters.
    pub fn body(&self) -> String {
        text::inert(&self.text, 2_500)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_that_nobody_would_hear_of_is_refused() {
        let log = || vec![Channel::Log];
        let working = [Channel::Log, Channel::Sms];
        let refusal = |routes| Routes::try_new(routes, &working).unwrap_err();
        assert!(refusal([log(), log(), vec![], log()]).starts_with("P2 has no channel"));
        let told = refusal([log(), vec![Channel::Sms, Channel::MailTeam], log(), log()]);
        assert_eq!(told, "P1 goes to mail-team, which is not configured");
        Routes::try_new([vec![Channel::Sms], log(), log(), log()], &working).unwrap();
    }

    #[test]
    fn what_waits_too_long_is_told_to_more_people() {
        let routes =
            [vec![Channel::Sms], vec![Channel::MailTeam], vec![Channel::Log], vec![Channel::Log]];
        let routes = Routes::try_new(routes, &Channel::ALL).unwrap();
        assert_eq!(routes.escalated(Severity::P0), routes.of(Severity::P0));
        assert_eq!(
            routes.escalated(Severity::P1),
            BTreeSet::from([Channel::MailTeam, Channel::Sms])
        );
    }

    #[test]
    fn a_subject_is_one_line_whatever_a_stranger_wrote() {
        let notice = Notice {
            news: News::Opened,
            incident: Uuid::nil(),
            number: "INC-2026-0001".to_owned(),
            severity: Severity::P0,
            title: "a\r\nBcc: all@example.com\u{1b}[31m\u{202e}\u{2028}".to_owned(),
            service: "points".to_owned(),
            text: "one\ntwo\u{1b}]0;x\u{7}".to_owned(),
        };
        let subject = notice.subject();
        assert!(!subject.contains(|c: char| c.is_control() || c == '\u{202e}' || c == '\u{2028}'));
        assert_eq!(notice.body(), "one\ntwo ]0;x ");
    }
}
