use kit::Clock;
use kit::caller::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::grpc;
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, firing, labelled, resolved};

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_list_is_every_incident_once_newest_first(db: PgPool) {
    let app = TestApp::new(db);
    for n in 1..=7 {
        app.deliver(&[firing(&n.to_string())]).await.expect(200);
    }

    let mut titles: Vec<String> = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let page = app.list(&query).await.expect(200).json();
        titles.extend(page["items"].as_array().unwrap().iter().map(title));
        // A new incident does not shift the pages.
        app.deliver(&[firing(&query)]).await.expect(200);
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(titles, [7, 6, 5, 4, 3, 2, 1].map(|n| format!("{n} fails")));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_list_is_filtered_by_status_and_severity(db: PgPool) {
    let app = TestApp::new(db);
    app.deliver(&[firing("old")]).await.expect(200);
    app.deliver(&[resolved(&firing("old"))]).await.expect(200);
    app.deliver(&[firing("new"), labelled("odd", json!({}))]).await.expect(200);

    for (query, mut found) in [
        ("", vec!["new fails", "odd fails", "old fails"]),
        ("status=open", vec!["new fails", "odd fails"]),
        ("status=resolved", vec!["old fails"]),
        ("severity=P0", vec!["new fails", "old fails"]),
        ("severity=P2&status=open", vec!["odd fails"]),
        ("severity=P3", vec![]),
    ] {
        let page = app.list(query).await.expect(200).json();
        let mut titles: Vec<_> = page["items"].as_array().unwrap().iter().map(title).collect();
        titles.sort();
        found.sort_unstable();
        assert_eq!(titles, found, "{query}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_filter_that_makes_no_sense_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    for (query, status, code) in [
        ("limit=0", 422, "invalid_limit"),
        ("limit=101", 422, "invalid_limit"),
        ("cursor=forged", 400, "invalid_cursor"),
    ] {
        assert_eq!(app.list(query).await.expect(status).code(), code, "{query}");
    }
    for (query, field) in [
        ("status=burning", "status"),
        ("severity=P9", "severity"),
        ("severity=P0'%20OR%201=1", "severity"),
        ("sort=title", "sort"),
    ] {
        assert_eq!(app.list(query).await.expect(422).fields()[0].0, field, "{query}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn incidents_are_for_operators(db: PgPool) {
    let app = TestApp::new(db);
    app.deliver(&[firing("a")]).await.expect(200);
    let id = app.incidents().await[0]["incident_id"].as_str().unwrap().to_owned();
    let someone = Clock::system().id();
    let member = app.issuer.with_roles(someone, &[Role::Member, Role::Staff, Role::MerchantAdmin]);

    for path in ["/v1/incidents".to_owned(), format!("/v1/incidents/{id}")] {
        app.api.get(&path).send().await.expect(401);
        let reply = app.api.get(&path).bearer(&member).send().await.expect(403);
        assert_eq!(reply.code(), "forbidden");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_unknown_incident_is_not_found_and_a_malformed_id_is_none(db: PgPool) {
    let app = TestApp::new(db);
    let reply = app.get(&format!("/v1/incidents/{}", Uuid::nil())).await.expect(404);
    assert_eq!(reply.code(), "not_found");
    let reply = app.get("/v1/incidents/INC-1").await.expect(400);
    assert_eq!(reply.code(), "invalid_id");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_inspector_sees_what_is_open_and_no_service_does(db: PgPool) {
    let app = TestApp::new(db);
    app.deliver(&[firing("old")]).await.expect(200);
    app.deliver(&[resolved(&firing("old"))]).await.expect(200);
    for n in 1..=3 {
        app.deliver(&[firing(&n.to_string())]).await.expect(200);
    }

    let open = app.list_open("inspector", 0).await.unwrap().incidents;
    let titles: Vec<_> = open.iter().map(|i| i.title.as_str()).collect();
    assert_eq!(titles, ["3 fails", "2 fails", "1 fails"]);
    assert_eq!((open[0].severity.as_str(), open[0].status.as_str()), ("P0", "open"));
    assert_eq!(open[0].started_at, "2030-01-01T00:00:00.123Z");
    assert_eq!(app.list_open("inspector", 2).await.unwrap().incidents.len(), 2);

    for limit in [-1, 101] {
        let refused = app.list_open("inspector", limit).await.unwrap_err();
        assert_eq!(
            (refused.code(), grpc::code(&refused).as_str()),
            (Code::InvalidArgument, "invalid_limit")
        );
    }
    for service in ["auth", "points", "booking", "stranger"] {
        let refused = app.list_open(service, 0).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{service}");
    }
}

fn title(incident: &Value) -> String {
    incident["title"].as_str().unwrap().to_owned()
}
