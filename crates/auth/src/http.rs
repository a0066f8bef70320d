//! The public API, as JSON over HTTP.

mod client;
mod mail;
mod members;
mod sessions;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use kit::ApiError;
use kit::command::Answer;
use kit::error::Fields;
use kit::http::{Command, IdempotencyKey, Limits, Origins};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::{Accepted, Auth, Login, PublicKey, Register, Session};
use crate::domain::{ACCESS_TOKEN_LIFE, Audience, Client, DisplayName, Email, Guess, Password};
use crate::metrics;

use client::RequestClient;

#[derive(OpenApi)]
#[openapi(info(title = "auth", description = "Accounts, logins and tokens."))]
struct Api;

pub fn router(auth: Auth) -> Router {
    let verifier = auth.verifier();
    let (routes, api) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(sessions::refresh))
        .routes(routes!(sessions::list, sessions::logout_everywhere))
        .routes(routes!(sessions::logout))
        .routes(routes!(sessions::revoke))
        .routes(routes!(sessions::change_password))
        .routes(routes!(mail::verify))
        .routes(routes!(mail::resend))
        .routes(routes!(mail::forgot))
        .routes(routes!(mail::reset))
        .routes(routes!(members::me, members::rename))
        .routes(routes!(members::disable, members::enable))
        .routes(routes!(jwks))
        .with_state(auth)
        .split_for_parts();
    // The cookie of a known device.
    let origins = Origins::WithCookies;
    let limits = Limits { strict: SECRETS, origins, ..Limits::default() };
    kit::http::edge_with(limits, routes, api, verifier)
}

/// The routes on which a stranger could guess secrets, cause hashing, or have mail sent.
const SECRETS: &[&str] = &[
    "/v1/register",
    "/v1/login",
    "/v1/password",
    "/v1/password/forgot",
    "/v1/password/reset",
    "/v1/verification",
    "/v1/verification/resend",
];

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterBody {
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// 8 characters to 1024 bytes of any Unicode.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: SecretString,
    #[schema(min_length = 1, max_length = 100)]
    display_name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    #[schema(format = "email", max_length = 254)]
    email: String,
    #[schema(value_type = String, format = "password", max_length = 1024)]
    password: SecretString,
    /// The service that the access token is for. Without it the token is for all services, and lacks the role
    /// `operator`.
    audience: Option<Audience>,
}

#[derive(Serialize, ToSchema)]
struct TokenReply {
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    /// Exchanged for new tokens at `/v1/refresh`, once.
    refresh_token: String,
    /// The latest end of the session, however much it is used.
    session_expires_at: DateTime<Utc>,
    session_id: Uuid,
    member_id: Uuid,
}

/// RFC 7517.
#[derive(Serialize, ToSchema)]
struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Serialize, ToSchema)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    kid: String,
    x: String,
}

/// Opens an account. The answer does not say whether the address was known already.
#[utoipa::path(
    post, path = "/v1/register", request_body = RegisterBody,
    responses((status = 202, body = Accepted)),
    params(IdempotencyKey), security(()),
)]
async fn register(
    State(auth): State<Auth>,
    RequestClient(client): RequestClient,
    Command { key, body }: Command<RegisterBody>,
) -> Result<Answer<Accepted>, ApiError> {
    let answer = auth.register(body.by(client)?, key).await;
    Ok(answer.inspect_err(|_| metrics::registration("failed"))?)
}

/// Exchanges an address and its password for an access token. Needs no `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/login", request_body = LoginBody,
    responses((status = 200, body = TokenReply)),
    security(()),
)]
async fn login(
    State(auth): State<Auth>,
    RequestClient(client): RequestClient,
    kit::http::Json(body): kit::http::Json<LoginBody>,
) -> Result<Response, ApiError> {
    let session = auth.login(body.by(client)?).await?;
    let cookie = session.device.as_ref().and_then(client::remember);
    let mut response = private(TokenReply::from(session));
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// A response that no cache may keep.
fn private(body: impl Serialize) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// The keys that access tokens are signed with.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", responses((status = 200, body = KeySet)),
    security(()),
)]
async fn jwks(State(auth): State<Auth>) -> Response {
    let keys = auth.public_keys().iter().map(Jwk::from).collect();
    ([(CACHE_CONTROL, "public, max-age=60")], Json(KeySet { keys })).into_response()
}

impl RegisterBody {
    fn by(self, client: Client) -> Result<Register, ApiError> {
        let mut fields = Fields::new();
        let email = fields.check("email", "invalid_email", Email::parse(&self.email));
        let password = Password::new(self.password)
            .map_err(|error| fields.add("password", error.code(), error));
        let display_name = DisplayName::new(&self.display_name)
            .map_err(|error| fields.add("display_name", error.code(), error));
        fields.done(|| {
            let (password, display_name) = (password.ok()?, display_name.ok()?);
            Some(Register { email: email?, password, display_name, client })
        })
    }
}

impl LoginBody {
    fn by(self, client: Client) -> Result<Login, ApiError> {
        let mut fields = Fields::new();
        let email = fields.check("email", "invalid_email", Email::parse(&self.email));
        let password =
            Guess::new(self.password).map_err(|error| fields.add("password", error.code(), error));
        let audience = self.audience;
        fields.done(|| Some(Login { email: email?, password: password.ok()?, client, audience }))
    }
}

impl From<Session> for TokenReply {
    fn from(session: Session) -> Self {
        Self {
            access_token: session.access_token.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_LIFE.as_secs(),
            refresh_token: session.refresh_token.expose_secret().to_owned(),
            session_expires_at: session.ends,
            session_id: session.session_id,
            member_id: session.member_id,
        }
    }
}

/// RFC 8037.
impl From<&PublicKey> for Jwk {
    fn from(key: &PublicKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(&key.bytes);
        let kid = key.kid.clone();
        Self { kty: "OKP", crv: "Ed25519", alg: "EdDSA", purpose: "sig", kid, x }
    }
}
