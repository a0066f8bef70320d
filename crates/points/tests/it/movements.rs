use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{TestApp, id, key, points, uuid};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn points_are_spent_once_and_never_below_zero(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;

    let receipt = redeem(&app, account, &owner, 60).await.expect(201).json();
    assert_eq!((&receipt["points"], &receipt["balance"]), (&json!(60), &json!(40)));
    let refused = redeem(&app, account, &owner, 41).await.expect(409);
    assert_eq!(refused.code(), "insufficient_points");
    redeem(&app, account, &owner, 40).await.expect(201);

    assert_eq!(app.standing(account).await, (100, 100, 0, 4));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn of_many_who_spend_the_whole_balance_one_does(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;

    let replies = join_all((0..64).map(|_| redeem(&app, account, &owner, 100))).await;

    let done = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(done, 1);
    for refused in replies.into_iter().filter(|reply| reply.status != 201) {
        assert_eq!(refused.expect(409).code(), "insufficient_points");
    }
    assert_eq!(app.standing(account).await, (100, 100, 0, 3));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_transfer_moves_points_from_one_member_to_another(db: PgPool) {
    let app = TestApp::new(db);
    let (from, owner) = app.rich(100).await;
    let (to, _) = app.member().await;
    let give = |to: Uuid, points: i64| {
        let body = json!({ "to_account_id": to, "points": points });
        let path = format!("/v1/accounts/{from}/transfers");
        let (app, owner) = (&app, &owner);
        async move { app.post(&path, owner, body).await }
    };

    let receipt = give(to, 30).await.expect(201).json();
    assert_eq!((uuid(&receipt["account_id"]), &receipt["balance"]), (from, &json!(70)));
    assert_eq!(give(from, 1).await.expect(422).code(), "self_transfer");
    assert_eq!(give(to, 71).await.expect(409).code(), "insufficient_points");
    assert_eq!(give(id(), 1).await.expect(404).code(), "not_found");

    assert_eq!(app.standing(from).await, (100, 30, 0, 3));
    assert_eq!(app.standing(to).await, (30, 0, 0, 2));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn transfers_in_a_circle_do_not_deadlock(db: PgPool) {
    let app = TestApp::new(db);
    let mut members = Vec::new();
    for _ in 0..4 {
        members.push(app.rich(1_000).await);
    }

    let gifts = (0..200).map(|n| {
        let ((from, owner), (to, _)) = (&members[n % 4], &members[(n + 1 + n % 3) % 4]);
        let body = json!({ "to_account_id": to, "points": 1 });
        let path = format!("/v1/accounts/{from}/transfers");
        let app = &app;
        async move { app.post(&path, owner, body).await }
    });
    for reply in join_all(gifts).await {
        reply.expect(201);
    }

    let sum: i64 = sqlx::query_scalar("SELECT sum(earned - used)::bigint FROM account")
        .fetch_one(&app.db)
        .await
        .unwrap();
    assert_eq!(sum, 4_000);
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_transfer_is_reversed_once(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let spent = redeem(&app, account, &owner, 60).await.expect(201).json();

    let reversals = join_all((0..8).map(|_| reverse(&app, &spent))).await;

    let done: Vec<_> = reversals.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(done.len(), 1);
    for refused in reversals.iter().filter(|reply| reply.status != 201) {
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "already_reversed".to_owned()));
    }
    assert_eq!(app.standing(account).await, (100, 0, 0, 4));
    let refused = reverse(&app, &done[0].json()).await.expect(409);
    assert_eq!(refused.code(), "not_reversible");
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_was_spent_meanwhile_cannot_be_taken_back(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.member().await;
    let earned = app.earn(account, points(50)).await.expect(201).json();
    redeem(&app, account, &owner, 20).await.expect(201);

    assert_eq!(reverse(&app, &earned).await.expect(409).code(), "insufficient_points");
    app.earn(account, points(20)).await.expect(201);
    reverse(&app, &earned).await.expect(201);

    assert_eq!(app.standing(account).await, (20, 20, 0, 5));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_operator_corrects_what_they_have_seen(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let operator = app.operator();
    let path = format!("/v1/accounts/{account}/adjustments");
    let adjust = |tag: Option<&str>, body: Value| {
        let call = app.api.post(&path).bearer(&operator).key(&key()).json(body);
        match tag {
            Some(tag) => call.header("if-match", tag).send(),
            None => call.send(),
        }
    };
    let body = |points: i64| json!({ "points": points, "reference": "case 7" });

    assert_eq!(adjust(None, body(5)).await.expect(428).code(), "precondition_required");
    let before = conflicts();
    for stale in ["\"1\"", "\"3\"", "2", "W/\"2\"", "*", "\"x\""] {
        let refused = adjust(Some(stale), body(5)).await.expect(412);
        assert_eq!(refused.code(), "version_conflict", "{stale}");
    }
    assert_eq!(conflicts() - before, 6);
    let receipt = adjust(Some("\"2\""), body(-30)).await.expect(201).json();
    assert_eq!((&receipt["points"], &receipt["balance"]), (&json!(-30), &json!(70)));
    adjust(Some("\"3\""), body(5)).await.expect(201);
    for wrong in [json!(0), json!(1_000_000_001), json!("5"), json!(i64::MIN), json!(1.5)] {
        let body = json!({ "points": wrong, "reference": "case 7" });
        assert_eq!(adjust(Some("\"4\""), body).await.expect(422).code(), "invalid_amount");
    }
    let silent = json!({ "points": 1, "reference": " " });
    assert_eq!(adjust(Some("\"4\""), silent).await.expect(422).code(), "invalid_reference");
    let call = app.api.post(&path).bearer(&owner).key(&key()).header("if-match", "\"4\"");
    call.json(body(1_000)).send().await.expect(403);

    assert_eq!(app.standing(account).await, (105, 30, 0, 4));
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_foreign_account_cannot_be_spent_and_looks_missing(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.rich(100).await;
    let (other, thief) = app.member().await;
    let hold = json!({ "points": 1 });
    for (path, body) in [
        ("redemptions", json!({ "points": 1 })),
        ("transfers", json!({ "to_account_id": other, "points": 1 })),
        ("holds", hold),
    ] {
        let request_id = "00000000-0000-7000-8000-000000000000";
        let ask = |account: Uuid| {
            let call = app.api.post(&format!("/v1/accounts/{account}/{path}")).bearer(&thief);
            call.key(&key()).header("x-request-id", request_id).json(&body).send()
        };
        let (foreign, missing) = (ask(account).await.expect(404), ask(id()).await.expect(404));
        assert_eq!(foreign.body, missing.body, "{path}");
    }
    let path = format!("/v1/transfers/{}/reversal", id());
    app.post(&path, &thief, json!({})).await.expect(403);
    app.post(&path, &app.operator(), json!({})).await.expect(404);
    assert_eq!(app.standing(account).await, (100, 0, 0, 2));
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn what_is_not_an_amount_cannot_be_spent(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.rich(100).await;
    let (other, _) = app.member().await;
    for wrong in [json!(0), json!(-1), json!(1.5), json!("10"), json!(null), json!(1_000_000_001)] {
        for (path, body) in [
            ("redemptions", json!({ "points": wrong })),
            ("transfers", json!({ "to_account_id": other, "points": wrong })),
            ("holds", json!({ "points": wrong })),
        ] {
            let reply = app.post(&format!("/v1/accounts/{account}/{path}"), &owner, body).await;
            assert_eq!(reply.expect(422).code(), "invalid_amount", "{path} {wrong}");
        }
    }
    assert_eq!(app.entries().await, 1);
}

pub async fn redeem(app: &TestApp, account: Uuid, token: &str, points: i64) -> Reply {
    app.post(&format!("/v1/accounts/{account}/redemptions"), token, json!({ "points": points }))
        .await
}

async fn reverse(app: &TestApp, receipt: &Value) -> Reply {
    let path = format!("/v1/transfers/{}/reversal", uuid(&receipt["transfer_id"]));
    app.post(&path, &app.operator(), json!({ "reference": "returned" })).await
}

/// Commands that met others that had changed the account.
pub fn conflicts() -> i64 {
    let metrics = String::from_utf8(observability::metrics::render().1).unwrap();
    let series = "concurrency_conflict_total{aggregate=\"account\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(series)?.parse().ok()).unwrap()
}
