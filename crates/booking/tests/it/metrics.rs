//! The metrics that alerts read.

use sqlx::PgPool;

use crate::app::{App, member};

fn created(status: &str) -> u64 {
    series(&format!("booking_created_total{{status=\"{status}\"}}"))
}

/// # Panics
/// Panics when the series is missing.
pub fn series(name: &str) -> u64 {
    let (_, text) = observability::metrics::render();
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

/// One test, because the registry is the process's own.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn each_attempt_is_counted_by_how_it_ended(db: PgPool) {
    let app = App::new(db);
    let shop = app.open_shop().await;
    let before = ["success", "overlap_error", "rejected", "error"].map(created);
    assert_eq!(before, [0, 0, 0, 0]);

    let wanted = app.book(member(2), &shop, 60, 60);
    wanted.clone().send().await.expect(201);
    wanted.send().await.expect(201); // a replay is no attempt
    app.book(member(3), &shop, 60, 60).send().await.expect(409);
    app.book(member(3), &shop, -60, 60).send().await.expect(422);
    sqlx::query("ALTER TABLE booking RENAME TO gone").execute(&app.db).await.unwrap();
    app.book(member(3), &shop, 180, 60).send().await.expect(500);

    assert_eq!(["success", "overlap_error", "rejected", "error"].map(created), [1, 1, 1, 1]);
    assert_eq!(series("booking_creation_duration_seconds_count"), 4);
    for bucket in ["0.005", "0.01", "0.025", "0.05", "0.1", "0.2", "0.3", "0.5", "1", "2"] {
        series(&format!("booking_creation_duration_seconds_bucket{{le=\"{bucket}\"}}"));
    }
}
