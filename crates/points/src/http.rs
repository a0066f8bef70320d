//! The public API, as JSON over HTTP.

mod holds;
mod issuance;
mod movements;
mod rules;
mod statements;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use kit::caller::{Role, Verifier};
use kit::command::Answer;
use kit::http::{Command, IdempotencyKey, Path, Query, etag};
use kit::{ApiError, Caller};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::{AskedEarning, Earning, Points};
use crate::domain::command::Earn;
use crate::domain::{AccountId, AccountRef, Actor, MemberId, TransferKind};
use crate::view::{AccountView, HistoryFilter, Page, QueuedView, Receipt};

#[derive(OpenApi)]
#[openapi(info(title = "points", description = "The points ledger."))]
struct Api;

pub fn router(points: Points, verifier: Verifier) -> Router {
    let routes = OpenApiRouter::with_openapi(Api::openapi()).merge(accounts()).merge(merchants());
    let (routes, api) = routes.with_state(points).split_for_parts();
    kit::http::edge(routes, api, verifier)
}

/// Accounts, their holds and their statements.
fn accounts() -> OpenApiRouter<Points> {
    OpenApiRouter::new()
        .routes(routes!(open))
        .routes(routes!(my_balance))
        .routes(routes!(my_history))
        .routes(routes!(balance))
        .routes(routes!(history))
        .routes(routes!(earn))
        .routes(routes!(queued))
        .routes(routes!(movements::redeem))
        .routes(routes!(movements::transfer))
        .routes(routes!(movements::reverse))
        .routes(routes!(movements::adjust))
        .routes(routes!(holds::hold))
        .routes(routes!(holds::find))
        .routes(routes!(holds::capture))
        .routes(routes!(holds::release))
        .routes(routes!(statements::mine))
        .routes(routes!(statements::any))
}

/// A merchant's conversion rules and issuance, and the tender values.
fn merchants() -> OpenApiRouter<Points> {
    OpenApiRouter::new()
        .routes(routes!(rules::create, rules::list))
        .routes(routes!(rules::end))
        .routes(routes!(issuance::tender_values))
        .routes(routes!(issuance::set_tender_value))
        .routes(routes!(issuance::issuance, issuance::set_issuance))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OpenBody {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EarnBody {
    /// A purchase in the currency's minor units. Give this or `points`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    purchase_minor: Option<Value>,
    /// Points, without a purchase. Give this or `purchase_minor`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000_000)]
    points: Option<Value>,
    /// The currency of the purchase in ISO 4217; the unit of account when absent.
    #[serde(default)]
    currency: Option<String>,
    merchant_id: Uuid,
    /// The reason. At most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    reference: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Only transfers of this kind.
    #[param(value_type = Option<String>, example = "earn")]
    kind: Option<TransferKind>,
    /// Not before this time (RFC 3339).
    from: Option<DateTime<Utc>>,
    /// Before this time (RFC 3339).
    to: Option<DateTime<Utc>>,
    /// 1 to 100; 20 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Opens the caller's own account.
#[utoipa::path(
    post, path = "/v1/accounts", request_body = OpenBody,
    responses((status = 201, body = AccountView), (status = 200, description = "The account exists already", body = AccountView)),
    params(IdempotencyKey),
)]
async fn open(
    State(points): State<Points>,
    caller: Caller,
    Command { key, body: OpenBody {} }: Command<OpenBody>,
) -> Result<Answer<AccountView>, ApiError> {
    Ok(points.open(MemberId(caller.id), key).await?)
}

/// Credits an account, for a purchase or with a number of points, at a merchant that the caller belongs to. While
/// the database is away, the earning is queued.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/earnings", params(("id" = Uuid, Path), IdempotencyKey),
    request_body = EarnBody,
    responses((status = 201, body = Receipt), (status = 202, description = "Queued", body = QueuedView)),
)]
async fn earn(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Command { key, body }: Command<EarnBody>,
) -> Result<Response, ApiError> {
    caller.require(&[Role::Staff, Role::MerchantAdmin, Role::Operator])?;
    let to = AccountRef::Id(AccountId(id));
    let earn = Earn::try_new(actor(&caller), to, body.into(), points.currency())?;
    Ok(match points.earn_or_queue(caller.id.to_string(), key, earn).await? {
        Earning::Applied(answer) => answer.into_response(),
        Earning::Queued(queued) => {
            let location = [(LOCATION, queued.status_url.clone())];
            (StatusCode::ACCEPTED, location, Json(queued)).into_response()
        }
    })
}

/// The state of a queued earning, for its sender and for operators.
#[utoipa::path(
    get, path = "/v1/queued/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = QueuedView)),
)]
async fn queued(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<QueuedView>, ApiError> {
    let only_of = (!caller.has(Role::Operator)).then(|| caller.id.to_string());
    Ok(Json(points.queued(id, only_of).await?))
}

/// The caller's own account.
#[utoipa::path(get, path = "/v1/accounts/me", responses((status = 200, body = AccountView)))]
async fn my_balance(State(points): State<Points>, caller: Caller) -> Result<Response, ApiError> {
    let account = points.balance(&actor(&caller), own(&caller)).await?;
    Ok(tagged(account))
}

/// The caller's account, by its id. An operator may read any.
#[utoipa::path(
    get, path = "/v1/accounts/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = AccountView)),
)]
async fn balance(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let account = AccountRef::Id(AccountId(id));
    let account = points.balance(&actor(&caller), account).await?;
    Ok(tagged(account))
}

/// The entries of the caller's own account, newest first.
#[utoipa::path(
    get, path = "/v1/accounts/me/history", params(HistoryQuery),
    responses((status = 200, body = Page)),
)]
async fn my_history(
    State(points): State<Points>,
    caller: Caller,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page>, ApiError> {
    Ok(Json(points.history(&actor(&caller), own(&caller), query.into()).await?))
}

/// The entries of the caller's account, by its id, newest first. An operator may read any.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/history", params(("id" = Uuid, Path), HistoryQuery),
    responses((status = 200, body = Page)),
)]
async fn history(
    State(points): State<Points>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page>, ApiError> {
    let account = AccountRef::Id(AccountId(id));
    Ok(Json(points.history(&actor(&caller), account, query.into()).await?))
}

/// The person who calls, as the ledger knows them.
fn actor(caller: &Caller) -> Actor {
    if caller.has(Role::Operator) { Actor::Operator } else { Actor::Member(MemberId(caller.id)) }
}

/// The caller's own account.
fn own(caller: &Caller) -> AccountRef {
    AccountRef::Member(MemberId(caller.id))
}

fn tagged(account: AccountView) -> Response {
    (etag(account.version), Json(account)).into_response()
}

/// Accepts any value that was sent, `null` included. The domain refuses it if it is not a whole number, whatever
/// its JSON type.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Returns `None` for a value that is not a whole number, which the domain refuses.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64()
}

impl From<EarnBody> for AskedEarning {
    fn from(body: EarnBody) -> Self {
        Self {
            purchase_minor: body.purchase_minor.map(|value| whole(&value)),
            points: body.points.map(|value| whole(&value)),
            currency: body.currency,
            merchant: body.merchant_id,
            reference: body.reference,
        }
    }
}

impl From<HistoryQuery> for HistoryFilter {
    fn from(query: HistoryQuery) -> Self {
        let HistoryQuery { kind, from, to, limit, cursor } = query;
        Self { kind, from, to, limit, cursor }
    }
}
