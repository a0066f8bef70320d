//! Whoever sells acts for their own merchant. Another's looks like one that is not there.

use futures::future::join_all;
use kit::caller::Role;
use proto::points::v1::{JoinRequest, LeaveRequest, Membership, MerchantRole};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{TestApp, id, key, membership, uuid};

fn at(merchant: Uuid) -> Value {
    json!({ "points": 1, "merchant_id": merchant })
}

async fn earn(app: &TestApp, account: Uuid, merchant: Uuid, token: &str) -> Reply {
    app.post(&format!("/v1/accounts/{account}/earnings"), token, at(merchant)).await
}

async fn rule(app: &TestApp, merchant: Uuid, token: &str) -> Reply {
    let body = json!({ "points": 2, "per_minor": 100 });
    app.post(&format!("/v1/merchants/{merchant}/conversion-rules"), token, body).await
}

/// The answer, without what differs between any two.
fn problem(reply: &Reply) -> Value {
    let mut problem = reply.json();
    problem.as_object_mut().unwrap().retain(|field, _| !["request_id"].contains(&field.as_str()));
    problem
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_merchant_earns_and_sets_rules_for_itself_and_for_nobody_else(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let ((ours, owner), (theirs, other)) = (app.merchant().await, app.merchant().await);

    earn(&app, account, ours, &owner).await.expect(201);
    let unknown = problem(&earn(&app, account, id(), &owner).await.expect(404));
    let foreign = problem(&earn(&app, account, theirs, &owner).await.expect(404));
    assert_eq!(foreign, unknown, "nothing tells whether there is such a merchant");
    assert_eq!(unknown["code"], "not_found");

    rule(&app, ours, &owner).await.expect(201);
    let set = rule(&app, theirs, &other).await.expect(201).json();
    let unknown = problem(&rule(&app, id(), &owner).await.expect(404));
    assert_eq!(problem(&rule(&app, theirs, &owner).await.expect(404)), unknown);
    let end = |rule: Uuid| format!("/v1/conversion-rules/{rule}/end");
    let unknown = problem(&app.post(&end(id()), &owner, json!({})).await.expect(404));
    let set = uuid(&set["rule_id"]);
    assert_eq!(problem(&app.post(&end(set), &owner, json!({})).await.expect(404)), unknown);
    for (merchant, status) in [(ours, 200), (theirs, 404), (id(), 404)] {
        let path = format!("/v1/merchants/{merchant}/conversion-rules");
        app.get(&path, &owner).send().await.expect(status);
    }
    app.post(&end(set), &other, json!({})).await.expect(200);

    // An operator acts for all.
    earn(&app, account, theirs, &app.operator()).await.expect(201);
    rule(&app, theirs, &app.operator()).await.expect(201);
    assert_eq!(app.standing(account).await.0, 2);
    let rules: i64 =
        sqlx::query_scalar("SELECT count(*) FROM conversion_rule WHERE merchant_id = $1")
            .bind(theirs)
            .fetch_one(&app.db)
            .await
            .unwrap();
    assert_eq!(rules, 2, "the owner's, and the operator's");
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn commands_of_strangers_fail_alone_among_those_of_the_merchant(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let ((ours, owner), (_, stranger)) = (app.merchant().await, app.merchant().await);
    let calls =
        (0..64).map(|n| earn(&app, account, ours, if n % 2 == 0 { &owner } else { &stranger }));
    for (n, reply) in join_all(calls).await.into_iter().enumerate() {
        reply.expect(if n % 2 == 0 { 201 } else { 404 });
    }
    assert_eq!(app.standing(account).await.0, 32);
    app.the_books_balance().await;
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hold_is_captured_by_the_merchant_it_was_placed_for(db: PgPool) {
    let app = TestApp::new(db);
    let (account, member) = app.rich(100).await;
    let ((ours, owner), (_, stranger)) = (app.merchant().await, app.merchant().await);
    let hold = async |merchant: Option<Uuid>| {
        let body = json!({ "points": 10, "merchant_id": merchant });
        let hold = app.place(account, &member, body).await;
        format!("/v1/holds/{hold}/capture")
    };
    let (for_us, for_nobody) = (hold(Some(ours)).await, hold(None).await);

    let unknown = format!("/v1/holds/{}/capture", id());
    let unknown = problem(&app.post(&unknown, &stranger, json!({})).await.expect(404));
    for (path, token) in [(&for_us, &stranger), (&for_nobody, &stranger), (&for_nobody, &owner)] {
        assert_eq!(problem(&app.post(path, token, json!({})).await.expect(404)), unknown);
    }
    app.post(&for_us, &owner, json!({})).await.expect(200);
    assert_eq!(app.post(&for_us, &stranger, json!({})).await.expect(404).code(), "not_found");
    app.post(&for_nobody, &app.operator(), json!({})).await.expect(200);
    assert_eq!(app.standing(account).await.1, 20);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn staff_earn_at_their_merchant_until_they_leave_and_set_no_rules(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let (merchant, _) = app.merchant().await;
    let clerk = id();
    let token = app.issuer.with_roles(clerk, &[Role::Member, Role::Staff]);
    earn(&app, account, merchant, &token).await.expect(404);
    app.joins(merchant, clerk, MerchantRole::Staff).await;
    earn(&app, account, merchant, &token).await.expect(201);
    rule(&app, merchant, &token).await.expect(403);
    // Owning another merchant makes no owner of this one.
    let manager = app.issuer.with_roles(clerk, &[Role::MerchantAdmin]);
    rule(&app, merchant, &manager).await.expect(404);
    // Neither does a place in a merchant give a role.
    earn(&app, account, merchant, &app.issuer.member(clerk)).await.expect(403);

    let membership = Some(membership(merchant, clerk, MerchantRole::Staff));
    app.merchants().leave(app.by_booking(LeaveRequest { membership })).await.unwrap();
    earn(&app, account, merchant, &token).await.expect(404);
    assert_eq!(app.standing(account).await.0, 1);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn news_that_comes_twice_or_late_counts_once(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let (merchant, clerk) = (id(), id());
    let token = app.issuer.with_roles(clerk, &[Role::Staff]);
    let joined = Some(membership(merchant, clerk, MerchantRole::Staff));
    let join = async || {
        let told = app.by_booking(JoinRequest { membership: joined.clone() });
        app.merchants().join(told).await.unwrap();
    };
    join().await;
    join().await;
    earn(&app, account, merchant, &token).await.expect(201);
    let membership = Some(membership(merchant, clerk, MerchantRole::Staff));
    app.merchants().leave(app.by_booking(LeaveRequest { membership })).await.unwrap();
    // A first try whose answer was lost, and that was still on its way.
    join().await;
    earn(&app, account, merchant, &token).await.expect(404);
}

/// The event is known only together with what it told.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn news_that_could_not_be_kept_is_taken_when_it_comes_again(db: PgPool) {
    let app = TestApp::new(db.clone());
    let (account, _) = app.member().await;
    let (merchant, clerk) = (id(), id());
    let joined = Some(membership(merchant, clerk, MerchantRole::Staff));
    let join = async || {
        let told = app.by_booking(JoinRequest { membership: joined.clone() });
        app.merchants().join(told).await.map(drop)
    };
    let rename = async |from: &str, to: &str| {
        let statement = format!("ALTER TABLE {from} RENAME TO {to}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&db).await.unwrap();
    };
    rename("merchant_member", "elsewhere").await;
    join().await.unwrap_err();
    rename("elsewhere", "merchant_member").await;
    join().await.unwrap();
    let token = app.issuer.with_roles(clerk, &[Role::Staff]);
    earn(&app, account, merchant, &token).await.expect(201);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_repeated_earning_is_answered_as_before_also_after_its_sender_has_left(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let (merchant, clerk) = (id(), id());
    app.joins(merchant, clerk, MerchantRole::Staff).await;
    let token = app.issuer.with_roles(clerk, &[Role::Staff]);
    let path = format!("/v1/accounts/{account}/earnings");
    let call = app.api.post(&path).bearer(&token).key(&key()).json(at(merchant));
    let first = call.clone().send().await.expect(201);
    let membership = Some(membership(merchant, clerk, MerchantRole::Staff));
    app.merchants().leave(app.by_booking(LeaveRequest { membership })).await.unwrap();
    assert_eq!(call.send().await.expect(201).json(), first.json());
    assert_eq!(app.standing(account).await.0, 1);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn nonsense_makes_nobody_a_member(db: PgPool) {
    let app = TestApp::new(db);
    let good = membership(id(), id(), MerchantRole::Owner);
    for wrong in [
        Membership::default(),
        Membership { event_id: "1".to_owned(), ..good.clone() },
        Membership { merchant_id: String::new(), ..good.clone() },
        Membership { member_id: "me".to_owned(), ..good.clone() },
        Membership { role: 0, ..good.clone() },
        Membership { role: 7, ..good.clone() },
    ] {
        let told = app.by_booking(JoinRequest { membership: Some(wrong) });
        let refused = app.merchants().join(told).await.unwrap_err();
        assert_eq!(kit::error::reason(&refused).as_deref(), Some("invalid_id"), "{refused:?}");
    }
    let there =
        "SELECT (SELECT count(*) FROM merchant_member) + (SELECT count(*) FROM inbox_message)";
    let there: i64 = sqlx::query_scalar(there).fetch_one(&app.db).await.unwrap();
    assert_eq!(there, 0);
}
