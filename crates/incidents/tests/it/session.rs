//! An operator's session: it outlives every answer, and nobody else uses up its tries.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Extension, Json, Router};
use kit::Clock;
use kit::caller::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::{Api, Reply};
use testkit::postgres::app_pool;
use testkit::tokens::Issuer;
use tokio::net::TcpListener;

use crate::app::TestApp;

/// What auth was brought beside the body: path, address, device, browser.
type Calls = Arc<Mutex<Vec<[String; 4]>>>;

const DEVICE: &str =
    "__Host-device=d2; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Strict";

/// An auth that takes everybody for an operator, where it listens, and what it is called with.
async fn auth() -> (String, Calls) {
    let calls = Calls::default();
    let handler = |path: &'static str| {
        let calls = calls.clone();
        post(move |headers: HeaderMap, _: Json<Value>| async move {
            let header = |name| headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
            let [from, device, agent] = ["x-forwarded-for", "cookie", "user-agent"].map(header);
            calls.lock().unwrap().push([path.to_owned(), from, device, agent]);
            let token = Issuer::new().with_roles(Clock::system().id(), &[Role::Operator]);
            let tokens = json!({ "access_token": token, "refresh_token": "next" });
            ([("set-cookie", DEVICE)], Json(tokens))
        })
    };
    let routes = Router::new()
        .route("/v1/login", handler("/v1/login"))
        .route("/v1/refresh", handler("/v1/refresh"));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async { axum::serve(socket, routes).await });
    (url, calls)
}

fn set_cookies(reply: &Reply) -> Vec<String> {
    let cookies = reply.headers.get_all("set-cookie").iter();
    cookies.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_renewed_session_survives_an_answer_that_is_an_error(db: PgPool) {
    let (url, _) = auth().await;
    let away = app_pool(&db, "incidents_app");
    away.close().await;
    let here = TestApp::with(app_pool(&db, "incidents_app"), db.clone(), &url);
    let away = TestApp::with(away, db, &url);
    let unknown = format!("/console/incidents/{}", Clock::system().id());
    for (app, path, status) in
        [(&here, unknown.as_str(), 404), (&away, &unknown, 503), (&away, "/console", 503)]
    {
        let expired = app.issuer.expired(Clock::system().id());
        let cookies = format!("__Host-console={expired}; __Host-console-refresh=good");
        let reply = app.api.get(path).header("cookie", &cookies).send().await.expect(status);
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
        // The old token is used up: without the new one, auth takes the next request for a thief's.
        let set = set_cookies(&reply);
        assert!(set.iter().any(|c| c.starts_with("__Host-console-refresh=next;")), "{set:?}");
        assert!(set.iter().any(|c| c.starts_with("__Host-console=ey")), "{set:?}");
        let length = reply.header("content-length");
        assert!(length.is_empty() || length == reply.body.len().to_string(), "{length}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn auth_learns_whose_browser_it_is_and_the_browser_what_it_is_known_by(db: PgPool) {
    let (url, calls) = auth().await;
    let app = TestApp::with(app_pool(&db, "incidents_app"), db, &url);
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 4711);
    let api = Api::new(app.router.clone().layer(Extension(ConnectInfo(peer))));

    let form = "email=op%40example.com&password=right";
    let call = api.post("/console/login").header("sec-fetch-site", "same-origin");
    // Only a proxy that we trust changes the address that we are given.
    let call = call.header("x-forwarded-for", "6.6.6.6").header("user-agent", "Lynx");
    let call = call.header("cookie", "other=1; __Host-device=d1; __Host-console=x");
    let call = call.body("application/x-www-form-urlencoded", form);
    let reply = call.send().await.expect(303);
    assert!(set_cookies(&reply).iter().any(|cookie| cookie == DEVICE));

    let expired = app.issuer.expired(Clock::system().id());
    let cookies =
        format!("__Host-console={expired}; __Host-console-refresh=good; __Host-device=d1");
    let call = api.get("/console").header("cookie", &cookies).header("user-agent", "Lynx");
    call.send().await.expect(200);

    let expected = ["/v1/login", "/v1/refresh"]
        .map(|path| [path, "192.0.2.7", "__Host-device=d1", "Lynx"].map(str::to_owned));
    assert_eq!(*calls.lock().unwrap(), expected);
}
