use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use kit::{ApiError, FieldError, Kind};
use uuid::Uuid;

/// Proof that a form came from one of our own pages: no other site may use a session.
pub struct SameOrigin;

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

/// The fields of a form.
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// Parses `application/x-www-form-urlencoded`.
    pub fn read(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Returns the field, or an empty string.
    pub fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// Parses the field as an id.
    pub fn id(&self, field: &str) -> Result<Uuid, ApiError> {
        self.get(field).parse().map_err(|_| not_a_choice(field))
    }

    /// Returns a text that is equal for equal fields.
    pub fn canonical(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Returns the error of a field that is not one of its choices.
pub fn not_a_choice(field: &str) -> ApiError {
    let message = "must be one of the choices".to_owned();
    ApiError::invalid(vec![FieldError { field: field.to_owned(), code: "invalid_value", message }])
}
