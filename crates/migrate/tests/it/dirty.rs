use sqlx::PgPool;

use crate::bench::Bench;

const SLEEPS: &str = "CREATE TABLE half (id int); SELECT pg_sleep(60);";
const IS_ASLEEP: &str = "SELECT count(*) = 1 FROM pg_stat_activity \
    WHERE datname = current_database() AND application_name = 'migrate' AND wait_event = 'PgSleep'";

#[sqlx::test]
async fn a_failing_statement_rolls_back_and_leaves_no_trace(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.write("000003_bad", "CREATE TABLE three (); SELECT 1/0;", "DROP TABLE three;");
    let said = bench.run("points up").await;
    assert_eq!(said.code, 70, "{}", said.err);
    assert!(said.err.contains("migration 3 (bad)"), "{}", said.err);
    assert!(said.err.contains("division by zero"), "{}", said.err);
    assert!(bench.has_table("two").await && !bench.has_table("three").await);

    bench.write("000003_bad", "CREATE TABLE three ();", "DROP TABLE three;");
    bench.ok("points up").await;
}

#[sqlx::test]
async fn a_constraint_that_fails_at_commit_rolls_back(db: PgPool) {
    let bench = Bench::new(db);
    let up = "CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (1);";
    bench.write("000001_deferred", up, "DROP TABLE c, p;");
    assert_eq!(bench.run("points up").await.code, 70);
    assert!(!bench.has_table("p").await);
    assert!(bench.ok("points version").await.ends_with(" 0\n"));
}

#[sqlx::test]
async fn a_failing_statement_outside_a_transaction_is_dirty_until_forced(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.ok("points up").await;
    sqlx::raw_sql("INSERT INTO one VALUES (7), (7)").execute(&bench.db).await.unwrap();
    let up = "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY one_id ON one (id);";
    bench.write("000003_unique", up, "DROP INDEX one_id;");

    let said = bench.run("points up").await;
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("migration 3 (unique) died half way"), "{}", said.err);
    assert!(said.err.contains("migrate points force 2"), "{}", said.err);
    assert!(said.err.contains("migrate points force 3"), "{}", said.err);

    let again = bench.run("points up").await;
    assert_eq!(again.code, 65);
    assert!(bench.run("points status").await.out.contains("unique                         DIRTY"));
    assert_eq!(bench.run("points down 1").await.code, 65);

    sqlx::raw_sql("DROP INDEX one_id; DELETE FROM one;").execute(&bench.db).await.unwrap();
    bench.ok("points force 2").await;
    bench.ok("points up").await;
    assert!(bench.ok("points version").await.ends_with(" 3\n"));
}

#[sqlx::test]
async fn a_process_killed_while_applying_leaves_a_dirty_schema_with_the_way_out(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.write("000003_long", SLEEPS, "DROP TABLE half;");
    let mut child = bench.spawn("points up");
    bench.until(IS_ASLEEP).await;
    child.kill().await.unwrap();

    let said = bench.run("points up").await;
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("migration 3 (long) died half way"), "{}", said.err);
    assert!(said.err.contains("nothing of it is left"), "{}", said.err);
    assert!(said.err.contains("migrate points force 2"), "{}", said.err);
    assert!(!bench.has_table("half").await);

    bench.write("000003_long", "CREATE TABLE half ();", "DROP TABLE half;");
    bench.ok("points force 2").await;
    bench.ok("points up").await;
}

#[sqlx::test]
async fn a_process_killed_while_reverting_leaves_a_dirty_schema_with_the_way_out(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.write("000003_long", "CREATE TABLE half ();", "DROP TABLE half; SELECT pg_sleep(60);");
    bench.ok("points up").await;
    let mut child = bench.spawn("points down 1");
    bench.until(IS_ASLEEP).await;
    child.kill().await.unwrap();

    let said = bench.run("points down 1").await;
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("migrate points force 3"), "{}", said.err);
    assert!(bench.has_table("half").await);
}

#[sqlx::test]
async fn a_changed_file_of_an_applied_migration_is_refused(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.ok("points up 1").await;
    bench.write("000001_one", "CREATE TABLE one (id bigint);", "DROP TABLE one;");
    let said = bench.run("points up").await;
    assert_eq!(said.code, 65);
    assert!(
        said.err.contains("migration 1 (one) was changed after it was applied"),
        "{}",
        said.err
    );
    assert!(!bench.has_table("two").await);
    bench.ok("points force 1").await;
    bench.ok("points up").await;
}

#[sqlx::test]
async fn an_applied_migration_whose_files_are_gone_is_refused(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.ok("points up").await;
    bench.remove("000002_two.up.sql");
    bench.remove("000002_two.down.sql");
    let said = bench.run("points down 1").await;
    assert_eq!(said.code, 65);
    assert!(said.err.contains("its files are gone"), "{}", said.err);
}

#[sqlx::test]
async fn a_migration_with_a_number_that_has_passed_is_refused(db: PgPool) {
    let bench = Bench::with_two(db);
    bench.write("000004_four", "SELECT 1;", "SELECT 1;");
    bench.ok("points up").await;
    bench.write("000003_late", "SELECT 1;", "SELECT 1;");
    let said = bench.run("points up").await;
    assert_eq!(said.code, 65);
    assert!(said.err.contains("comes before 4"), "{}", said.err);
}

#[sqlx::test]
async fn force_takes_only_a_version_that_exists(db: PgPool) {
    let bench = Bench::with_two(db);
    let said = bench.run("points force 9").await;
    assert_eq!(said.code, 64);
    assert!(said.err.contains("there are 0, 1, 2"), "{}", said.err);
    bench.ok("points force 2").await;
    assert!(bench.ok("points version").await.ends_with(" 2\n"));
    bench.ok("points force 0").await;
    assert!(bench.ok("points version").await.ends_with(" 0\n"));
}
