//! The console's forms.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use kit::{ApiError, FieldError, Kind};
use uuid::Uuid;

use super::actions::{long_text, short_text};
use super::follow_up::new_action;
use crate::app::Action;
use crate::domain::{NewAction, Priority, Role, Severity, Status};

/// Proof that a form came from one of our own pages: no other site may use a session.
pub(super) struct SameOrigin;

impl<S: Send + Sync> FromRequestParts<S> for SameOrigin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let ours = match (header("sec-fetch-site"), header(ORIGIN.as_str())) {
            (Some(site), _) => site == "same-origin",
            (None, Some(origin)) => {
                origin.split_once("://").map(|(_, host)| host) == header(HOST.as_str())
            }
            (None, None) => false,
        };
        if ours {
            return Ok(Self);
        }
        Err(ApiError::new(Kind::Forbidden, "foreign_form", "the form came from another site"))
    }
}

pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn read(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Returns the field, or an empty string.
    pub(super) fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// Parses the field as an id.
    pub(super) fn id(&self, field: &str) -> Result<Uuid, ApiError> {
        self.get(field).parse().map_err(|_| wrong(field))
    }

    /// Returns the page that the form names to go back to, if it is a known one.
    pub(super) fn back<'a>(&'a self, otherwise: &'a str) -> &'a str {
        if self.get("back") == "/console/actions" { "/console/actions" } else { otherwise }
    }

    pub(super) fn new_action(&self) -> Result<NewAction, ApiError> {
        let priority = Priority::ALL.into_iter().find(|p| p.as_str() == self.get("priority"));
        let priority = priority.ok_or_else(|| wrong("priority"))?;
        let due = self.get("due").parse().map_err(|_| wrong("due"))?;
        new_action(self.get("text"), priority, self.get("assignee"), due)
    }

    /// Returns a text that is equal for equal fields.
    pub(super) fn canonical(&self) -> String {
        format!("{:?}", self.0)
    }

    /// Parses the form named `what` into an action.
    pub(super) fn action(&self, what: &str) -> Result<Action, ApiError> {
        match what {
            "acknowledge" => Ok(Action::Acknowledge),
            "status" => {
                let note = Some(self.get("note")).filter(|note| !note.trim().is_empty());
                let note = note.map(|note| long_text("note", note)).transpose()?;
                let to: Status = self.get("status").parse().map_err(|_| wrong("status"))?;
                Ok(Action::Move { to, note })
            }
            "severity" => {
                let severity = self.get("severity").parse();
                let severity: Severity = severity.map_err(|_| wrong("severity"))?;
                Ok(Action::Classify { severity, reason: short_text("reason", self.get("reason"))? })
            }
            "comment" => Ok(Action::Comment(long_text("text", self.get("text"))?)),
            "role" => {
                let role = Role::ALL.into_iter().find(|role| role.as_str() == self.get("role"));
                let role = role.ok_or_else(|| wrong("role"))?;
                Ok(Action::Assign { role, holder: short_text("holder", self.get("holder"))? })
            }
            "service" => Ok(Action::Affect(short_text("service", self.get("service"))?)),
            "check" => {
                let item = self.get("item").to_owned();
                Ok(Action::Tick { item, done: self.get("done") == "true" })
            }
            _ => Err(ApiError::new(Kind::NotFound, "not_found", "form not found")),
        }
    }
}

fn wrong(field: &str) -> ApiError {
    let message = "must be one of the choices".to_owned();
    ApiError::invalid(vec![FieldError { field: field.to_owned(), code: "invalid_value", message }])
}
