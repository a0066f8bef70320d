//! Codes sent by mail: their recipients and their effects.

use std::path::PathBuf;
use std::time::Duration;

use auth::config::Mail;
use auth::mailer::Mailer;
use kit::Clock;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use testkit::http::Reply;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{PASSWORD, TestApp};

const NEW: &str = "a new and different password";

/// auth with its mail delivery, and the directory it writes to.
pub struct Post {
    pub app: TestApp,
    directory: PathBuf,
    _stop: DropGuard,
}

impl Post {
    pub async fn new(db: PgPool) -> Self {
        Self::of(TestApp::new(db).await)
    }

    pub fn of(app: TestApp) -> Self {
        let name = Clock::system().id().to_string();
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let config = Mail {
            smtp_url: None,
            mail_sink_dir: Some(directory.clone()),
            mail_from: "auth@example.org".to_owned(),
        };
        let stop = CancellationToken::new();
        let mailer = Mailer::new(&config).unwrap();
        tokio::spawn(app.auth.clone().deliver_mail(mailer, stop.clone()));
        Self { app, directory, _stop: stop.drop_guard() }
    }

    pub async fn ask(&self, path: &str, key: &str, body: Value) -> Reply {
        self.app.api.post(path).key(key).json(body).send().await
    }

    pub fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.directory).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|file| file.extension() == Some("eml".as_ref())).collect();
        files.sort();
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    /// Waits for this number of mails and returns the code in the newest.
    pub async fn code(&self, mails: usize) -> String {
        let mail = eventually(Duration::from_secs(10), || async {
            let all = self.mails();
            (all.len() == mails).then(|| all.last().cloned()).flatten()
        })
        .await;
        mail.split("Your code is ").nth(1).unwrap()[..11].to_owned()
    }

    /// Waits until every event is delivered.
    pub async fn quiet(&self) {
        eventually(Duration::from_secs(10), || async {
            let sql = "SELECT count(*) FROM outbox_event WHERE delivered_at IS NULL";
            let waiting: i64 = sqlx::query_scalar(sql).fetch_one(&self.app.db).await.unwrap();
            (waiting == 0).then_some(())
        })
        .await;
    }

    async fn verified(&self, token: &str) -> bool {
        let me = self.app.api.get("/v1/me").bearer(token).send().await.expect(200).json();
        me["email_verified"].as_bool().unwrap()
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn an_address_is_verified_with_the_code_it_was_sent(db: PgPool) {
    let post = Post::new(db).await;
    let token = post.app.member("ada@example.org").await;
    assert!(!post.verified(&token).await);
    let code = post.code(1).await;
    assert!(post.mails()[0].contains("To: ada@example.org"), "{:?}", post.mails());

    // It does not verify another address.
    post.app.register("eve@example.org").await.expect(202);
    let body = json!({ "email": "eve@example.org", "code": code, "password": NEW });
    assert_eq!(post.ask("/v1/verification", "k1", body).await.expect(401).code(), "code_invalid");

    let body = json!({ "email": "Ada@example.org", "code": code.to_lowercase(), "password": NEW });
    post.ask("/v1/verification", "k2", body.clone()).await.expect(200);
    let session = post.app.login("ada@example.org", NEW).await.expect(200).json();
    assert!(post.verified(session["access_token"].as_str().unwrap()).await);
    let again = post.ask("/v1/verification", "k2", body.clone()).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    // It works once.
    assert_eq!(post.ask("/v1/verification", "k3", body).await.expect(401).code(), "code_invalid");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_forgotten_password_is_replaced_and_every_session_ends(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register("ada@example.org").await.expect(202);
    let session = post.app.session("ada@example.org").await;
    post.code(1).await;
    post.ask("/v1/password/forgot", "k", json!({ "email": "ada@example.org" })).await.expect(202);
    let code = post.code(2).await;

    let reset = |key: &'static str, password: &'static str| {
        let body = json!({ "email": "ada@example.org", "code": code, "new_password": password });
        post.ask("/v1/password/reset", key, body)
    };
    // An invalid password does not use up the code.
    assert_eq!(reset("k0", "short").await.expect(422).code(), "password_too_short");
    reset("k1", NEW).await.expect(200);
    let token = session["access_token"].as_str().unwrap();
    let reply = post.app.api.get("/v1/me").bearer(token).send().await.expect(401);
    assert_eq!(reply.code(), "session_revoked");
    assert_eq!(post.app.refresh(&session).await.expect(401).code(), "session_revoked");
    post.app.login("ada@example.org", PASSWORD).await.expect(401);
    let token = post.app.login("ada@example.org", NEW).await.expect(200).json();
    // The reset has verified the address, too.
    assert!(post.verified(token["access_token"].as_str().unwrap()).await);
    assert_eq!(reset("k2", "a third password").await.expect(401).code(), "code_invalid");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_code_ends_after_ten_minutes_and_cannot_be_guessed(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register("ada@example.org").await.expect(202);
    post.code(1).await;
    post.ask("/v1/password/forgot", "k", json!({ "email": "ada@example.org" })).await.expect(202);
    let code = post.code(2).await;
    let reset = |key: String, email: &'static str, code: &str| {
        let body = json!({ "email": email, "code": code, "new_password": NEW });
        let post = &post;
        async move { post.ask("/v1/password/reset", &key, body).await }
    };
    sqlx::query(
        "UPDATE mail_code SET expires_at = expires_at - interval '10 min' WHERE purpose = 'reset'",
    )
    .execute(&post.app.db)
    .await
    .unwrap();
    assert_eq!(
        reset("late".into(), "ada@example.org", &code).await.expect(401).code(),
        "code_invalid"
    );

    for attempt in 1..=5 {
        let known = reset(format!("a{attempt}"), "ada@example.org", "00000-00000").await;
        let unknown = reset(format!("b{attempt}"), "nobody@example.org", "00000-00000").await;
        if attempt < 5 {
            assert_eq!((known.status, known.code()), (unknown.status, unknown.code()));
            assert_eq!(known.expect(401).code(), "code_invalid");
        } else {
            known.expect(429);
        }
    }
    // Wrong codes do not lock the login.
    post.app.login("ada@example.org", PASSWORD).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn asking_for_a_code_does_not_tell_who_is_a_member_and_fills_no_mailbox(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register("ada@example.org").await.expect(202);
    post.code(1).await;
    for path in ["/v1/password/forgot", "/v1/verification/resend"] {
        let known = post.ask(path, "a", json!({ "email": "ada@example.org" })).await.expect(202);
        let unknown = post.ask(path, "b", json!({ "email": "eve@example.org" })).await.expect(202);
        assert_eq!(known.body, unknown.body);
        let names = |reply: &Reply| reply.headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&known), names(&unknown));
        for n in 0..10 {
            let body = json!({ "email": "ada@example.org" });
            post.ask(path, &format!("k{n}"), body).await.expect(202);
        }
    }
    post.quiet().await;
    assert_eq!(post.mails().len(), 6, "three of each kind within the hour");
    assert!(post.mails().iter().all(|mail| !mail.contains("eve@")));
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn mail_that_becomes_files_is_for_our_own_user_alone(db: PgPool) {
    use std::os::unix::fs::PermissionsExt as _;
    let post = Post::new(db).await;
    std::fs::remove_dir(&post.directory).unwrap();
    post.app.register("ada@example.org").await.expect(202);
    post.quiet().await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&post.directory), 0o700);
    for file in std::fs::read_dir(&post.directory).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn without_a_way_out_no_mail_is_taken_for_sent(db: PgPool) {
    let app = TestApp::new(db).await;
    let (smtp_url, mail_sink_dir) = (None, None);
    let config = Mail { smtp_url, mail_sink_dir, mail_from: "auth@example.org".to_owned() };
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let mailer = Mailer::new(&config).unwrap();
    tokio::spawn(app.auth.clone().deliver_mail(mailer, stop));
    app.register("ada@example.org").await.expect(202);
    let tried = || async {
        let sql = "SELECT attempts > 0, delivered_at IS NULL FROM outbox_event";
        let event: (bool, bool) = sqlx::query_as(sql).fetch_one(&app.db).await.unwrap();
        (event == (true, true)).then_some(())
    };
    eventually(Duration::from_secs(10), tried).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn neither_an_address_nor_a_code_lies_in_the_outbox(db: PgPool) {
    let post = Post::new(db).await;
    post.app.register("ada@example.org").await.expect(202);
    let code = post.code(1).await;
    for table in ["outbox_event", "mail_code"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&post.app.db).await.unwrap();
        assert!(!rows.is_empty());
        for row in rows {
            assert!(!row.contains("ada@") && !row.contains(&code.replace('-', "")), "{row}");
        }
    }
}
