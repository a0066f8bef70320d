use sqlx::PgPool;

use crate::bench::Bench;

/// Inserts three events parked an hour apart, the newest an hour ago, and one parked long ago.
async fn outbox(db: &PgPool) {
    let platform =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/points/000001_platform.up.sql");
    let platform = std::fs::read_to_string(platform).unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(platform)).execute(db).await.unwrap();
    let events = "INSERT INTO outbox_event (id, aggregate, kind, payload, occurred_at, created_at, attempts, parked_at)
                  SELECT gen_random_uuid(), n::text, CASE n WHEN 2 THEN 'other' ELSE 'one' END, '{}', now(),
                         now() - age, 10, now() - age
                  FROM (VALUES (1, interval '1 hour'), (2, '2 hours'), (3, '3 hours'), (4, '40 days')) e (n, age)";
    sqlx::query(events).execute(db).await.unwrap();
}

async fn parked(db: &PgPool) -> Vec<String> {
    let parked = "SELECT aggregate FROM outbox_event WHERE parked_at IS NOT NULL ORDER BY position";
    sqlx::query_scalar(parked).fetch_all(db).await.unwrap()
}

async fn ago(db: &PgPool, age: &str) -> String {
    let moment = "SELECT to_char(now() - $1::interval, 'YYYY-MM-DD\"T\"HH24:MI:SSOF')";
    sqlx::query_scalar(moment).bind(age).fetch_one(db).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn what_was_parked_in_a_period_goes_again(db: PgPool) {
    outbox(&db).await;
    let bench = Bench::new(db.clone());
    let (before, between) = (ago(&db, "210 minutes").await, ago(&db, "90 minutes").await);
    let earlier = format!("points unpark --since {before} --until {between} --dry-run");
    assert!(bench.ok(&earlier).await.contains(" 2 events would go again"));
    let (since, until) = (ago(&db, "150 minutes").await, ago(&db, "30 minutes").await);
    let period = format!("points unpark --since {since} --until {until}");
    assert!(bench.ok(&format!("{period} --dry-run")).await.contains(" 2 events would go again"));
    assert_eq!(parked(&db).await, ["1", "2", "3", "4"]);
    assert!(bench.ok(&format!("{period} --kind other")).await.contains(" 1 events go again"));
    assert_eq!(parked(&db).await, ["1", "3", "4"]);
    assert!(bench.ok(&period).await.contains(" 1 events go again"));
    assert_eq!(parked(&db).await, ["3", "4"]);
    let due = "SELECT count(*) FROM outbox_event WHERE attempts = 0 AND next_attempt_at <= now()";
    let due: i64 = sqlx::query_scalar(due).fetch_one(&db).await.unwrap();
    assert_eq!(due, 2);
    assert!(bench.ok(&period).await.contains(" 0 events go again"), "it may be repeated");
}

#[sqlx::test(migrations = false)]
async fn what_its_consumer_may_have_forgotten_stays(db: PgPool) {
    outbox(&db).await;
    let bench = Bench::new(db.clone());
    let said = bench.ok("points unpark --since 2000-01-01").await;
    assert!(said.contains(" 3 events go again; 1 are older than 29 days and stay"), "{said}");
    assert_eq!(parked(&db).await, ["4"]);
    assert_eq!(bench.run("points unpark --since whenever").await.code, 64);
}
