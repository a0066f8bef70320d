//! PostgreSQL is away: earnings are kept and applied once, everything else is refused at once.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kit::Jobs;
use kit::redis::Redis;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;
use testkit::redis::Server;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{TestApp, id, key, points};
use crate::gate::Gate;

struct World {
    app: TestApp,
    gate: Gate,
    redis: Server,
    _stop: DropGuard,
}

/// The service with a durable Redis, and its queue being applied.
async fn world(db: PgPool) -> World {
    let (gate, redis) = (Gate::before(&db).await, Server::durable().await);
    let app = TestApp::behind(&gate, &redis.config_of("points"), db);
    let stop = CancellationToken::new();
    let mut jobs = Jobs::new(app.pool.clone(), stop.clone());
    jobs.every("apply_queued", Duration::from_secs(1), &app.points, |points| async move {
        points.apply_queued().await
    });
    jobs.always("measure_queue", &app.points, |points, stop| async move {
        points.measure_queue(stop).await;
        Ok(())
    });
    World { app, gate, redis, _stop: stop.drop_guard() }
}

/// The state of a queued earning that was applied or refused.
async fn outcome(app: &TestApp, token: &str, queued: &Reply) -> Value {
    let path = queued.header("location").to_owned();
    testkit::eventually(Duration::from_secs(30), || async {
        let reply = app.get(&path, token).send().await;
        (reply.status == 200 && reply.json()["state"] != "queued").then(|| reply.json())
    })
    .await
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_earning_is_queued_and_applied_exactly_once_when_the_database_is_back(db: PgPool) {
    let World { app, gate, redis: _redis, _stop } = world(db).await;
    let (account, token) = app.rich(100).await;
    let operator = app.operator();
    let path = format!("/v1/accounts/{account}/earnings");
    let earn =
        |key: &str, body: Value| app.api.post(&path).bearer(&operator).key(key).json(body).send();
    gate.close();

    let key = key();
    let queued = earn(&key, points(30)).await.expect(202);
    assert_eq!(queued.json()["state"], "queued");
    assert_eq!(queued.header("location"), queued.json()["status_url"].as_str().unwrap());
    let again = earn(&key, points(30)).await.expect(202);
    assert_eq!(again.json(), queued.json(), "the same command is queued once");
    assert_eq!(earn(&key, points(31)).await.expect(422).code(), "idempotency_key_reused");
    assert_eq!(earn(&crate::app::key(), points(0)).await.expect(422).code(), "invalid_amount");
    let status = app.get(queued.header("location"), &operator).send().await.expect(200);
    assert_eq!(status.json()["state"], "queued");
    app.get(queued.header("location"), &token).send().await.expect(404);
    app.get(&format!("/v1/queued/{}", id()), &operator).send().await.expect(404);
    let nowhere = app.earn(id(), points(5)).await.expect(202);

    gate.open();
    let applied = outcome(&app, &operator, &queued).await;
    assert_eq!((&applied["state"], &applied["receipt"]["points"]), (&json!("applied"), &json!(30)));
    let refused = outcome(&app, &app.operator(), &nowhere).await;
    assert_eq!((&refused["state"], &refused["code"]), (&json!("refused"), &json!("not_found")));
    // The client tries again after all.
    let replayed = earn(&key, points(30)).await.expect(201);
    assert_eq!(replayed.header("idempotency-replayed"), "true");
    assert_eq!(replayed.json(), applied["receipt"]);
    assert_eq!(app.standing(account).await, (130, 0, 0, 3));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn whoever_spends_is_told_at_once_and_nothing_of_it_is_queued(db: PgPool) {
    let World { app, gate, redis: _redis, _stop } = world(db).await;
    let (account, token) = app.rich(100).await;
    let (other, _) = app.member().await;
    gate.close();
    let hold = json!({ "points": 1 });
    let transfer = json!({ "to_account_id": other, "points": 1 });
    for (what, body) in
        [("redemptions", json!({ "points": 1 })), ("holds", hold), ("transfers", transfer)]
    {
        for _ in 0..10 {
            let path = format!("/v1/accounts/{account}/{what}");
            let reply = app.post(&path, &token, body.clone()).await.expect(503);
            assert_eq!(reply.code(), "database_unavailable");
            assert!(!reply.header("retry-after").is_empty());
        }
    }
    // By now the breaker is open: nobody waits for a connection.
    let began = Instant::now();
    let path = format!("/v1/accounts/{account}/redemptions");
    let refused = app.post(&path, &token, json!({ "points": 1 })).await.expect(503);
    assert_eq!(refused.json()["outcome"], "none");
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());

    gate.open();
    testkit::eventually(Duration::from_secs(30), || async {
        let reply = app.post(&path, &token, json!({ "points": 1 })).await;
        (reply.status == 201).then_some(())
    })
    .await;
    assert_eq!(app.standing(account).await, (100, 1, 0, 3), "one spending, and the last");
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_database_that_freezes_costs_three_seconds_once_and_then_nothing(db: PgPool) {
    let World { app, gate, redis: _redis, _stop } = world(db).await;
    let (account, _) = app.rich(1).await;
    gate.freeze();
    let began = Instant::now();
    for reply in join_all((0..32).map(|_| app.earn(account, points(1)))).await {
        reply.expect(202);
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let began = Instant::now();
    app.earn(account, points(1)).await.expect(202);
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    gate.open();
    testkit::eventually(Duration::from_secs(30), || async {
        let earned: i64 =
            sqlx::query_scalar("SELECT earned FROM account").fetch_one(&app.db).await.unwrap();
        (earned == 34).then_some(())
    })
    .await;
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn under_load_every_earning_of_an_outage_counts_once_though_redis_dies_in_the_middle(
    db: PgPool,
) {
    const CLIENTS: usize = 16;
    let outage = if crate::campaign::is_full() { 30 } else { 6 };
    let World { app, gate, mut redis, _stop } = world(db).await;
    let account: Vec<_> = join_all((0..8).map(|_| async { app.member().await.0 })).await;
    let app = Arc::new(app);
    let end = Instant::now() + Duration::from_secs(outage + 3);
    let clients = (0..CLIENTS).map(|client| {
        let (app, account) = (app.clone(), account[client % account.len()]);
        tokio::spawn(async move {
            let mut kept: Vec<(u16, String)> = Vec::new();
            let mut refused = 0;
            while Instant::now() < end {
                let key = key();
                let reply = app.earning(account, &key, points(1)).send().await;
                match reply.status.as_u16() {
                    201 | 202 => kept.push((reply.status.as_u16(), key)),
                    503 => refused += 1,
                    other => panic!("{other}: {}", reply.text()),
                }
            }
            (kept, refused)
        })
    });
    let clients: Vec<_> = clients.collect();
    let pause = |seconds| tokio::time::sleep(Duration::from_secs(seconds)); // the faults' own clock
    pause(1).await;
    gate.close();
    pause(outage / 3).await;
    redis.kill();
    pause(outage / 6).await;
    redis.restart().await;
    pause(outage / 2).await;
    gate.open();

    let (mut acknowledged, mut queued, mut refused) = (Vec::new(), 0, 0);
    for (kept, no) in join_all(clients).await.into_iter().map(Result::unwrap) {
        queued += kept.iter().filter(|(status, _)| *status == 202).count();
        refused += no;
        acknowledged.extend(kept.into_iter().map(|(_, key)| key));
    }
    assert!(queued > 100 && refused > 0, "{queued} queued, {refused} refused");
    // Each acknowledged key is there, and each effect has a key: none is lost, and none doubled.
    testkit::eventually(Duration::from_secs(60), || async {
        let sql = "SELECT count(*) FROM idempotency_key WHERE key = ANY ($1)";
        let there: i64 =
            sqlx::query_scalar(sql).bind(&acknowledged).fetch_one(&app.db).await.unwrap();
        (there as usize == acknowledged.len()).then_some(())
    })
    .await;
    let depth = "points_fallback_queue_depth ";
    testkit::eventually(Duration::from_secs(30), || async {
        let text = String::from_utf8(observability::metrics::render().1).unwrap();
        text.lines().any(|line| line == format!("{depth}0")).then_some(())
    })
    .await;
    let keys = "SELECT count(*) FROM idempotency_key WHERE route LIKE '%earnings%'";
    let keys: i64 = sqlx::query_scalar(keys).fetch_one(&app.db).await.unwrap();
    assert_eq!(app.entries().await, keys);
    app.the_books_balance().await;
    println!("{} acknowledged, of these {queued} queued; {refused} refused", acknowledged.len());
}

/// Whoever can write into Redis cannot mint.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_entry_of_the_queue_that_is_not_ours_changes_no_money_and_stays(db: PgPool) {
    let World { app, gate, redis, _stop } = world(db).await;
    let (account, _) = app.rich(100).await;
    gate.close();
    let queued = app.earn(account, points(30)).await.expect(202);
    let secret = testkit::redis::secret();
    let stranger = Redis::patient(&redis.config(), "points", "stranger", &secret).unwrap();
    // The true entry, as it is, and what a stranger makes of it.
    let forge = "
        local queue = KEYS[1] .. ':queue'
        local job = redis.call('XRANGE', queue, '-', '+')[1][2][2]
        local text = string.sub(job, 65)
        local other = '\"key\":\"' .. ARGV[1] .. '\"'
        local renamed = string.gsub(text, '\"key\":\"[^\"]+\"', other)
        local unasked = string.gsub(renamed, '\"by\":\"Operator\",?', '')
        local dear = string.gsub(text, '\"Points\":30', '\"Points\":3000')
        for _, forged in ipairs({text, renamed, unasked, string.sub(job, 1, 64) .. renamed,
                                 string.sub(job, 1, 64) .. dear, string.rep('0', 64) .. text,
                                 string.rep('0', 64) .. unasked, 'x'}) do
            redis.call('XADD', queue, '*', 'job', forged)
        end
        redis.call('XADD', queue, '*', 'job', job)
        redis.call('SET', KEYS[1] .. ':copy', job)
        return redis.call('XLEN', queue)";
    let key = key();
    let forged = async || stranger.eval::<i64>(forge, "{fallback}", &[key.as_bytes()]).await.ok();
    assert_eq!(testkit::eventually(Duration::from_secs(5), forged).await, 10);

    gate.open();
    assert_eq!(outcome(&app, &app.operator(), &queued).await["state"], "applied");
    let length = "return redis.call('XLEN', KEYS[1] .. ':queue')";
    let applied = async || {
        testkit::eventually(Duration::from_secs(10), || async {
            let left = stranger.eval::<i64>(length, "{fallback}", &[]).await;
            left.is_ok_and(|left| left == 8).then_some(())
        })
        .await;
    };
    applied().await;
    assert_eq!(app.standing(account).await, (130, 0, 0, 3), "once, though its copy was there too");
    sqlx::query("DELETE FROM idempotency_key").execute(&app.db).await.unwrap();
    let copy =
        "redis.call('XADD', KEYS[1] .. ':queue', '*', 'job', redis.call('GET', KEYS[1] .. ':copy'))
                return 1";
    stranger.eval::<i64>(copy, "{fallback}", &[]).await.unwrap();
    applied().await;
    assert_eq!(app.standing(account).await, (130, 0, 0, 3), "nor when its key is forgotten");
    // One more makes it plain that the queue was read again; the others are counted no second time.
    let one_more = "return #redis.call('XADD', KEYS[1] .. ':queue', '*', 'job', 'y')";
    let counted = || {
        let text = String::from_utf8(observability::metrics::render().1).unwrap();
        let name = r#"points_fallback_total{result="unsigned"} "#;
        text.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok())
    };
    for n in 8..11 {
        testkit::eventually(Duration::from_secs(10), || async {
            (counted() >= Some(n)).then_some(())
        })
        .await;
        assert_eq!(counted(), Some(n), "once for each entry");
        stranger.eval::<i64>(one_more, "{fallback}", &[]).await.unwrap();
    }
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_redis_that_forgets_is_given_nothing_to_remember(db: PgPool) {
    let (gate, redis) = (Gate::before(&db).await, Server::start().await);
    let app = TestApp::behind(&gate, &redis.config_of("points"), db);
    let (account, _) = app.rich(1).await;
    gate.close();
    let reply = app.earn(account, points(1)).await.expect(503);
    assert_eq!(reply.code(), "database_unavailable");
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn refusals_never_open_the_breaker(db: PgPool) {
    let World { app, gate: _gate, redis: _redis, _stop } = world(db).await;
    let (account, token) = app.rich(1).await;
    let path = format!("/v1/accounts/{account}/redemptions");
    for _ in 0..5 {
        let refused = (0..20).map(|_| app.post(&path, &token, json!({ "points": 1_000 })));
        for reply in join_all(refused).await {
            assert_eq!(reply.expect(409).code(), "insufficient_points");
        }
    }
    app.post(&path, &token, json!({ "points": 1 })).await.expect(201);
    let text = String::from_utf8(observability::metrics::render().1).unwrap();
    let opened = r#"circuit_breaker_transitions_total{dependency="postgres",to="open"} 0"#;
    assert!(text.contains(opened), "{text}");
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn for_whom_somebody_sells_is_asked_when_the_database_is_back(db: PgPool) {
    let World { app, gate, redis: _redis, _stop } = world(db).await;
    let (account, _) = app.rich(1).await;
    let ((merchant, owner), (_, stranger)) = (app.merchant().await, app.merchant().await);
    let path = format!("/v1/accounts/{account}/earnings");
    let body = json!({ "points": 30, "merchant_id": merchant });
    gate.close();
    let theirs = app.post(&path, &owner, body.clone()).await.expect(202);
    let not_theirs = app.post(&path, &stranger, body).await.expect(202);
    gate.open();
    assert_eq!(outcome(&app, &owner, &theirs).await["state"], "applied");
    let refused = outcome(&app, &stranger, &not_theirs).await;
    assert_eq!((&refused["state"], &refused["code"]), (&json!("refused"), &json!("not_found")));
    assert_eq!(app.standing(account).await.0, 31);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_purchase_that_waited_is_worth_what_it_was_worth_when_it_was_made(db: PgPool) {
    let World { app, gate, redis: _redis, _stop } = world(db).await;
    let (account, _) = app.rich(1).await;
    let merchant = id();
    let rules = format!("/v1/merchants/{merchant}/conversion-rules");
    let rule = json!({ "points": 5, "per_minor": 100 });
    let rule = app.post(&rules, &app.operator(), rule).await.expect(201).json();
    gate.close();
    let body = json!({ "purchase_minor": 1_000, "merchant_id": merchant });
    let operator = app.operator();
    let path = format!("/v1/accounts/{account}/earnings");
    let queued = app.post(&path, &operator, body).await.expect(202);
    // The rule has ended by the time it is applied: past the service, which cannot reach the database.
    let end = "UPDATE conversion_rule SET valid = tstzrange(lower(valid), clock_timestamp(), '[)')";
    sqlx::query(end).execute(&app.db).await.unwrap();
    assert!(rule["rule_id"].is_string());
    gate.open();
    let applied = outcome(&app, &operator, &queued).await;
    assert_eq!(applied["receipt"]["points"], 50, "{applied}");
}
