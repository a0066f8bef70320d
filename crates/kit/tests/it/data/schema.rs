use kit::{config, postgres};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::time::Duration;

use super::{APP, PLATFORM};

async fn start(db: &PgPool, schema: &Migrator) -> Result<(), String> {
    let config = config::Postgres::new(testkit::postgres::url(db, APP));
    let pool = postgres::connect(&config, "points", schema).await;
    match pool {
        Ok(pool) => {
            pool.close().await;
            Ok(())
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_service_starts_on_its_own_schema_and_on_a_newer_one(db: PgPool) {
    start(&db, &PLATFORM).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations SELECT 2, 'newer', now(), true, ''::bytea, 0";
    sqlx::query(newer).execute(&db).await.unwrap();
    start(&db, &PLATFORM).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn pending_migrations_are_refused_with_the_command_that_applies_them(db: PgPool) {
    let error = start(&db, &PLATFORM).await.unwrap_err();
    assert_eq!(error, "pending migrations (1): run `make migrate-up SERVICE=points`");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_dirty_schema_is_refused_with_the_way_out(db: PgPool) {
    sqlx::query("UPDATE _sqlx_migrations SET success = false").execute(&db).await.unwrap();
    let error = start(&db, &PLATFORM).await.unwrap_err();
    assert!(error.contains("migration 1 died half way"), "{error}");
    assert!(error.contains("make migrate-force SERVICE=points"), "{error}");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_migration_changed_after_it_was_applied_is_refused(db: PgPool) {
    sqlx::query("UPDATE _sqlx_migrations SET checksum = 'x'").execute(&db).await.unwrap();
    let error = start(&db, &PLATFORM).await.unwrap_err();
    assert!(error.contains("migration 1 was changed"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_away_gets_ten_seconds_and_the_password_stays_secret() {
    let url = "postgres://someone:hunter2@127.0.0.1:1/points".to_owned();
    let began = tokio::time::Instant::now();
    let error = postgres::connect(&config::Postgres::new(url), "points", &PLATFORM).await;
    let error = format!("{:#}", error.unwrap_err());
    assert!((10..13).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(error.starts_with("cannot connect to PostgreSQL at 127.0.0.1:1: "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_url_that_is_none_is_named_and_not_shown() {
    let config = config::Postgres::new("mysql://someone:hunter2@x/y".to_owned());
    let connect = postgres::connect(&config, "points", &PLATFORM);
    let error = tokio::time::timeout(Duration::from_secs(1), connect).await.unwrap().unwrap_err();
    assert_eq!(format!("{error:#}"), "DATABASE_URL is not a PostgreSQL URL");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn the_platform_goes_away_without_a_trace(db: PgPool) {
    let down =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/points/000001_platform.down.sql");
    let down = sqlx::AssertSqlSafe(std::fs::read_to_string(down).unwrap());
    sqlx::raw_sql(down).execute(&db).await.unwrap();
    let left: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         WHERE nspname = 'public' AND relname NOT LIKE '\\_sqlx\\_migrations%'",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_platform_differs_between_services_in_the_role_alone() {
    let read = |service: &str| {
        let file = format!(
            "{}/../../migrations/{service}/000001_platform.up.sql",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read_to_string(file).unwrap().replace(&format!("{service}_app"), "_app")
    };
    for service in ["auth", "booking", "incidents"] {
        assert_eq!(read(service), read("points"), "{service}");
    }
}
