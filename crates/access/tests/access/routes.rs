//! Every route, called by every caller.

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, IF_MATCH, LOCATION};
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sqlx::PgPool;

use crate::callers::{ROUTES, token};
use crate::worlds::{Auth, Booking, Incidents, Points, Thing, World};
use crate::{bodies, described, doors, schemas, table};

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_routes_of_auth_let_in_whom_they_should(db: PgPool) {
    hold("auth", &Auth::new(db).await).await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn the_routes_of_points_let_in_whom_they_should(db: PgPool) {
    Box::pin(hold("points", &Points::new(db))).await;
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_routes_of_booking_let_in_whom_they_should(db: PgPool) {
    hold("booking", &Booking::new(db)).await;
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn the_routes_of_incidents_let_in_whom_they_should(db: PgPool) {
    hold("incidents", &Incidents::new(db)).await;
}

async fn hold(title: &str, world: &impl World) {
    let router = world.router();
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let document = doors::ask(router, request).await.into_body().collect().await.unwrap();
    let document: Value = serde_json::from_slice(&document.to_bytes()).unwrap();

    let doors = doors::of(router).await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            assert!(doors.contains(&(method, path.clone())), "{path} is documented and not routed");
        }
    }
    let mut rows = Vec::new();
    for (method, path) in doors {
        let mut cells = Vec::new();
        let mut found = None;
        for caller in ROUTES {
            // Boxed: in a debug build the future does not fit on a test's stack.
            let thing = match found.take() {
                Some(thing) => thing,
                None => Box::pin(world.thing()).await,
            };
            let token = token(world.issuer(), caller, &thing);
            let call = call(&document, &method, &path, &thing, token);
            let cell = seen(&document, (method.as_str(), &path), router, call, caller).await;
            // An unchanged thing serves the next caller.
            if method == Method::GET || ["401", "403", "404", "sign in"].contains(&cell.as_str()) {
                found = Some(thing);
            }
            cells.push(cell);
        }
        described::truly(world, &document, &method, &path, &cells).await;
        rows.push((format!("{method} {path}"), cells));
    }
    described::completely(&document);
    table::hold(title, ROUTES, &rows);
}

pub fn call(
    document: &Value,
    method: &Method,
    path: &str,
    thing: &Thing,
    token: Option<String>,
) -> Request<Body> {
    let body = thing.bodies.get(path).cloned();
    let body = body.or_else(|| bodies::example(document, path, method.as_str(), &thing.fields));
    let mut request = Request::builder()
        .method(method)
        .uri(thing.path(path))
        .header("sec-fetch-site", "same-origin")
        .header(IF_MATCH, "\"1\"")
        .header("idempotency-key", kit::Clock::system().id().to_string());
    if let Some(token) = token {
        // The console's pages take the token from a cookie.
        request = request.header(COOKIE, format!("__Host-console={token}"));
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    match body {
        Some(body) => {
            let request = request.header(CONTENT_TYPE, "application/json");
            request.body(Body::from(body.to_string())).unwrap()
        }
        None if *method == Method::POST => {
            let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            request.body(Body::empty()).unwrap()
        }
        None => request.body(Body::empty()).unwrap(),
    }
}

/// The answer's status, with its code where that is not the expected one.
async fn seen(
    document: &Value,
    route: (&str, &str),
    router: &Router,
    call: Request<Body>,
    caller: &str,
) -> String {
    let reply = doors::ask(router, call).await;
    let status = reply.status().as_u16();
    assert_ne!(status, 500, "{caller}");
    let to = reply.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    if to.is_some_and(|to| to.starts_with("/console/login")) {
        return "sign in".to_owned();
    }
    let media_type = reply.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    // A stream does not end.
    if !media_type.ends_with("json") {
        return if status == 401 { "401 page".to_owned() } else { status.to_string() };
    }
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    schemas::hold(document, route, &status.to_string(), &media_type, &body);
    if status != 401 {
        return status.to_string();
    }
    let code = body["code"].as_str().unwrap_or("page").to_owned();
    let expected = if caller == "expired" { "token_expired" } else { "invalid_token" };
    if code == expected { "401".to_owned() } else { format!("401 {code}") }
}
