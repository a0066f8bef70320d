//! An operator's session: it is renewed while the operator works, and ends everywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Extension;
use axum::extract::ConnectInfo;
use chrono::TimeDelta;
use kit::Clock;
use kit::caller::Role;
use sqlx::PgPool;
use testkit::eventually;
use testkit::http::{Api, Call, Reply};
use testkit::postgres::app_pool;

use crate::app::TestApp;
use crate::auth::{Auth, DEVICE};

const FORM: &str = "application/x-www-form-urlencoded";

fn set_cookies(reply: &Reply) -> Vec<String> {
    let cookies = reply.headers.get_all("set-cookie").iter();
    cookies.map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// Returns the cookies that a browser sends back: the access token's and the sealed one.
struct Cookies {
    access: String,
    refresh: String,
}

impl Cookies {
    fn of(reply: &Reply) -> Self {
        let set = set_cookies(reply);
        let one = |name: &str| {
            let cookie = set.iter().find(|c| c.starts_with(&format!("{name}="))).unwrap();
            cookie.split(';').next().unwrap().to_owned()
        };
        Self { access: one("__Host-console"), refresh: one("__Host-console-refresh") }
    }
}

fn form(api: &Api, path: &str, cookies: &str, form: &str) -> Call {
    let call = api.post(path).header("sec-fetch-site", "same-origin").header("cookie", cookies);
    call.body(FORM, form.to_owned())
}

async fn signed_in(app: &TestApp, cookies: &str) -> Cookies {
    let typed = "email=op%40example.com&password=right";
    Cookies::of(&form(&app.api, "/console/login", cookies, typed).send().await.expect(303))
}

fn app(db: &PgPool, auth: &Auth) -> TestApp {
    TestApp::with(app_pool(db, "incidents_app"), db.clone(), &auth.url)
}

/// The cookie of an access token that is too old.
fn expired(app: &TestApp) -> String {
    format!("__Host-console={}", app.issuer.expired(Clock::system().id()))
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_renewed_session_survives_an_answer_that_is_an_error(db: PgPool) {
    let auth = Auth::open().await;
    let away = app_pool(&db, "incidents_app");
    away.close().await;
    let here = app(&db, &auth);
    let away = TestApp::with(away, db.clone(), &auth.url);
    let unknown = format!("/console/incidents/{}", Clock::system().id());
    for (app, path, status) in
        [(&here, unknown.as_str(), 404), (&away, &unknown, 503), (&away, "/console", 503)]
    {
        let Cookies { refresh, .. } = signed_in(&here, "").await;
        let cookies = format!("{}; {refresh}", expired(app));
        let reply = app.api.get(path).header("cookie", &cookies).send().await.expect(status);
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
        // The old token is used up: auth treats a second use as theft.
        let renewed = Cookies::of(&reply);
        assert!(renewed.access.starts_with("__Host-console=ey"), "{}", renewed.access);
        assert_ne!(renewed.refresh, refresh);
        let length = reply.header("content-length");
        assert!(length.is_empty() || length == reply.body.len().to_string(), "{length}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_operator_who_works_is_not_thrown_out_after_five_minutes(db: PgPool) {
    let auth = Auth::open().await;
    let app = app(&db, &auth);
    let Cookies { refresh, .. } = signed_in(&app, "").await;
    let cookies = format!("{}; {refresh}", expired(&app));
    let reply = app.api.get("/console").header("cookie", &cookies).send().await.expect(200);
    for word in ["; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(set_cookies(&reply).iter().all(|cookie| cookie.contains(word)), "{word}");
    }
    // With the new cookies the next page needs no renewal.
    let renewed = Cookies::of(&reply);
    let next = app.api.get("/console").header("cookie", &renewed.access).send().await.expect(200);
    assert_eq!(next.header("set-cookie"), "");
    // An ended session is not renewed.
    auth.sessions().ended.insert(1);
    let cookies = format!("{}; {}", expired(&app), renewed.refresh);
    let reply = app.api.get("/console").header("cookie", &cookies).send().await.expect(303);
    assert_eq!(reply.header("location"), "/console/login?ended=true");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_the_browser_keeps_is_of_use_to_us_alone(db: PgPool) {
    let auth = Auth::open().await;
    let app = app(&db, &auth);
    let Cookies { refresh, .. } = signed_in(&app, "").await;
    assert!(!refresh.contains("refresh-"), "{refresh}");
    // A token for auth is not valid here.
    for refresh in ["__Host-console-refresh=refresh-0".to_owned(), refresh.replace('=', "=A")] {
        let cookies = format!("{}; {refresh}", expired(&app));
        let reply = app.api.get("/console").header("cookie", &cookies).send().await.expect(303);
        assert_eq!(reply.header("location"), "/console/login?ended=true");
    }
    assert!(!auth.sessions().calls.iter().any(|call| call[0] == "/v1/refresh"));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn whoever_signs_out_is_out_at_auth_whatever_is_left_of_the_session(db: PgPool) {
    let auth = Auth::open().await;
    let app = app(&db, &auth);
    for left in ["access", "refresh", "expired", "both"] {
        let Cookies { access, refresh } = signed_in(&app, "").await;
        let cookies = match left {
            "access" => access,
            "refresh" => refresh,
            "expired" => format!("{}; {refresh}", expired(&app)),
            _ => format!("{access}; {refresh}"),
        };
        let reply = form(&app.api, "/console/logout", &cookies, "").send().await.expect(303);
        assert!(set_cookies(&reply).iter().all(|cookie| cookie.contains("Max-Age=0")));
        let (begun, ended) = auth.ended();
        assert_eq!(ended.last(), Some(&begun), "{left}: the session goes on");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_session_ends_when_auth_is_back(db: PgPool) {
    let auth = Auth::open().await;
    let app = app(&db, &auth);
    let Cookies { refresh, .. } = signed_in(&app, "").await;
    auth.sessions().away = true;
    form(&app.api, "/console/logout", &refresh, "").send().await.expect(303);
    assert_eq!(auth.ended(), (1, vec![]));
    auth.sessions().away = false;
    let over = async || (auth.ended() == (1, vec![1])).then_some(());
    eventually(Duration::from_secs(15), over).await;
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_new_login_ends_the_session_before(db: PgPool) {
    let auth = Auth::open().await;
    let app = app(&db, &auth);
    let Cookies { refresh, .. } = signed_in(&app, "").await;
    signed_in(&app, &refresh).await;
    assert_eq!(auth.ended(), (2, vec![1]));
    // A wrong password ends no session.
    let Cookies { refresh, .. } = signed_in(&app, "").await;
    let typed = "email=op%40example.com&password=wrong";
    form(&app.api, "/console/login", &refresh, typed).send().await.expect(401);
    assert_eq!(auth.ended(), (3, vec![1]));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn whoever_is_refused_leaves_no_session_behind(db: PgPool) {
    let auth = Auth::open().await;
    let app = app(&db, &auth);
    auth.sessions().role = Role::Member;
    let typed = "email=me%40example.com&password=right";
    form(&app.api, "/console/login", "", typed).send().await.expect(403);
    assert_eq!(auth.ended(), (1, vec![1]));
    // A member who is no longer an operator is signed out, too.
    auth.sessions().role = Role::Operator;
    let Cookies { refresh, .. } = signed_in(&app, "").await;
    auth.sessions().role = Role::Member;
    let cookies = format!("{}; {refresh}", expired(&app));
    let reply = app.api.get("/console").header("cookie", &cookies).send().await.expect(303);
    assert!(set_cookies(&reply).iter().all(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(auth.ended(), (2, vec![1, 2]));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn twelve_hours_of_absence_end_the_session_whatever_the_browser_keeps(db: PgPool) {
    let auth = Auth::open().await;
    let app = app(&db, &auth);
    for (hours, status, ended) in [(11, 200, vec![]), (13, 303, vec![2])] {
        let Cookies { refresh, .. } = signed_in(&app, "").await;
        let clock = Clock::fixed(Clock::system().now() + TimeDelta::hours(hours));
        let later = TestApp::at(db.clone(), &auth.url, clock);
        let cookies = format!("{}; {refresh}", expired(&app));
        later.api.get("/console").header("cookie", &cookies).send().await.expect(status);
        assert_eq!(auth.ended().1, ended, "after {hours} hours");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn auth_learns_whose_browser_it_is_and_the_browser_what_it_is_known_by(db: PgPool) {
    let auth = Auth::open().await;
    let app = app(&db, &auth);
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 4711);
    let api = Api::new(app.router.clone().layer(Extension(ConnectInfo(peer))));

    let typed = "email=op%40example.com&password=right";
    let call = form(&api, "/console/login", "other=1; __Host-device=d1; __Host-console=x", typed);
    // Only a trusted proxy can set the client's address.
    let call = call.header("x-forwarded-for", "6.6.6.6").header("user-agent", "Lynx");
    let reply = call.send().await.expect(303);
    assert!(set_cookies(&reply).iter().any(|cookie| cookie == DEVICE));

    let Cookies { refresh, .. } = Cookies::of(&reply);
    let cookies = format!("{}; {refresh}; __Host-device=d1", expired(&app));
    let call = api.get("/console").header("cookie", &cookies).header("user-agent", "Lynx");
    call.send().await.expect(200);

    let expected = ["/v1/login", "/v1/refresh"]
        .map(|path| [path, "192.0.2.7", "__Host-device=d1", "Lynx"].map(str::to_owned));
    assert_eq!(auth.sessions().calls, expected);
}
