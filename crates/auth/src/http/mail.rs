//! Codes sent by mail: to verify an address, and to choose a new password.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Response};
use kit::ApiError;
use kit::command::Answer;
use kit::error::Fields;
use kit::http::{Command, IdempotencyKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::client::{self, RequestClient};
use crate::app::{Accepted, Auth, Done, Proof, Proven};
use crate::domain::{Client, Code, Email, Password, Purpose};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressBody {
    #[schema(format = "email", max_length = 254)]
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyBody {
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// The code from the mail.
    #[schema(value_type = String, max_length = 11)]
    code: SecretString,
    /// The password from now on; it replaces the one of the registration. 8 characters to 1024 bytes of any Unicode.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: SecretString,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetBody {
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// The code from the mail.
    #[schema(value_type = String, max_length = 11)]
    code: SecretString,
    /// 8 characters to 1024 bytes of any Unicode.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    new_password: SecretString,
}

/// Sends a code to verify an address. The answer does not tell whether a member has the address.
#[utoipa::path(
    post, path = "/v1/verification/resend", request_body = AddressBody,
    responses((status = 202, body = Accepted)),
    params(IdempotencyKey), security(()),
)]
pub(super) async fn resend(
    State(auth): State<Auth>,
    RequestClient(client): RequestClient,
    Command { key, body }: Command<AddressBody>,
) -> Result<Answer<Accepted>, ApiError> {
    Ok(auth.request_code(Purpose::Verify, body.email()?, client, key).await?)
}

/// Verifies an address with a code from a mail, sets the password sent with it, and ends all sessions: the account
/// belongs to the reader of the mailbox, and somebody else may have registered it.
#[utoipa::path(
    post, path = "/v1/verification", request_body = VerifyBody,
    responses((status = 200, body = Done)),
    params(IdempotencyKey), security(()),
)]
pub(super) async fn verify(
    State(auth): State<Auth>,
    RequestClient(client): RequestClient,
    Command { key, body }: Command<VerifyBody>,
) -> Result<Response, ApiError> {
    let VerifyBody { email, code, password } = body;
    let proof = proof(Purpose::Verify, &email, &code, ("password", password), client)?;
    Ok(answered(auth.prove(proof, key).await?))
}

/// Sends a code to choose a new password. The answer does not tell whether a member has the address.
#[utoipa::path(
    post, path = "/v1/password/forgot", request_body = AddressBody,
    responses((status = 202, body = Accepted)),
    params(IdempotencyKey), security(()),
)]
pub(super) async fn forgot(
    State(auth): State<Auth>,
    RequestClient(client): RequestClient,
    Command { key, body }: Command<AddressBody>,
) -> Result<Answer<Accepted>, ApiError> {
    Ok(auth.request_code(Purpose::Reset, body.email()?, client, key).await?)
}

/// Chooses a new password with a code from a mail, and ends all sessions.
#[utoipa::path(
    post, path = "/v1/password/reset", request_body = ResetBody,
    responses((status = 200, body = Done)),
    params(IdempotencyKey), security(()),
)]
pub(super) async fn reset(
    State(auth): State<Auth>,
    RequestClient(client): RequestClient,
    Command { key, body }: Command<ResetBody>,
) -> Result<Response, ApiError> {
    let ResetBody { email, code, new_password } = body;
    let proof = proof(Purpose::Reset, &email, &code, ("new_password", new_password), client)?;
    Ok(answered(auth.prove(proof, key).await?))
}

impl AddressBody {
    fn email(&self) -> Result<Email, ApiError> {
        let mut fields = Fields::new();
        let email = fields.check("email", "invalid_email", Email::parse(&self.email));
        fields.done(|| email)
    }
}

fn proof(
    purpose: Purpose,
    email: &str,
    code: &SecretString,
    (field, password): (&'static str, SecretString),
    client: Client,
) -> Result<Proof, ApiError> {
    let mut fields = Fields::new();
    let email = fields.check("email", "invalid_email", Email::parse(email));
    let password = Password::new(password).map_err(|error| fields.add(field, error.code(), error));
    let code = Code::typed(code.expose_secret());
    fields.done(|| Some(Proof { purpose, email: email?, code, password: password.ok()?, client }))
}

fn answered(proven: Proven) -> Response {
    let cookie = proven.device.as_ref().and_then(client::remember);
    let mut response = proven.answer.into_response();
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}
