use futures::future::join_all;
use kit::caller::Role;
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::{TestApp, id, key, points, uuid};

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_member_opens_one_account(db: PgPool) {
    let app = TestApp::new(db);
    let token = app.issuer.member(id());
    let key = key();

    let first = app.open(&token, &key).await.expect(201);
    let again = app.open(&token, &key).await.expect(201);
    let other_key = app.open(&token, &crate::app::key()).await.expect(200);

    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(first.json(), other_key.json());
    assert_eq!(first.json()["available"], 0);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn accounts_opened_at_once_are_one(db: PgPool) {
    let app = TestApp::new(db);
    let token = app.issuer.member(id());

    let keys: Vec<_> = (0..16).map(|_| key()).collect();
    let replies = join_all(keys.iter().map(|key| app.open(&token, key))).await;

    let opened = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(opened, 1);
    assert!(replies.iter().all(|reply| reply.json() == replies[0].json()));
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn an_account_is_seen_by_its_owner_and_by_operators(db: PgPool) {
    let app = TestApp::new(db);
    let (account, owner) = app.member().await;
    let path = format!("/v1/accounts/{account}");

    for token in [owner, app.operator()] {
        let reply = app.get(&path, &token).send().await.expect(200);
        assert_eq!(uuid(&reply.json()["account_id"]), account);
        assert_eq!(reply.header("etag"), "\"1\"");
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_foreign_account_looks_exactly_like_a_missing_one(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    let (_, stranger) = app.member().await;
    let staff = app.issuer.with_roles(id(), &[Role::Staff, Role::MerchantAdmin]);
    app.earn(account, points(1)).await.expect(201);

    for token in [&stranger, &staff] {
        for path in ["", "/history"] {
            let ask = |id: Uuid| app.get(&format!("/v1/accounts/{id}{path}"), token);
            let request_id = "00000000-0000-7000-8000-000000000000";
            let foreign = ask(account).header("x-request-id", request_id).send().await.expect(404);
            let missing = ask(id()).header("x-request-id", request_id).send().await.expect(404);
            assert_eq!(foreign.body, missing.body);
            assert_eq!(foreign.code(), "not_found");
        }
    }
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_member_without_an_account_has_none_to_read(db: PgPool) {
    let app = TestApp::new(db);
    let token = app.issuer.member(id());
    for path in ["/v1/accounts/me", "/v1/accounts/me/history"] {
        app.get(path, &token).send().await.expect(404);
    }

    // The account is visible as soon as it exists, though its absence was cached.
    app.open(&token, &key()).await.expect(201);
    app.get("/v1/accounts/me", &token).send().await.expect(200);
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn nothing_is_read_without_a_token(db: PgPool) {
    let app = TestApp::new(db);
    let (account, _) = app.member().await;
    for path in ["me".to_owned(), account.to_string(), format!("{account}/history")] {
        let reply = app.api.get(&format!("/v1/accounts/{path}")).send().await.expect(401);
        assert_eq!(reply.code(), "invalid_token");
    }
}
