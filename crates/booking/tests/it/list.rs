//! A member's own list.

use serde_json::Value;
use sqlx::PgPool;
use testkit::http::Reply;
use uuid::Uuid;

use crate::app::{App, member};

fn ids(page: &Reply) -> Vec<Uuid> {
    let page = page.json();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["booking_id"].as_str().unwrap().parse().unwrap()).collect()
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn pages_show_each_booking_once_the_latest_first(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let mut mine = Vec::new();
    for start in [60, 180, 300, 420, 540] {
        mine.push(app.booked(member(2), &shop, start).await);
        app.booked(member(3), &shop, start + 60).await;
    }
    // At the same time elsewhere: the id decides.
    let other = app.shop_of(member(9)).await;
    app.anytime(&other).await;
    mine.push(app.booked(member(2), &other, 540).await);

    let mut seen = Vec::new();
    let mut path = "/v1/bookings?limit=2".to_owned();
    loop {
        let page = app.get(member(2), &path).send().await.expect(200);
        seen.extend(ids(&page));
        let Value::String(cursor) = &page.json()["next_cursor"] else { break };
        path = format!("/v1/bookings?limit=2&cursor={cursor}");
    }
    let (tied, before) = seen.split_at(2);
    assert_eq!(before, [mine[3], mine[2], mine[1], mine[0]]);
    assert!(tied.contains(&mine[4]) && tied.contains(&mine[5]));
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_list_is_narrowed_by_status_and_period(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let nine = app.booked(member(2), &shop, 60).await;
    let ten = app.booked(member(2), &shop, 120).await;
    let eleven = app.booked(member(2), &shop, 180).await;
    app.act(member(2), ten, "cancel").send().await.expect(200);

    for (query, expected) in [
        ("", vec![eleven, ten, nine]),
        ("?status=cancelled", vec![ten]),
        ("?status=confirmed", vec![eleven, nine]),
        ("?status=no_show", vec![]),
        ("?from=2030-01-01T10:00:00Z", vec![eleven, ten]),
        ("?to=2030-01-01T10:00:00Z", vec![nine]),
        ("?from=2030-01-01T10:00:00Z&to=2030-01-01T11:00:00Z", vec![ten]),
        ("?status=confirmed&from=2030-01-01T18:00:00%2B09:00", vec![eleven, nine]),
    ] {
        let page = app.get(member(2), &format!("/v1/bookings{query}")).send().await.expect(200);
        assert_eq!(ids(&page), expected, "{query}");
        assert_eq!(page.json()["next_cursor"], Value::Null);
    }
}

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn a_list_refuses_what_it_cannot_mean(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    app.booked(member(3), &shop, 60).await;
    app.booked(member(3), &shop, 120).await;
    let theirs = app.get(member(3), "/v1/bookings?limit=1").send().await.json();
    let theirs = theirs["next_cursor"].as_str().unwrap().to_owned();

    for (query, status, code) in [
        ("limit=0", 422, "invalid_limit"),
        ("limit=-1", 422, "invalid_limit"),
        ("limit=1000000", 422, "invalid_limit"),
        ("cursor=forged", 400, "invalid_cursor"),
        (&format!("cursor={theirs}"), 400, "invalid_cursor"),
        ("from=-100000-01-01T00:00:00Z", 422, "invalid_period"),
        ("to=%2B100000-01-01T00:00:00Z", 422, "invalid_period"),
        ("from=yesterday", 422, "invalid_value"),
        ("status=done", 422, "invalid_value"),
        ("sort=price", 422, "unknown_field"),
        ("status=confirmed%00", 422, "invalid_character"),
        ("cursor=%27%3B%20DROP%20TABLE%20booking", 400, "invalid_cursor"),
    ] {
        let reply = app.get(member(2), &format!("/v1/bookings?{query}")).send().await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{query}");
    }
}
