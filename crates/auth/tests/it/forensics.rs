//! The audit of security events: actor, role and network.

use auth::app::ClientSecret;
use auth::config::Grant;
use auth::domain::Actor;
use kit::caller::Role;
use proto::auth::v1::IssueServiceTokenRequest;
use proto::auth::v1::auth_client::AuthClient;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::app::{PASSWORD, TestApp, login, metric};
use crate::recording::Recording;

const ADA: &str = "ada@example.org";

type Row = (String, String, Option<String>, Option<String>, bool);

/// The security events, without time and session.
async fn events(app: &TestApp) -> Vec<Row> {
    let sql = "SELECT kind, actor_role, network::text, client_id, actor_id IS NOT NULL
               FROM security_event ORDER BY occurred_at, event_id";
    sqlx::query_as(sql).fetch_all(&app.db).await.unwrap()
}

fn row(kind: &str, role: &str, network: Option<&str>, person: bool) -> Row {
    (kind.to_owned(), role.to_owned(), network.map(str::to_owned), None, person)
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn an_event_says_who_did_it_as_what_and_from_which_network(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    app.register("op@example.org").await.expect(202);
    app.verified("op@example.org").await;
    let role = Role::Operator;
    app.auth.grant(&Grant { email: "op@example.org".to_owned(), role }).await.unwrap();
    let at_home = app.from("192.0.2.77", "");
    let session = login(&at_home, ADA, PASSWORD).await.expect(200).json();
    let body = json!({ "email": "op@example.org", "password": PASSWORD, "audience": "auth" });
    let office = app.from("2001:db8:0:7::1", "");
    let operator = office.post("/v1/login").json(body).send().await.expect(200).json();
    let path = format!("/v1/members/{}/disabled", session["member_id"].as_str().unwrap());
    let token = operator["access_token"].as_str().unwrap();
    office.put(&path).bearer(token).send().await.expect(204);
    let secret = ClientSecret::new("s".repeat(32).into()).unwrap();
    app.auth.put_client("booking", &secret).await.unwrap();

    let (home, office) = (Some("192.0.2.0/24"), Some("2001:db8:0:7::/64"));
    let mut client = row("client_secret_set", "command_line", None, false);
    client.3 = Some("booking".to_owned());
    let expected = [
        row("role_granted", "command_line", None, false),
        row("signed_in", "member", home, true),
        row("signed_in", "member", office, true),
        row("account_disabled", "operator", office, true), // the session
        row("account_disabled", "operator", office, true),
        client,
    ];
    assert_eq!(events(&app).await, expected);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn whatever_secret_is_refused_is_in_the_audit_log_and_counted(db: PgPool) {
    let recording = Recording::start("info");

    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let api = app.from("203.0.113.9", "");
    let session = login(&api, ADA, PASSWORD).await.expect(200).json();
    let token = session["access_token"].as_str().unwrap();
    login(&api, ADA, "wrong").await.expect(401);
    let new = "a new and different password";
    let body = json!({ "current_password": "wrong", "new_password": new });
    api.post("/v1/password").key("p").bearer(token).json(body).send().await.expect(401);
    for (key, path, field) in
        [("v", "/v1/verification", "password"), ("r", "/v1/password/reset", "new_password")]
    {
        let body = json!({ "email": ADA, "code": "00000-00000", field: new });
        api.post(path).key(key).json(body).send().await.expect(401);
    }
    let forged = "A".repeat(70);
    let body = json!({ "refresh_token": forged });
    api.post("/v1/refresh").json(body).send().await.expect(401);
    let secret = ClientSecret::new("s".repeat(32).into()).unwrap();
    app.auth.put_client("booking", &secret).await.unwrap();
    let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
    for name in ["booking", "ada@example.org"] {
        let (client_id, client_secret) = (name.to_owned(), "wrong".to_owned());
        let asked = IssueServiceTokenRequest { client_id, client_secret };
        client.issue_service_token(asked).await.unwrap_err();
    }
    let text = recording.end().log;

    for (secret, count) in [
        ("current_password", 1.0),
        ("mail_code", 2.0),
        ("refresh_token", 1.0),
        ("client_secret", 2.0),
    ] {
        let series = format!("auth_refused_secrets_total{{secret=\"{secret}\"}}");
        assert_eq!(metric(&series), count, "{series}");
    }
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let audit: Vec<_> = lines.filter(|line| line["target"] == "audit").collect();
    let find =
        |kind: &str| -> Vec<&Value> { audit.iter().filter(|line| line["event"] == kind).collect() };
    for (kind, role, network) in [
        ("sign_in_failed", "stranger", json!("203.0.113.0/24")),
        ("password_refused", "member", json!("203.0.113.0/24")),
        ("code_refused", "stranger", json!("203.0.113.0/24")),
        ("refresh_refused", "stranger", json!("203.0.113.0/24")),
    ] {
        let found = find(kind);
        assert!(!found.is_empty(), "{kind} in {audit:#?}");
        for line in found {
            assert_eq!((&line["actor_role"], &line["network"]), (&json!(role), &network), "{line}");
        }
    }
    // An unknown client name may be any text, and is not logged.
    let clients: Vec<_> =
        find("client_refused").iter().map(|line| line["client_id"].clone()).collect();
    assert_eq!(clients, [json!("booking"), json!(null)]);
    assert!(!text.contains("ada@example.org") && !text.contains("203.0.113.9"), "{text}");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn locks_reused_tokens_and_addresses_under_attack_are_counted(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let first = app.session(ADA).await;
    let second = app.refresh(&first).await.expect(200).json();
    app.refresh(&second).await.expect(200);
    app.refresh(&first).await.expect(401);
    assert_eq!(metric("auth_refresh_reused_total"), 1.0);
    for n in 0..3 {
        app.login(&format!("m{n}@example.org"), "wrong").await.expect(401);
    }
    for _ in 0..5 {
        app.login("eve@example.org", "wrong").await.expect(401);
    }
    assert_eq!(metric("auth_locks_total{secret=\"password\"}"), 1.0);
    assert_eq!(metric("auth_locks_total{secret=\"code\"}"), 0.0);
    let _jobs = app.start_jobs();
    let counted = || async { (metric("auth_guessed_accounts") == 4.0).then_some(()) };
    testkit::eventually(std::time::Duration::from_secs(5), counted).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_network_is_kept_for_90_days_and_the_event_for_ever(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    for _ in 0..2 {
        login(&app.from("192.0.2.1", ""), ADA, PASSWORD).await.expect(200);
    }
    let age = "UPDATE security_event SET occurred_at = occurred_at - interval '91 days'
               WHERE event_id = (SELECT min(event_id::text)::uuid FROM security_event)";
    sqlx::query(age).execute(&app.db).await.unwrap();
    let pool = testkit::postgres::app_pool(&app.db, "auth_app");
    let forgotten: i64 =
        sqlx::query_scalar("SELECT forget_networks()").fetch_one(&pool).await.unwrap();
    assert_eq!(forgotten, 1);
    let networks: Vec<_> = events(&app).await.into_iter().map(|row| row.2).collect();
    assert_eq!(networks, [None, Some("192.0.2.0/24".to_owned())]);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn an_account_that_nobody_verifies_or_uses_is_deleted_and_its_history_is_not(db: PgPool) {
    let app = TestApp::new(db).await;
    let others = ["before", "fresh", "operator", "used", "verified"];
    let others = others.map(|name| format!("{name}@example.org"));
    for email in others.iter().map(String::as_str).chain([ADA]) {
        app.register(email).await.expect(202);
    }
    for email in ["verified@example.org", "operator@example.org"] {
        app.verified(email).await;
    }
    let grant = Grant { email: "operator@example.org".to_owned(), role: Role::Operator };
    app.auth.grant(&grant).await.unwrap();
    let used = app.session("used@example.org").await;
    let sql = "SELECT member_id FROM member WHERE email = $1";
    let member: uuid::Uuid = sqlx::query_scalar(sql).bind(ADA).fetch_one(&app.db).await.unwrap();
    let sql = "INSERT INTO security_event (event_id, kind, member_id) VALUES (gen_random_uuid(), 'looked_at', $1)";
    sqlx::query(sql).bind(member).execute(&app.db).await.unwrap();
    let sql = "UPDATE member SET verify_by = now() - interval '61 minutes'
               WHERE email <> 'fresh@example.org';
               -- It was there before the migration.
               UPDATE member SET verify_by = NULL, created_at = now() - interval '1 year'
               WHERE email = 'before@example.org';
               -- A role from before roles needed an address keeps the account.
               UPDATE member SET verified_at = NULL WHERE email = 'operator@example.org';
               -- Its session was forgotten long ago.
               UPDATE session SET ended_at = now(), end_reason = 'logout';
               DELETE FROM session";
    sqlx::raw_sql(sql).execute(&app.db).await.unwrap();
    // A login is too late now: the account may be deleted at any moment.
    assert_eq!(app.login(ADA, PASSWORD).await.expect(401).code(), "invalid_credentials");

    app.auth.delete_unverified().await.unwrap();
    let left: Vec<String> = sqlx::query_scalar("SELECT email FROM member ORDER BY email")
        .fetch_all(&app.db)
        .await
        .unwrap();
    assert_eq!(left, others);
    assert_eq!(app.session("used@example.org").await["member_id"], used["member_id"]);
    app.login("before@example.org", PASSWORD).await.expect(200);
    let sql = "SELECT count(*) FROM security_event WHERE member_id = $1";
    let history: i64 = sqlx::query_scalar(sql).bind(member).fetch_one(&app.db).await.unwrap();
    assert_eq!(history, 1);
    // The address is free for its owner.
    let again = json!({ "email": ADA, "password": PASSWORD, "display_name": "Ada" });
    app.api.post("/v1/register").key("again").json(again).send().await.expect(202);
    app.auth.disable(member, Actor::CommandLine).await.unwrap_err();
    app.login(ADA, PASSWORD).await.expect(200);
}

#[sqlx::test(migrations = false)]
async fn whoever_was_there_before_the_migration_is_never_deleted(db: PgPool) {
    for migration in auth::MIGRATOR.iter().filter(|m| m.migration_type.is_up_migration()) {
        if migration.version == 10 {
            let sql = "INSERT INTO member (member_id, email, display_name, created_at)
                       VALUES (gen_random_uuid(), 'old@example.org', 'Old', now() - interval '1 year')";
            sqlx::query(sql).execute(&db).await.unwrap();
        }
        sqlx::raw_sql(migration.sql.clone()).execute(&db).await.unwrap();
    }
    // The rows that the previous version writes while both run.
    let sql = "INSERT INTO member (member_id, email, display_name, created_at)
                   VALUES (gen_random_uuid(), 'new@example.org', 'New', now());
               INSERT INTO security_event (event_id, kind) VALUES (gen_random_uuid(), 'signed_in');
               INSERT INTO mail_code (code_id, member_id, purpose, expires_at)
                   SELECT gen_random_uuid(), member_id, 'verify', now() FROM member";
    sqlx::raw_sql(sql).execute(&db).await.unwrap();
    let sql = "SELECT email FROM member WHERE verify_by IS NULL";
    let kept: Vec<String> = sqlx::query_scalar(sql).fetch_all(&db).await.unwrap();
    assert_eq!(kept, ["old@example.org"]);
}
