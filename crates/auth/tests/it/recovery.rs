//! Recovery: the owner gets in while strangers guess passwords and request codes.

use serde_json::json;
use sqlx::PgPool;
use testkit::http::{Api, Reply};

use crate::app::{PASSWORD, TestApp, cookie, lock_waits, login};
use crate::mailing::Post;

const ADA: &str = "ada@example.org";
const NEW: &str = "a new and different password";
const WRONG: &str = "tr0ub4dor&3";

async fn forgot(api: &Api, key: &str) {
    let call = api.post("/v1/password/forgot").key(key).json(json!({ "email": ADA }));
    call.send().await.expect(202);
}

async fn reset(api: &Api, key: &str, code: &str, new: &str) -> Reply {
    let body = json!({ "email": ADA, "code": code, "new_password": new });
    api.post("/v1/password/reset").key(key).json(body).send().await
}

fn resets(post: &Post) -> Vec<String> {
    post.mails().into_iter().filter(|mail| mail.contains("Choose a new password")).collect()
}

/// The code in the newest of this number of mails.
async fn reset_code(post: &Post, mails: usize) -> String {
    post.quiet().await;
    let resets = resets(post);
    assert_eq!(resets.len(), mails);
    resets[mails - 1].split("Your code is ").nth(1).unwrap()[..11].to_owned()
}

/// Registers Ada, who asks for a code; returns it.
async fn forgetful(db: PgPool) -> (Post, String) {
    let post = Post::new(db).await;
    post.app.register(ADA).await.expect(202);
    forgot(&post.app.api, "f").await;
    let code = reset_code(&post, 1).await;
    (post, code)
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_locked_account_is_recovered_with_a_mailed_code(db: PgPool) {
    let post = Post::new(db).await;
    let app = &post.app;
    app.register(ADA).await.expect(202);
    // Four networks use up the strangers' count; the others have guesses left for later.
    let strangers: Vec<_> = (0..8).map(|n| app.from(&format!("203.0.{n}.1"), "")).collect();
    for (n, stranger) in strangers.iter().enumerate() {
        for turn in 0..5 {
            login(stranger, ADA, WRONG).await;
            reset(stranger, &format!("{n} {turn}"), "00000-00000", NEW).await;
        }
    }
    let owner = app.from("192.0.2.1", "");
    login(&owner, ADA, PASSWORD).await.expect(429);
    // The strangers have not used up the owner's codes.
    forgot(&owner, "f").await;
    let code = reset_code(&post, 1).await;
    let done = reset(&owner, "r", &code, NEW).await.expect(200);
    login(&owner, ADA, NEW).await.expect(200);
    // Further guesses of strangers do not lock the known device.
    for stranger in &strangers {
        for _ in 0..5 {
            login(stranger, ADA, WRONG).await;
        }
    }
    login(&owner, ADA, NEW).await.expect(429);
    login(&app.from("192.0.2.1", &cookie(&done)), ADA, NEW).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_strangers_requests_do_not_use_up_the_owners_mails(db: PgPool) {
    let post = Post::new(db).await;
    let app = &post.app;
    app.register(ADA).await.expect(202);
    post.quiet().await;
    let stranger = app.from("203.0.113.1", "");
    for n in 0..10 {
        forgot(&stranger, &format!("s{n}")).await;
    }
    post.quiet().await;
    assert_eq!(resets(&post).len(), 3, "three for the stranger");
    forgot(&app.from("192.0.2.1", ""), "owner").await;
    let code = reset_code(&post, 4).await;

    // A stranger with many networks fills no mailbox, and cannot keep the owner without a code.
    for n in 0..20 {
        forgot(&app.from(&format!("198.51.{n}.1"), ""), &format!("n{n}")).await;
    }
    post.quiet().await;
    assert_eq!(resets(&post).len(), 5, "so many are live at once");
    reset(&app.from("192.0.2.1", ""), "r", &code, NEW).await.expect(200);
    forgot(&app.from("192.0.3.1", ""), "once more").await;
    let code = reset_code(&post, 6).await;
    forgot(&app.from("192.0.4.1", ""), "the seventh").await;
    assert_eq!(reset_code(&post, 6).await, code, "six within the hour, and one is live");
    reset(&app.from("192.0.3.1", ""), "r2", &code, PASSWORD).await.expect(200);
    forgot(&app.from("192.0.5.1", ""), "none is live").await;
    reset_code(&post, 7).await;
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn however_many_are_delivered_at_once_a_member_gets_three_mails_an_hour(db: PgPool) {
    const MEMBERS: usize = 12;
    let app = TestApp::new(db).await;
    let email = |n: usize| format!("m{n}@example.org");
    for n in 0..MEMBERS {
        app.register(&email(n)).await.expect(202);
    }
    // One member after the other, so that many of one are delivered at once.
    for n in 0..MEMBERS {
        for turn in 0..10 {
            let call = app.api.post("/v1/password/forgot").key(&format!("{n} {turn}"));
            call.json(json!({ "email": email(n) })).send().await.expect(202);
        }
    }
    // All mails are queued, and the delivery takes as many at a time as it can.
    let post = Post::of(app);
    post.quiet().await;
    let sql = "SELECT count(*) FROM mail_code GROUP BY member_id, purpose";
    let codes: Vec<i64> = sqlx::query_scalar(sql).fetch_all(&post.app.db).await.unwrap();
    let mut expected = vec![1; MEMBERS];
    expected.extend(vec![3; MEMBERS]);
    let mut codes = codes;
    codes.sort_unstable();
    assert_eq!(codes, expected);
    assert_eq!(post.mails().len(), MEMBERS * 4);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn locks_at_the_same_moment_are_told_once(db: PgPool) {
    const DEVICES: usize = 2;
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        let reply = login(&app.from("192.0.2.1", ""), ADA, PASSWORD).await.expect(200);
        devices.push(app.from("192.0.2.1", &cookie(&reply)));
    }
    for device in &devices {
        for _ in 0..4 {
            login(device, ADA, WRONG).await.expect(401);
        }
    }
    // The trigger delays the insert of a notice until all logins have found it missing.
    let sql = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
                   'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END';
               CREATE TRIGGER wait BEFORE INSERT ON mail_notice FOR EACH ROW EXECUTE FUNCTION wait();";
    sqlx::raw_sql(sql).execute(&app.db).await.unwrap();
    let mut held = app.db.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(42)").execute(&mut *held).await.unwrap();
    let release = async {
        lock_waits(&app.db, DEVICES).await;
        held.rollback().await.unwrap();
    };
    // Each device has its own count, and all are used up at once.
    let last = futures::future::join_all(devices.iter().map(|device| login(device, ADA, WRONG)));
    futures::future::join(last, release).await;
    assert_eq!(app.count("mail_notice").await, 1);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_device_is_known_until_the_password_changes_or_nobody_uses_it(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let device = async || {
        sqlx::query("DELETE FROM login_attempt").execute(&app.db).await.unwrap();
        let reply = login(&app.from("192.0.2.1", ""), ADA, PASSWORD).await.expect(200);
        (cookie(&reply), reply.json()["access_token"].as_str().unwrap().to_owned())
    };
    let lock = async || {
        for _ in 0..5 {
            login(&app.from("192.0.2.1", ""), ADA, WRONG).await;
        }
    };
    let knows = async |cookie: &str, password: &str| {
        login(&app.from("192.0.2.1", cookie), ADA, password).await.status == 200
    };
    let (cookie, token) = device().await;
    lock().await;
    assert!(knows(&cookie, PASSWORD).await);
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    let change = app.from("192.0.9.1", &cookie);
    change.post("/v1/password").key("c").bearer(&token).json(body).send().await.expect(200);
    assert!(!knows(&cookie, NEW).await, "the password has changed");
    let back = json!({ "current_password": NEW, "new_password": PASSWORD });
    change.post("/v1/password").key("d").bearer(&token).json(back).send().await.expect(200);
    assert!(!knows(&cookie, PASSWORD).await, "that it is the same again does not bring it back");

    let (cookie, _) = device().await;
    lock().await;
    let old = "UPDATE known_device SET used_at = used_at - interval '91 days'";
    sqlx::query(old).execute(&app.db).await.unwrap();
    assert!(!knows(&cookie, PASSWORD).await, "nobody has used it for too long");

    let (cookie, token) = device().await;
    lock().await;
    app.api.delete("/v1/sessions").bearer(&token).send().await.expect(204);
    assert!(!knows(&cookie, PASSWORD).await, "the member signed out everywhere");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn of_a_members_devices_the_last_ten_are_known(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let first = cookie(&login(&app.from("192.0.2.1", ""), ADA, PASSWORD).await.expect(200));
    // The rows of logins at the same moment, which do not see each other's devices.
    let newer = async |n: i32| {
        let sql = "INSERT INTO known_device (device_id, member_id, password_of, used_at)
                   SELECT gen_random_uuid(), member_id, password_of, now() + interval '1 second'
                   FROM (SELECT * FROM known_device LIMIT 1) d, generate_series(1, $1)";
        sqlx::query(sql).bind(n).execute(&app.db).await.unwrap();
    };
    let knows = async || {
        for _ in 0..5 {
            login(&app.from("192.0.2.1", ""), ADA, WRONG).await;
        }
        let known = login(&app.from("192.0.2.1", &first), ADA, PASSWORD).await.status == 200;
        sqlx::query("DELETE FROM login_attempt").execute(&app.db).await.unwrap();
        known
    };
    newer(9).await;
    assert!(knows().await, "the tenth");
    newer(10).await;
    assert!(!knows().await, "the eleventh");
    // The next login deletes the surplus.
    login(&app.from("192.0.2.1", ""), ADA, PASSWORD).await.expect(200);
    assert_eq!(app.count("known_device").await, 10);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn who_types_codes_wrong_again_and_again_waits_no_longer_each_time(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register(ADA).await.expect(202);
    let client = app.from("192.0.2.1", "");
    for turn in 0..3 {
        for n in 0..5 {
            reset(&client, &format!("{turn} {n}"), "00000-00000", NEW).await.expect(401);
        }
        let refused = reset(&client, &format!("{turn}"), "00000-00000", NEW).await.expect(429);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=15 * 60).contains(&wait), "turn {turn}: {wait} seconds");
        let over = "UPDATE login_attempt SET window_ends_at = now() - interval '1 second'";
        sqlx::query(over).execute(&app.db).await.unwrap();
    }
    assert_eq!(app.count("mail_notice").await, 0, "the owner is not concerned");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_code_that_waits_for_a_login_stops_none(db: PgPool) {
    let (post, code) = forgetful(db).await;
    let app = &post.app;
    // A login has locked the password, and locks the member next.
    let mut held = app.db.begin().await.unwrap();
    sqlx::query("SELECT FROM member_password FOR SHARE").execute(&mut *held).await.unwrap();
    let login = async {
        lock_waits(&app.db, 1).await;
        let sql = "SELECT FROM member FOR SHARE NOWAIT";
        let free = sqlx::query(sql).execute(&mut *held).await;
        held.rollback().await.unwrap();
        free.expect("the member is not locked by whoever waits for the password");
    };
    let (done, ()) = futures::future::join(reset(&app.api, "r", &code, NEW), login).await;
    done.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_right_code_that_somebody_used_first_is_no_guess(db: PgPool) {
    let (post, code) = forgetful(db).await;
    let app = &post.app;
    let both = ["r0", "r1"].map(|key| reset(&app.api, key, &code, NEW));
    let mut held = app.db.begin().await.unwrap();
    sqlx::query("SELECT FROM member_password FOR SHARE").execute(&mut *held).await.unwrap();
    let release = async {
        lock_waits(&app.db, 2).await;
        held.rollback().await.unwrap();
    };
    let (replies, ()) = futures::future::join(futures::future::join_all(both), release).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    let sql = "SELECT coalesce(sum(reserved), 0) FROM login_attempt";
    let counted: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
    assert_eq!(counted, 0);
}
