//! Every gRPC method, called by every service and by other callers.

use axum::body::Body as HttpBody;
use kit::Clock;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use sqlx::PgPool;
use testkit::tokens::Issuer;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::callers::{METHODS, service_token};
use crate::table;
use crate::worlds::{Auth, Booking, Incidents, Points};

/// All methods of our `.proto` files, such as `/points.v1.Points/Earn`.
fn methods() -> Vec<String> {
    let files = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap().file;
    let mut methods = Vec::new();
    for file in files.iter().filter(|file| !file.package().starts_with("google.")) {
        for service in &file.service {
            let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
            methods.extend(service.method.iter().map(|method| path(method.name())));
        }
    }
    methods.sort();
    methods
}

/// `in`, or the code of the refusal.
async fn seen(routes: &Routes, path: &str, token: Option<String>) -> String {
    let mut request = axum::http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "2S");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    // An empty message: a caller who is let in gets an error about a missing field.
    let request = request.body(Body::new(HttpBody::from(vec![0; 5]))).unwrap();
    let reply = routes.clone().oneshot(request).await.unwrap();
    let Some(status) = Status::from_header_map(reply.headers()) else { return "in".to_owned() };
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => testkit::grpc::code(&status),
        Code::Unimplemented | Code::Internal | Code::Unknown | Code::Unavailable => {
            panic!("{path}: {status:?}")
        }
        _ => "in".to_owned(),
    }
}

async fn rows(
    routes: Routes,
    package: &str,
    issuer: &Issuer,
    now: &Clock,
) -> Vec<(String, Vec<String>)> {
    let mut rows = Vec::new();
    for method in methods().into_iter().filter(|method| method.starts_with(package)) {
        let mut cells = Vec::new();
        for caller in METHODS {
            let token = service_token(issuer, now, caller);
            cells.push(seen(&routes, &method, token).await);
        }
        rows.push((method, cells));
    }
    rows
}

#[test]
fn every_method_is_of_a_service_that_is_asked() {
    for method in methods() {
        let package = method.split('.').next().unwrap();
        assert!(["/auth", "/booking", "/incidents", "/points"].contains(&package), "{method}");
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_methods_of_auth_let_in_whom_they_should(db: PgPool) {
    let world = Auth::new(db).await;
    let rows = rows(world.grpc(), "/auth.", &world.issuer, &world.clock).await;
    table::hold("auth, methods", METHODS, &rows);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn the_methods_of_points_let_in_whom_they_should(db: PgPool) {
    let world = Points::new(db);
    let rows = rows(world.grpc(), "/points.", &world.issuer, &world.clock).await;
    table::hold("points, methods", METHODS, &rows);
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn the_methods_of_booking_let_in_whom_they_should(db: PgPool) {
    let world = Booking::new(db);
    let rows = rows(world.grpc(), "/booking.", &world.issuer, &world.clock).await;
    table::hold("booking, methods", METHODS, &rows);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn the_methods_of_incidents_let_in_whom_they_should(db: PgPool) {
    let world = Incidents::new(db);
    let rows = rows(world.grpc(), "/incidents.", &world.issuer, &world.clock).await;
    table::hold("incidents, methods", METHODS, &rows);
}
