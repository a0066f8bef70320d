//! Accounts that an operator disables.

use auth::domain::Actor;
use std::time::Duration;

use auth::config::{Account, Command};
use kit::Clock;
use kit::caller::{Refused, Role};
use serde_json::json;
use sqlx::PgPool;
use testkit::eventually;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{PASSWORD, TestApp};
use crate::mailing::Post;

const ADA: &str = "ada@example.org";

async fn id(app: &TestApp, email: &str) -> Uuid {
    let account = Account { email: Some(email.to_owned()), account: None };
    app.auth.find(&account).await.unwrap()
}

async fn operator(app: &TestApp) -> String {
    app.register("op@example.org").await.expect(202);
    app.verified("op@example.org").await;
    let role = Role::Operator;
    let grant = auth::config::Grant { email: "op@example.org".to_owned(), role };
    app.auth.grant(&grant).await.unwrap();
    let body = json!({ "email": "op@example.org", "password": PASSWORD, "audience": "auth" });
    let session = app.api.post("/v1/login").json(body).send().await.expect(200).json();
    session["access_token"].as_str().unwrap().to_owned()
}

/// The reply as a client sees it, without the parts that always differ.
fn seen(reply: &Reply) -> (u16, Vec<String>, serde_json::Value) {
    let mut names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
    names.sort();
    let mut body = reply.json();
    body["request_id"] = json!(null);
    (reply.status.as_u16(), names, body)
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_disabled_account_looks_like_a_wrong_password(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    app.register("bob@example.org").await.expect(202);
    app.auth.disable(id(&app, ADA).await, Actor::CommandLine).await.unwrap();

    let right = app.login(ADA, PASSWORD).await;
    let wrong = app.login("bob@example.org", "not his password").await;
    let unknown = app.login("eve@example.org", PASSWORD).await;
    assert_eq!(right.code(), "invalid_credentials");
    assert_eq!(seen(&right), seen(&wrong));
    assert_eq!(seen(&right), seen(&unknown));

    // The same guesses are allowed, and the same lock follows.
    for email in [ADA, "eve@example.org"] {
        for _ in 0..4 {
            app.login(email, PASSWORD).await.expect(401);
        }
    }
    let (locked, other) = (app.login(ADA, PASSWORD).await, app.login("eve@example.org", "x").await);
    assert_eq!(locked.code(), "too_many_attempts");
    assert_eq!(seen(&locked), seen(&other));
    assert_eq!(crate::app::metric("auth_login_total{status=\"success\"}"), 0.0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_disabled_account_gets_no_code_and_brings_none(db: PgPool) {
    let post = Post::new(db).await;
    let app = &post.app;
    app.register(ADA).await.expect(202);
    post.quiet().await;
    app.auth.disable(id(app, ADA).await, Actor::CommandLine).await.unwrap();
    let before = app.count("mail_code").await;
    for path in ["/v1/password/forgot", "/v1/verification/resend"] {
        let body = json!({ "email": ADA });
        let known = app.api.post(path).key(&format!("a {path}")).json(body).send().await;
        let body = json!({ "email": "eve@example.org" });
        let unknown = app.api.post(path).key(&format!("e {path}")).json(body).send().await;
        assert_eq!(seen(&known.expect(202)), seen(&unknown.expect(202)), "{path}");
    }
    let body = json!({ "email": ADA, "password": PASSWORD, "display_name": "Ada" });
    let again = app.api.post("/v1/register").key("again").json(body).send().await.expect(202);
    assert_eq!(seen(&again), seen(&app.register("new@example.org").await.expect(202)));
    post.quiet().await;
    assert_eq!(app.count("mail_code").await, before + 1, "only new@example.org got one");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn its_sessions_end_at_once_and_it_works_again_when_enabled(db: PgPool) {
    let (app, elsewhere) = (TestApp::new(db.clone()).await, TestApp::new(db).await);
    let _jobs = elsewhere.start_jobs();
    app.register(ADA).await.expect(202);
    let session = app.session(ADA).await;
    let token = session["access_token"].as_str().unwrap();
    let member = id(&app, ADA).await;

    app.auth.disable(member, Actor::CommandLine).await.unwrap();
    app.auth.disable(member, Actor::CommandLine).await.unwrap();
    assert_eq!(app.api.get("/v1/me").bearer(token).send().await.code(), "session_revoked");
    let verifier = elsewhere.auth.verifier();
    eventually(Duration::from_secs(1), || async {
        (verifier.member(token).await.err() == Some(Refused::Revoked)).then_some(())
    })
    .await;
    assert_eq!(app.refresh(&session).await.code(), "session_revoked");
    assert!(app.auth.introspect(token).await.unwrap().is_none());

    app.auth.enable(member, Actor::CommandLine).await.unwrap();
    assert_eq!(app.refresh(&session).await.code(), "session_revoked");
    app.login(ADA, PASSWORD).await.expect(200);
    let sql =
        "SELECT kind FROM security_event WHERE kind LIKE 'account%' ORDER BY occurred_at, event_id";
    let events: Vec<String> = sqlx::query_scalar(sql).fetch_all(&app.db).await.unwrap();
    // One for the session, one for the account; nothing for the second time.
    assert_eq!(events, ["account_disabled", "account_disabled", "account_enabled"]);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_login_that_is_checked_while_the_account_is_disabled_begins_no_session(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let member = id(&app, ADA).await;
    let logins = (0..8).map(|_| app.login(ADA, PASSWORD));
    let disable = async {
        // As soon as one login is counted, others are on their way.
        eventually(Duration::from_secs(10), || async {
            (app.count("login_attempt").await > 0).then_some(())
        })
        .await;
        app.auth.disable(member, Actor::CommandLine).await.unwrap();
    };
    futures::future::join(futures::future::join_all(logins), disable).await;
    let sql = "SELECT count(*) FROM session WHERE ended_at IS NULL";
    let live: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
    assert_eq!(live, 0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn only_operators_close_accounts_and_not_their_own(db: PgPool) {
    let app = TestApp::new(db).await;
    let member = app.member(ADA).await;
    let operator = operator(&app).await;
    let path = format!("/v1/members/{}/disabled", id(&app, ADA).await);
    app.api.put(&path).send().await.expect(401);
    assert_eq!(app.api.put(&path).bearer(&member).send().await.expect(403).code(), "forbidden");
    assert_eq!(app.api.delete(&path).bearer(&member).send().await.expect(403).code(), "forbidden");

    for _ in 0..2 {
        app.api.put(&path).bearer(&operator).send().await.expect(204);
    }
    app.login(ADA, PASSWORD).await.expect(401);
    app.api.delete(&path).bearer(&operator).send().await.expect(204);
    app.login(ADA, PASSWORD).await.expect(200);

    let own = format!("/v1/members/{}/disabled", id(&app, "op@example.org").await);
    let refused = app.api.put(&own).bearer(&operator).send().await.expect(422);
    assert_eq!(refused.code(), "own_account");
    let nobody = format!("/v1/members/{}/disabled", Clock::system().id());
    app.api.put(&nobody).bearer(&operator).send().await.expect(404);
    app.api.delete(&nobody).bearer(&operator).send().await.expect(404);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_command_line_takes_an_address_or_an_id_and_not_both(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let member = id(&app, ADA).await;
    for account in [vec!["--email", "Ada@Example.org"], vec!["--account", &member.to_string()]] {
        for (command, status) in [("disable", 401), ("enable", 200)] {
            app.auth.operate(parse(command, &account).unwrap()).await.unwrap();
            app.login(ADA, PASSWORD).await.expect(status);
        }
    }
    for wrong in [vec![], vec!["--email", ADA, "--account", &member.to_string()]] {
        assert!(parse("disable", &wrong).is_none(), "{wrong:?}");
    }
    let unknown = parse("disable", &["--email", "eve@example.org"]).unwrap();
    let error = app.auth.operate(unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "no member has this address");
    let unknown = Clock::system().id().to_string();
    let unknown = parse("disable", &["--account", &unknown]).unwrap();
    assert_eq!(app.auth.operate(unknown).await.unwrap_err().to_string(), "member not found");
}

/// Parses `auth <command> <arguments>`.
fn parse(command: &str, arguments: &[&str]) -> Option<Command> {
    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }
    let line = ["auth", command].into_iter().chain(arguments.iter().copied());
    <Line as clap::Parser>::try_parse_from(line).ok().map(|line| line.command)
}
