//! Limits on guesses at passwords.

use std::time::Duration;

use auth::hasher::Hasher;
use kit::Clock;
use serde_json::Value;
use sqlx::PgPool;
use testkit::http::Reply;

use crate::app::{PASSWORD, TestApp, hashes, lock_waits, login};

const WRONG: &str = "tr0ub4dor&3";

/// The parts of an answer by which a client could tell two apart.
fn visible(reply: &Reply) -> (u16, Vec<String>, usize, Value) {
    let mut body = reply.json();
    body["request_id"] = Value::Null;
    let headers = reply.headers.keys().map(|name| name.as_str().to_owned()).collect();
    (reply.status.as_u16(), headers, reply.body.len(), body)
}

/// Logs in, and again for as long as auth is overloaded: on a loaded machine hashing yields to all other processes.
async fn patiently(app: &TestApp, password: &str) -> Reply {
    loop {
        let reply = app.login("ada@example.org", password).await;
        if reply.status != 503 || reply.code() != "auth_overloaded" {
            return reply;
        }
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn of_200_guesses_at_once_five_are_looked_at(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let before = hashes();

    let guesses = (0..200).map(|_| patiently(&app, WRONG));
    let replies = futures::future::join_all(guesses).await;

    assert!(hashes() - before <= 5, "{} hashes", hashes() - before);
    let of = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((of(401), of(429)), (5, 195), "others: {:?}", {
        let other = replies.iter().find(|r| r.status != 401 && r.status != 429);
        other.map(Reply::text)
    });
    // The right password is not checked either until the window ends.
    let blocked = app.login("ada@example.org", PASSWORD).await.expect(429);
    assert_eq!(blocked.code(), "too_many_attempts");
    let wait: u64 = blocked.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    assert_eq!(hashes() - before, 5);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_wrong_password_and_an_unknown_address_look_the_same(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let before = hashes();

    for attempt in 1..=6 {
        let known = app.login("ada@example.org", WRONG).await;
        let unknown = app.login("eve@example.org", WRONG).await;
        assert_eq!(visible(&known), visible(&unknown), "attempt {attempt}");
        assert_eq!(known.status, if attempt <= 5 { 401 } else { 429 });
        assert_eq!(
            known.code(),
            if attempt <= 5 { "invalid_credentials" } else { "too_many_attempts" }
        );
    }
    assert_eq!(hashes() - before, 10, "both cost a hash each time they are looked at");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_right_password_forgives_the_wrong_ones_before_it(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    for _ in 0..3 {
        for _ in 0..4 {
            app.login("ada@example.org", WRONG).await.expect(401);
        }
        app.login("ada@example.org", PASSWORD).await.expect(200);
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn one_address_being_guessed_at_does_not_block_another(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    for _ in 0..7 {
        app.login("eve@example.org", WRONG).await;
    }
    app.login("ada@example.org", PASSWORD).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn when_the_window_is_over_there_are_guesses_again(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    for _ in 0..6 {
        app.login("ada@example.org", WRONG).await;
    }
    // Further guesses do not prolong it.
    let ends = || async {
        let sql = "SELECT max(window_ends_at)::text FROM login_attempt";
        sqlx::query_scalar::<_, String>(sql).fetch_one(&app.db).await.unwrap()
    };
    let before = ends().await;
    app.login("ada@example.org", WRONG).await.expect(429);
    assert_eq!(ends().await, before);

    sqlx::query("UPDATE login_attempt SET window_ends_at = now()").execute(&app.db).await.unwrap();
    app.login("ada@example.org", PASSWORD).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn the_count_survives_a_restart(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    for _ in 0..5 {
        app.login("ada@example.org", WRONG).await.expect(401);
    }
    TestApp::new(db).await.login("ada@example.org", WRONG).await.expect(429);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn too_many_logins_at_once_are_told_to_come_back_and_cost_no_attempt(db: PgPool) {
    let app = TestApp::with(db, Clock::system(), Hasher::with(1, 1)).await;
    let addresses: Vec<_> = (0..20).map(|n| format!("m{n}@example.org")).collect();
    let calls = addresses.iter().map(|email| login(&app.api, email, WRONG));
    let replies = futures::future::join_all(calls).await;

    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert!(!refused.is_empty());
    for reply in &refused {
        assert_eq!(reply.code(), "auth_overloaded");
        assert!(!reply.header("retry-after").is_empty());
        assert_eq!(reply.json()["outcome"], "none");
    }
    let counted: i64 =
        sqlx::query_scalar("SELECT sum(reserved) FROM login_attempt WHERE allowed = 5")
            .fetch_one(&app.db)
            .await
            .unwrap();
    assert_eq!(counted, 20 - i64::try_from(refused.len()).unwrap());
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn while_there_is_no_room_to_hash_a_login_does_not_reach_the_database(db: PgPool) {
    let app = TestApp::with(db, Clock::system(), Hasher::with(0, 0)).await;
    let reply = app.login("ada@example.org", WRONG).await.expect(503);
    assert_eq!(reply.code(), "auth_overloaded");
    let sql = "SELECT count(*) FROM login_attempt";
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&app.db).await.unwrap(), 0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_client_that_hangs_up_leaves_its_attempt_counted_and_no_extra_hash(db: PgPool) {
    let app = TestApp::with(db, Clock::system(), Hasher::with(1, 100)).await;
    for _ in 0..30 {
        let call = login(&app.api, "ada@example.org", WRONG);
        let _ = tokio::time::timeout(Duration::from_millis(5), call).await;
    }
    let all_done = || async {
        let sql = "SELECT failed FROM login_attempt WHERE allowed = 5";
        let failed: Option<i32> = sqlx::query_scalar(sql).fetch_optional(&app.db).await.unwrap();
        (failed == Some(5)).then_some(())
    };
    testkit::eventually(Duration::from_secs(20), all_done).await;
    assert_eq!(hashes(), 5);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn of_20_right_logins_at_once_none_is_refused(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let logins = (0..20).map(|_| patiently(&app, PASSWORD));
    for reply in futures::future::join_all(logins).await {
        reply.expect(200);
    }
}

/// Sends more guesses than may be wrong to two replicas; neither knows those that the other is checking.
#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn of_8_right_logins_at_two_replicas_none_is_refused(db: PgPool) {
    let replicas = [TestApp::new(db.clone()).await, TestApp::new(db).await];
    replicas[0].register("ada@example.org").await.expect(202);
    let logins = (0..8).map(|n| replicas[n % 2].login("ada@example.org", PASSWORD));
    for reply in futures::future::join_all(logins).await {
        reply.expect(200);
    }
}

/// A login from this address, with this cookie.
async fn from(app: &TestApp, ip: &str, cookie: &str, password: &str) -> Reply {
    login(&app.from(ip, cookie), "ada@example.org", password).await
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_known_device_is_not_locked_out_by_strangers(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let reply = from(&app, "192.0.2.1", "", PASSWORD).await.expect(200);
    let set = reply.header("set-cookie").to_owned();
    for attribute in ["__Host-device=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = set.split(';').next().unwrap();

    let strangers = (0..60).map(|n| {
        let (app, ip) = (&app, format!("203.0.{n}.1"));
        async move { from(app, &ip, "", WRONG).await }
    });
    let strangers = futures::future::join_all(strangers).await;
    assert_eq!(strangers.iter().filter(|reply| reply.status == 401).count(), 20);
    // All are locked out: the owner on a new device, and a stranger with a made-up cookie, too.
    from(&app, "192.0.2.1", "", PASSWORD).await.expect(429);
    let forged = format!("{}A", &cookie[..cookie.len() - 1]);
    if forged != cookie {
        from(&app, "192.0.2.1", &forged, PASSWORD).await.expect(429);
    }
    // The owner's known device is not locked out, and keeps its cookie.
    let again = from(&app, "198.51.100.7", cookie, PASSWORD).await.expect(200);
    assert!(again.header("set-cookie").starts_with(cookie));
    // A known device gets five guesses like any client, and does not replace the password.
    for _ in 0..5 {
        from(&app, "198.51.100.7", cookie, WRONG).await.expect(401);
    }
    from(&app, "198.51.100.7", cookie, PASSWORD).await.expect(429);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn who_gets_none_of_the_accounts_guesses_keeps_those_of_their_network(db: PgPool) {
    let app = TestApp::new(db).await;
    let stranger = |n: usize| {
        let (app, ip) = (&app, format!("203.0.{n}.1"));
        async move { from(app, &ip, "", WRONG).await }
    };
    for reply in futures::future::join_all((0..19).map(stranger)).await {
        reply.expect(401);
    }
    // One guess is left, and three clients take it at the same moment.
    let mut held = app.db.begin().await.unwrap();
    let sql = "SELECT FROM login_attempt WHERE allowed = 20 FOR UPDATE";
    sqlx::query(sql).execute(&mut *held).await.unwrap();
    let release = async {
        lock_waits(&app.db, 3).await;
        held.rollback().await.unwrap();
    };
    let asked = futures::future::join_all((19..22).map(stranger));
    let (replies, ()) = futures::future::join(asked, release).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 401).count(), 1);
    let sql = "SELECT count(*) FROM login_attempt WHERE allowed = 5 AND reserved > 0";
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&app.db).await.unwrap(), 20);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn one_network_being_locked_does_not_lock_another(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    for _ in 0..5 {
        from(&app, "203.0.113.1", "", WRONG).await.expect(401);
    }
    from(&app, "203.0.113.99", "", PASSWORD).await.expect(429);
    from(&app, "192.0.2.1", "", PASSWORD).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn each_lock_is_twice_as_long_until_the_right_password_comes(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let over = || async {
        let sql = "UPDATE login_attempt SET window_ends_at = now()";
        sqlx::query(sql).execute(&app.db).await.unwrap();
    };
    for minutes in [15, 30, 60, 120, 240, 480, 960, 960] {
        for _ in 0..5 {
            app.login("ada@example.org", WRONG).await.expect(401);
        }
        let locked = app.login("ada@example.org", PASSWORD).await.expect(429);
        let wait: i64 = locked.header("retry-after").parse().unwrap();
        assert!((wait - minutes * 60).abs() < 30, "{wait} s, expected {minutes} min");
        over().await;
    }
    app.login("ada@example.org", PASSWORD).await.expect(200);
    over().await;
    for _ in 0..5 {
        app.login("ada@example.org", WRONG).await.expect(401);
    }
    let locked = app.login("ada@example.org", PASSWORD).await.expect(429);
    assert!(locked.header("retry-after").parse::<i64>().unwrap() <= 900);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_login_makes_a_weak_hash_strong(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    // A hash of "correct horse battery staple" with a tenth of the memory.
    let weak = argon2::Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        argon2::Params::new(1_946, 1, 1, None).unwrap(),
    );
    let weak = argon2::PasswordHasher::hash_password(&weak, PASSWORD.as_bytes()).unwrap();
    let sql = "UPDATE member_password SET hash = $1";
    sqlx::query(sql).bind(weak.to_string()).execute(&app.db).await.unwrap();

    let hash = || async {
        let sql = "SELECT hash FROM member_password";
        sqlx::query_scalar::<_, String>(sql).fetch_one(&app.db).await.unwrap()
    };
    app.login("ada@example.org", WRONG).await.expect(401);
    assert!(hash().await.contains("m=1946,"));
    app.login("ada@example.org", PASSWORD).await.expect(200);
    let strong = hash().await;
    assert!(strong.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{strong}");
    app.login("ada@example.org", PASSWORD).await.expect(200);
    assert_eq!(hash().await, strong);
}
