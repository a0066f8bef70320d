use std::path::Path;

use sqlx::PgPool;
use sqlx::migrate::Migrator;

use crate::bench::{Bench, said};

#[sqlx::test]
async fn up_applies_what_is_pending_and_then_nothing(db: PgPool) {
    let bench = Bench::with_two(db);
    assert!(bench.ok("points up").await.contains("000002 two applied"));
    assert!(bench.has_table("one").await && bench.has_table("two").await);
    assert!(bench.ok("points up").await.contains("up to date at 2"));
}

#[sqlx::test]
async fn up_n_applies_the_next_n_only(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.ok("points up 1").await;
    assert!(bench.has_table("one").await && !bench.has_table("two").await);
    assert!(bench.ok("points version").await.ends_with(" 1\n"));
    let status = bench.ok("points status").await;
    assert!(status.lines().next().unwrap().contains("applied 2"), "{status}");
    assert!(status.lines().nth(1).unwrap().ends_with("pending"), "{status}");
}

#[sqlx::test]
async fn down_n_reverts_the_newest_n(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.ok("points up").await;
    bench.ok("points down 1").await;
    assert!(bench.has_table("one").await && !bench.has_table("two").await);
    bench.ok("points up").await;
    assert!(bench.has_table("two").await);
}

#[sqlx::test]
async fn down_all_wants_a_yes_and_leaves_nothing(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.ok("points up").await;
    assert_eq!(bench.run("points down --all").await.code, 64);
    assert_eq!(bench.run("points down").await.code, 64);
    assert!(bench.has_table("one").await);
    bench.ok("points down --all --yes").await;
    assert!(!bench.has_table("one").await && !bench.has_table("two").await);
    assert!(bench.ok("points version").await.ends_with(" 0\n"));
}

#[sqlx::test]
async fn eight_at_once_apply_each_migration_once(db: PgPool) {
    let bench = Bench::new(db);
    bench.write("000001_slow", "CREATE TABLE ran (); SELECT pg_sleep(0.3);", "DROP TABLE ran;");
    bench.write("000002_next", "CREATE TABLE ran_too ();", "DROP TABLE ran_too;");
    let children: Vec<_> = (0..8).map(|_| bench.spawn("points up")).collect();
    let mut applied = 0;
    for child in children {
        let said = said(child).await;
        assert_eq!(said.code, 0, "{}", said.err);
        applied += said.out.matches("applied in").count();
    }
    assert_eq!(applied, 2);
}

#[sqlx::test]
async fn a_run_that_cannot_get_the_lock_says_so(db: PgPool) {
    let bench = Bench::new(db);
    bench.write("000001_slow", "SELECT pg_sleep(5);", "SELECT 1;");
    let first = bench.spawn("points up");
    bench.until("SELECT NOT success FROM _sqlx_migrations").await;
    let second = bench.run("points up --lock-wait 0").await;
    assert_eq!(second.code, 75, "{}", second.err);
    assert!(second.err.contains("another migration is running"), "{}", second.err);
    drop(first);
}

#[sqlx::test]
async fn sqlx_agrees_with_what_was_applied(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.ok("points up").await;
    let dir = bench.dir().join("points");
    let migrator = Migrator::new(Path::new(&dir)).await.unwrap();
    migrator.run(&bench.db).await.unwrap();
    migrator.undo(&bench.db, 0).await.unwrap();
    assert!(bench.ok("points version").await.ends_with(" 0\n"));
}

#[sqlx::test]
async fn an_unknown_service_and_a_missing_url_are_usage(db: PgPool) {
    let bench = Bench::with_two(db);
    let said = bench.run("pints up").await;
    assert_eq!(said.code, 64);
    assert!(said.err.contains("there are points and `all`"), "{}", said.err);

    let said = bench.run_without_url("points up").await;
    assert_eq!(said.code, 64);
    assert!(said.err.contains("POINTS_OWNER_URL is not set"), "{}", said.err);
}

#[sqlx::test]
async fn a_migration_without_a_way_back_is_refused_before_anything_runs(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.remove("000002_two.down.sql");
    let said = bench.run("points up").await;
    assert_eq!(said.code, 64);
    assert!(said.err.contains("000002_two.down.sql is missing"), "{}", said.err);
    assert!(!bench.has_table("one").await);
}
