//! The pages and their forms.

use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use kit::Clock;
use kit::caller::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::{Call, Reply};
use testkit::postgres::app_pool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{TestApp, firing, labelled, resolved, with};

const HOSTILE: &str = "\u{202e}<script>alert(1)</script> <!channel> \u{1b}[31m \" onload=\"x";

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn anybody_sees_how_everything_does(db: PgPool) {
    let app = TestApp::new(db);
    assert!(status(&app).await.contains("<h1>OPERATIONAL</h1>"));
    app.deliver(&[labelled("i", json!({ "severity": "info", "service": "auth" }))])
        .await
        .expect(200);
    assert!(status(&app).await.contains("<h1>OPERATIONAL</h1>"));
    app.deliver(&[labelled("w", json!({ "severity": "warning", "service": "auth" }))])
        .await
        .expect(200);
    assert!(status(&app).await.contains("<h1>DEGRADED</h1>"));
    app.deliver(&[firing("a")]).await.expect(200);
    let page = status(&app).await;
    assert!(page.contains("<h1>CRITICAL</h1>") && page.contains("points does not work"));
    assert_eq!(page.matches("<rect").count(), 4 * 90);
    assert_eq!(page.matches("<rect class=\"bad\"").count(), 1);
    // No day was watched yet.
    assert_eq!(page.matches("<rect class=\"unknown\"").count(), 4 * 90 - 2);
    app.deliver(&[resolved(&firing("a"))]).await.expect(200);
    assert!(status(&app).await.contains("<h1>DEGRADED</h1>"));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_strangers_wrote_is_shown_and_not_run(db: PgPool) {
    let app = TestApp::new(db);
    let labels = json!({ "alertname": HOSTILE, "service": HOSTILE, HOSTILE: HOSTILE });
    let alert = with(labelled("h", labels), "/annotations/summary", HOSTILE);
    let id = app.open(&alert).await;
    app.act(&id, "comments", json!({ "text": "<img src=x onerror=alert(1)>" })).await.expect(200);
    let console = page(console(&app, &format!("/console/incidents/{id}")).send().await);
    assert!(console.contains("&lt;img src=x"));
    // The public page shows none of it.
    let public = status(&app).await;
    assert!(public.contains("Something behind the services"), "{public}");
    assert!(!public.contains("&lt;") && !public.contains("channel"), "{public}");
    for page in [public, console.clone()] {
        assert!(!page.contains("\u{1b}") && !page.contains('\u{202e}'), "{page:?}");
        assert!(!page.contains("<script>alert") && !page.contains("\" onload=\""), "{page}");
    }
    assert!(console.contains("&lt;script&gt;alert(1)"), "{console}");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_page_runs_nothing_but_our_own_files(db: PgPool) {
    let app = TestApp::new(db);
    for path in ["/", "/console/login"] {
        let reply =
            app.api.get(path).header("accept", "text/html,*/*;q=0.8").send().await.expect(200);
        let policy = reply.header("content-security-policy").to_owned();
        assert!(
            policy.contains("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && policy.contains("form-action 'self'"), "{policy}");
        let page = reply.text();
        assert!(!page.contains("<style") && !page.contains(" style="), "{page}");
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/").count());
    }
    let reply = app.get("/v1/incidents").await.expect(200);
    assert!(!reply.header("content-security-policy").contains("script-src"));
    for (asset, media_type) in
        [("site.css", "text/css"), ("site.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
    {
        let reply = app.api.get(&format!("/assets/{asset}")).send().await.expect(200);
        assert_eq!(reply.header("content-type"), format!("{media_type}; charset=utf-8"));
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn the_console_is_for_operators_who_have_signed_in(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    let member = app.issuer.member(Clock::system().id());
    let expired = app.issuer.expired(Clock::system().id());
    for path in ["/console".to_owned(), format!("/console/incidents/{id}")] {
        // After signing in, the requested page is shown.
        let next = path.strip_prefix("/console").filter(|rest| !rest.is_empty());
        let next = next.map(|rest| format!("next=%2Fconsole{}", rest.replace('/', "%2F")));
        for (cookie, ended) in
            [("", None), (member.as_str(), Some("ended=true")), (&expired, Some("ended=true"))]
        {
            let cookie = format!("__Host-console={cookie}");
            let reply = app.api.get(&path).header("cookie", &cookie).send().await.expect(303);
            let query: Vec<_> = ended.into_iter().chain(next.as_deref()).collect();
            let mark = if query.is_empty() { "" } else { "?" };
            let expected = format!("/console/login{mark}{}", query.join("&"));
            assert_eq!(reply.header("location"), expected);
            let asked = page(app.api.get(&expected).send().await);
            assert_eq!(asked.contains("Your session has ended"), ended.is_some());
        }
        assert!(page(console(&app, &path).send().await).contains("a fails"));
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_operator_signs_in_and_out(db: PgPool) {
    // An auth that knows one operator and one member.
    let issuer = testkit::tokens::Issuer::new();
    let login = move |Json(body): Json<Value>| async move {
        let role = match (body["email"].as_str(), body["password"].as_str()) {
            (Some("op@example.com"), Some("right")) => Role::Operator,
            (Some("me@example.com"), Some("right")) => Role::Member,
            _ => return Err(axum::http::StatusCode::UNAUTHORIZED),
        };
        let token = issuer.with_roles(Clock::system().id(), &[role]);
        let refresh = json!({ "access_token": token, "refresh_token": "next", "expires_in": 300 });
        Ok(Json(refresh))
    };
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let auth = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async {
        axum::serve(socket, Router::new().route("/v1/login", post(login))).await
    });
    let app = TestApp::with(app_pool(&db, "incidents_app"), db, &auth);

    let sign_in = |email: &str, password: &str| {
        let form = format!("email={email}&password={password}");
        form_of(app.api.post("/console/login"), &form).send()
    };
    for (email, password, status) in
        [("op%40example.com", "wrong", 401), ("me%40example.com", "right", 403), ("", "", 401)]
    {
        let reply = sign_in(email, password).await.expect(status);
        assert_eq!(reply.header("set-cookie"), "");
        assert!(reply.text().contains("role=\"alert\""));
    }
    let reply = sign_in("op%40example.com", "right").await.expect(303);
    assert_eq!(reply.header("location"), "/console");
    let cookie = reply.header("set-cookie");
    for word in ["__Host-console=", "; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap();
    app.api.get("/console").header("cookie", cookie).send().await.expect(200);
    // The redirect leads to the requested page, if it is one of ours.
    let incident = format!("/console/incidents/{}", Clock::system().id());
    for (next, location) in [
        (incident.as_str(), incident.as_str()),
        ("https://evil.example/console/", "/console"),
        ("//evil.example", "/console"),
        ("/console//evil.example", "/console"),
        ("/console/../evil", "/console"),
        ("/console/%0d%0ax:y", "/console"),
        ("/", "/console"),
    ] {
        let form = format!("email=op%40example.com&password=right&next={next}");
        let reply = form_of(app.api.post("/console/login"), &form).send().await.expect(303);
        assert_eq!(reply.header("location"), location);
    }
    let reply = form_of(app.api.post("/console/logout"), "").send().await.expect(303);
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn trouble_of_ours_is_said_on_a_page_too(db: PgPool) {
    let app = TestApp::new(db.clone());
    // Auth does not answer.
    let form = "email=op%40example.com&password=right";
    let reply = form_of(app.api.post("/console/login"), form).send().await.expect(503);
    assert!(reply.text().contains("Signing in is not possible right now"), "{}", reply.text());
    // The form keeps the address, but not the password.
    assert!(reply.text().contains("value=\"op@example.com\"") && !reply.text().contains("right\""));
    let pool = app_pool(&db, "incidents_app");
    pool.close().await;
    let app = TestApp::on(pool, db);
    let reply = app.api.get("/").send().await.expect(503);
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(reply.text().contains("role=\"alert\"") && !reply.text().contains("pool"));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_an_operator_gets_wrong_is_said_on_a_page(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    let operator = app.issuer.with_roles(Clock::system().id(), &[Role::Operator]);
    for (what, form, status, says) in [
        ("comment", "text=", 422, "must be 1 to 4000 characters"),
        ("status", "status=burning", 422, "must be one of the choices"),
        ("status", "status=postmortem_done", 422, "cannot become"),
        (
            "action",
            "text=x&assignee=y&priority=low&due=soon",
            422,
            "Due: must be one of the choices.",
        ),
        ("nonsense", "", 404, "Form not found."),
    ] {
        let call = app.api.post(&format!("/console/incidents/{id}/{what}"));
        let call = call.header("cookie", &format!("__Host-console={operator}"));
        let reply = form_of(call, &format!("key=k&{form}")).send().await.expect(status);
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{what}");
        assert!(reply.text().contains(says), "{what}: {}", reply.text());
    }
    let unknown = format!("/console/incidents/{}", Clock::system().id());
    assert!(
        console(&app, &unknown).send().await.expect(404).text().contains("Incident not found.")
    );
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_operator_learns_in_the_browser(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    let operator = app.issuer.with_roles(Clock::system().id(), &[Role::Operator]);
    let send = |what: &str, form: &str| {
        let call = app.api.post(&format!("/console/incidents/{id}/{what}"));
        form_of(call.header("cookie", &format!("__Host-console={operator}")), form).send()
    };
    send("action", "key=a&text=Test+it&assignee=Ada&priority=high&due=2020-01-31")
        .await
        .expect(303);
    send("status", "key=b&status=resolved&note=").await.expect(303);
    let actions = page(console(&app, "/console/actions").send().await);
    assert!(actions.contains("Test it") && actions.contains("overdue since 31 Jan 2020"));
    let action = app.incident(&id).await["actions"][0]["action_id"].as_str().unwrap().to_owned();
    let back = send("finish", &format!("key=c&action={action}&back=/console/actions")).await;
    assert_eq!(back.expect(303).header("location"), "/console/actions");

    let editor = format!("/console/incidents/{id}/postmortem");
    let shown = page(console(&app, &editor).send().await);
    assert!(shown.contains("# Postmortem: INC-") && shown.contains("name=\"version\" value=\"0\""));
    let text = "body=%23+Ours%0D%0A%3C%2Ftextarea%3E%3Cscript%3Ex&version=0&done=true&key=d";
    send("postmortem", text).await.expect(303);
    let shown = page(console(&app, &editor).send().await);
    assert!(shown.contains("# Ours\n&lt;/textarea&gt;&lt;script&gt;x"), "{shown}");
    assert!(
        send("postmortem", &text.replace("key=d", "key=e"))
            .await
            .expect(409)
            .text()
            .contains("meanwhile")
    );
    let statistics = page(console(&app, "/console/statistics").send().await);
    assert!(statistics.contains("MTTR") && statistics.matches("<svg class=\"chart ").count() == 4);
    assert!(page(console(&app, &format!("/console/incidents/{id}")).send().await).contains("Who"));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_form_of_another_site_does_nothing(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    let path = format!("/console/incidents/{id}/acknowledge");
    let call = || {
        let token = app.issuer.with_roles(Clock::system().id(), &[Role::Operator]);
        let call = app.api.post(&path).header("cookie", &format!("__Host-console={token}"));
        call.header("host", "ours.example").body("application/x-www-form-urlencoded", "key=k")
    };
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("x-nothing", ""),
    ] {
        let reply = call().header(name, value).send().await.expect(403);
        assert!(reply.text().contains("The form came from another site."), "{name}: {value}");
    }
    assert!(app.incident(&id).await["acknowledged_at"].is_null());
    call().header("origin", "https://ours.example").send().await.expect(303);
    assert!(app.incident(&id).await["acknowledged_at"].is_string());
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_operator_works_through_an_incident_in_the_browser(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    let operator = app.issuer.with_roles(Clock::system().id(), &[Role::Operator]);
    for (n, (what, form)) in [
        ("acknowledge", ""),
        ("check", "item=commander&done=true"),
        ("role", "role=commander&holder=Ada"),
        ("severity", "severity=P1&reason=half+of+them"),
        ("service", "service=booking"),
        ("comment", "text=One%0D%0Atwo"),
        ("comment", "text=One%0D%0Atwo"),
        ("status", "status=resolved&note=Rolled+back"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/console/incidents/{id}/{what}");
        let call = app.api.post(&path).header("cookie", &format!("__Host-console={operator}"));
        // The comment is sent twice with one key.
        let form = format!("key={}&{form}", if what == "comment" { 5 } else { n });
        form_of(call, &form).send().await.expect(303);
    }
    let incident = app.incident(&id).await;
    assert_eq!((&incident["status"], &incident["severity"]), (&json!("resolved"), &json!("P1")));
    assert_eq!(incident["resolution"], "Rolled back");
    assert_eq!(app.count("incident_event WHERE kind = 'comment'").await, 1);
    let shown = page(console(&app, &format!("/console/incidents/{id}")).send().await);
    for text in ["Ada is commander", "One\ntwo", "aria-pressed=\"true\"", "half of them"] {
        assert!(shown.contains(text), "{text}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_page_hears_at_once_that_something_happened(db: PgPool) {
    let app = TestApp::new(db);
    let stop = CancellationToken::new();
    tokio::spawn(app.incidents.clone().watch(stop.clone()));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/changes", socket.local_addr().unwrap());
    let router = app.router.clone();
    tokio::spawn(async { axum::serve(socket, router).await });
    let client = reqwest::Client::new();
    let mut live = client.get(url).header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(live.headers()["content-type"], "text/event-stream");

    app.deliver(&[firing("a")]).await.expect(200);
    let heard = async {
        loop {
            let chunk = live.chunk().await.unwrap().unwrap();
            if String::from_utf8_lossy(&chunk).contains("event: change\ndata: s") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), heard).await.unwrap();
    stop.cancel();
}

async fn status(app: &TestApp) -> String {
    page(app.api.get("/").send().await)
}

fn page(reply: Reply) -> String {
    let reply = reply.expect(200);
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    reply.text()
}

/// A call with an operator's session.
fn console(app: &TestApp, path: &str) -> Call {
    let token = app.issuer.with_roles(Clock::system().id(), &[Role::Operator]);
    app.api.get(path).header("cookie", &format!("other=1; __Host-console={token}"))
}

fn form_of(call: Call, form: &str) -> Call {
    call.header("sec-fetch-site", "same-origin")
        .body("application/x-www-form-urlencoded", form.to_owned())
}
