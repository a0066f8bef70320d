use std::collections::HashSet;
use std::time::Duration;

use kit::config;
use kit::error::{Kind, Outcome};
use kit::postgres::{self, query};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::{Instant, timeout};

use super::{APP, PLATFORM, metric, service_pool};

#[sqlx::test(migrator = "PLATFORM")]
async fn a_thousand_dropped_begins_poison_nobody(db: PgPool) {
    let table = "CREATE TABLE kept (n integer PRIMARY KEY); GRANT INSERT ON kept TO points_app";
    sqlx::raw_sql(table).execute(&db).await.unwrap();
    let mut config = config::Postgres::new(testkit::postgres::url(&db, APP));
    config.database_pool_max = 2;
    config.database_acquire_timeout = Duration::from_secs(5);
    let options = (*db.connect_options()).clone().username(APP);
    let pool = postgres::options(&config).connect_lazy_with(options);

    for n in 0..1000_i32 {
        // The client hangs up at some moment during BEGIN.
        let moment = Duration::from_micros(u64::try_from(n % 100).unwrap() * 10);
        drop(timeout(moment, pool.begin()).await);
        sqlx::query("INSERT INTO kept VALUES ($1)").bind(n).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let kept: Vec<i32> = sqlx::query_scalar("SELECT n FROM kept").fetch_all(&db).await.unwrap();
    let kept: HashSet<i32> = kept.into_iter().collect();
    let lost: Vec<i32> = (0..1000).filter(|n| !kept.contains(n)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_clean_connection_is_returned_and_kept(db: PgPool) {
    let mut config = config::Postgres::new(testkit::postgres::url(&db, APP));
    config.database_pool_max = 1;
    let options = (*db.connect_options()).clone().username(APP);
    let pool = postgres::options(&config).connect_lazy_with(options);
    let pid = || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&pool);
    let first = pid().await.unwrap();
    for _ in 0..20 {
        let mut tx = postgres::begin(&pool).await.unwrap();
        // An error leaves the transaction aborted; the connection is cleaned all the same.
        assert!(sqlx::query("SELECT 1/0").execute(&mut *tx).await.is_err());
        drop(tx);
        assert_eq!(pid().await.unwrap(), first);
    }
}

#[sqlx::test(migrator = "PLATFORM")]
async fn every_connection_has_timeouts_and_a_name(db: PgPool) {
    let config = config::Postgres::new(testkit::postgres::url(&db, APP));
    let pool = postgres::connect(&config, "points", &PLATFORM).await.unwrap();
    for (setting, expected) in [
        ("statement_timeout", "2s"),
        ("lock_timeout", "500ms"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("application_name", "points"),
    ] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(value, expected, "{setting}");
    }
    let busy = pool.acquire().await.unwrap();
    testkit::eventually(Duration::from_secs(5), || async {
        let gauges = metric(&["db_connections_active", "points"])
            == metric(&["db_connections{", "points", "in_use"]);
        (gauges && metric(&["db_connections_active", "points"]) >= 1.0).then_some(())
    })
    .await;
    assert_eq!(metric(&["db_connections{", "points", "max"]), 16.0);
    drop(busy);

    // Slow statements are counted by operation, not by text.
    assert_eq!(metric(&["db_slow_queries_total", "points"]), 0.0);
    query("nap", sqlx::query("SELECT pg_sleep(0.15)").execute(&pool)).await.unwrap();
    assert_eq!(metric(&["db_slow_queries_total", "points"]), 1.0);
    let series = ["db_query_duration_seconds_count", "points", "\"nap\""];
    assert_eq!(metric(&series), 1.0);
    pool.close().await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn what_ran_out_of_time_is_busy_and_not_an_error_of_ours(db: PgPool) {
    let config = config::Postgres::new(testkit::postgres::url(&db, APP));
    let pool = postgres::connect(&config, "points", &PLATFORM).await.unwrap();

    let slow = sqlx::query("SELECT pg_sleep(5)").execute(&pool).await.unwrap_err();
    assert_busy(&slow, "57014");

    let mut holder = postgres::begin(&pool).await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(1)").execute(&mut *holder).await.unwrap();
    let waiter = sqlx::query("SELECT pg_advisory_xact_lock(1)");
    assert_busy(&waiter.execute(&pool).await.unwrap_err(), "55P03");
    drop(holder);
    pool.close().await;
}

fn assert_busy(error: &sqlx::Error, sqlstate: &str) {
    let code = error.as_database_error().and_then(|e| e.code());
    assert_eq!(code.as_deref(), Some(sqlstate), "{error}");
    assert_eq!(
        (postgres::kind(error), &*postgres::code(error)),
        (Kind::Unavailable, "database_busy")
    );
}

#[sqlx::test(migrator = "PLATFORM")]
async fn an_exhausted_pool_says_overloaded_within_half_a_second(db: PgPool) {
    let mut config = config::Postgres::new(testkit::postgres::url(&db, APP));
    config.database_pool_max = 2;
    let pool = postgres::connect(&config, "points", &PLATFORM).await.unwrap();
    let all = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let began = Instant::now();
    let error = postgres::begin(&pool).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(postgres::code(&error), "overloaded");
    assert_eq!(postgres::kind(&error), Kind::Unavailable);
    drop(all);
    pool.close().await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_connection_lost_at_commit_has_an_unknown_outcome(db: PgPool) {
    let pool = service_pool(&db);
    let mut tx = postgres::begin(&pool).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&db).await.unwrap();
    let error = postgres::commit(tx).await.unwrap_err();
    assert_eq!(postgres::code(&error), "outcome_unknown", "{error:?}");
    assert_eq!(postgres::kind(&error), Kind::Unavailable);

    // The next transaction gets a healthy connection.
    let tx = postgres::begin(&pool).await.unwrap();
    postgres::commit(tx).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable() {
    let config = config::Postgres::new("postgres://nobody@127.0.0.1:1/nothing".to_owned());
    let options = "postgres://nobody@127.0.0.1:1/nothing".parse().unwrap();
    let pool = postgres::options(&config).connect_lazy_with(options);
    let error = postgres::begin(&pool).await.unwrap_err();
    assert_eq!(postgres::code(&error), "database_unavailable");
}

#[tokio::test]
async fn a_server_that_froze_is_given_up_on() {
    let began = Instant::now();
    let error = query("frozen", std::future::pending::<sqlx::Result<()>>()).await.unwrap_err();
    assert!((2500..2900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(postgres::code(&error), "database_unavailable");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_transaction_left_idle_is_ended_by_the_server(db: PgPool) {
    let options = (*db.connect_options()).clone().username(APP);
    let options = options.options([("idle_in_transaction_session_timeout", "100ms")]);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut connection).await.unwrap();
    testkit::eventually(Duration::from_secs(5), || async {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND state = 'idle in transaction'";
        let open: i64 = sqlx::query_scalar(sql).fetch_one(&db).await.unwrap();
        (open == 0).then_some(())
    })
    .await;
    let error = sqlx::query("SELECT 1").execute(&mut connection).await.unwrap_err();
    assert_eq!(postgres::code(&error), "database_unavailable", "{error:?}");
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_database_that_gave_up_did_nothing_and_one_that_is_away_may_have(db: PgPool) {
    let mut connection = db.acquire().await.unwrap();
    sqlx::query("SET statement_timeout = '20ms'").execute(&mut *connection).await.unwrap();
    let busy = sqlx::query("SELECT pg_sleep(5)").execute(&mut *connection).await.unwrap_err();
    assert_eq!(postgres::code(&busy), "database_busy");
    assert_eq!(postgres::outcome(&busy), Outcome::None);
    assert_eq!(kit::Classify::outcome(&kit::idempotency::Error::from(busy)), Outcome::None);
    let away = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
    assert_eq!(postgres::outcome(&away), Outcome::Unknown);
    assert_eq!(postgres::outcome(&postgres::during_commit(away)), Outcome::Unknown);
}

/// Ends every other session of this role, as a restart of the server would.
async fn end_sessions(db: &PgPool) {
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
               WHERE usename = 'points_app' AND datname = current_database()";
    sqlx::query(end).fetch_all(db).await.unwrap();
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_connection_that_died_in_the_pool_is_nobodys_error(db: PgPool) {
    let pool = service_pool(&db);
    let select = || sqlx::query("SELECT 1").execute(&pool);
    let fill = async || {
        let mut connections = Vec::new();
        for _ in 0..4 {
            connections.push(pool.acquire().await.unwrap());
        }
        drop(connections);
        testkit::eventually(Duration::from_secs(5), || async {
            (pool.num_idle() == 4).then_some(())
        })
        .await;
    };
    fill().await;
    end_sessions(&db).await;
    // Released less than a second ago, so it is used without a check.
    let tx = postgres::begin(&pool).await.unwrap();
    postgres::commit(tx).await.unwrap();

    fill().await;
    end_sessions(&db).await;
    // One lost connection makes the pool check the others.
    let _ = query("probe", select()).await;
    for _ in 0..4 {
        query("probe", select()).await.unwrap();
    }
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_server_that_gives_no_more_connections_is_busy_and_not_away(db: PgPool) {
    let name = db.connect_options().get_database().unwrap().to_owned();
    let limit = async |most: i32| {
        let alter = format!("ALTER DATABASE \"{name}\" CONNECTION LIMIT {most}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(alter)).execute(&db).await.unwrap();
    };
    let pool = service_pool(&db);
    let mut held = pool.acquire().await.unwrap();
    limit(1).await;
    let error = async {
        loop {
            // Our own connection answers meanwhile.
            query("probe", sqlx::query("SELECT 1").execute(&mut *held)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let refused = async { query("acquire", pool.acquire()).await.map(drop).unwrap_err() };
    let refused = tokio::select! { refused = refused => refused, () = error => unreachable!() };
    assert_eq!(postgres::code(&refused), "overloaded");
    assert_eq!(postgres::outcome(&refused), Outcome::None);
    let options = pool.connect_options();
    let refused = PgConnection::connect_with(&options).await.unwrap_err();
    assert_eq!(postgres::code(&refused), "overloaded", "{refused}");
    limit(-1).await;
}

#[sqlx::test(migrator = "PLATFORM")]
async fn a_replica_has_one_connection_for_all_its_elections(db: PgPool) {
    let stop = tokio_util::sync::CancellationToken::new();
    let names: [&'static str; 6] = ["one", "two", "three", "four", "five", "six"];
    for _ in 0..2 {
        let pool = service_pool(&db);
        for name in names {
            let nothing = || async { Ok(()) };
            let period = Duration::from_millis(10);
            tokio::spawn(kit::jobs::every(name, period, pool.clone(), stop.clone(), nothing));
        }
    }
    testkit::eventually(Duration::from_secs(10), || async {
        let all = names.iter().all(|name| metric(&["job_runs_total", name, "\"ok\""]) > 2.0);
        all.then_some(())
    })
    .await;
    // Both have tried to win each election, and the one that does not lead has tried again.
    testkit::eventually(Duration::from_secs(20), || async {
        let elections = metric(&["db_query_duration_seconds_count", "\"leader_elect\""]);
        (elections >= 18.0).then_some(())
    })
    .await;
    let sessions = "SELECT count(*) FROM pg_stat_activity
                    WHERE usename = 'points_app' AND datname = current_database()";
    let sessions: i64 = sqlx::query_scalar(sessions).fetch_one(&db).await.unwrap();
    assert_eq!(sessions, 2, "one for each replica");
    stop.cancel();
}
