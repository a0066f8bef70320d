//! Values in Redis are accepted only with our signature for this key and this database.

use std::time::Duration;

use kit::cache::{Cache, Versioned};
use kit::redis::Redis;
use sqlx::PgPool;
use testkit::redis::Server;

use super::cache::{
    Row, TTL, at, cached, connected, database, place, read, replica, replica_on, set,
};
use super::metric;
use super::redis_server::raw;

async fn stored(server: &Server, key: &str) -> Vec<u8> {
    let get = redis::cmd("GET").arg(key).to_owned();
    get.query_async(&mut raw(server).await).await.unwrap()
}

/// Returns the number of values refused for this reason.
fn refused(reason: &str) -> f64 {
    metric(&["cache_refused_total", "\"things\"", &format!("\"{reason}\"")])
}

#[tokio::test]
async fn a_value_is_good_only_under_its_own_key_and_from_its_own_service() {
    let server = Server::start().await;
    let (redis, cache) = replica(&server).await;
    let row = Row::at(7);
    cached(&cache, &row).await;
    let place = place(&server).await;
    let ours = stored(&server, &place).await;

    // The value of another key: well-formed, and signed by us.
    let forge = async |value: &[u8]| {
        set(&server, &place, value).await;
        let before = row.reads();
        assert_eq!(read(&cache, &row).await, Some(at(7)), "{}", String::from_utf8_lossy(value));
        assert_eq!(row.reads(), before + 1, "a miss");
    };
    cache.put("another", Versioned { version: 9, value: "of another key".to_owned() }).await;
    let another = stored(&server, &place.replace(":k", ":another")).await;
    forge(&another).await;
    assert_eq!(refused("forged"), 1.0);

    // The same key, signed by a service with another secret.
    let foreign = Redis::new(&server.config(), "test", &"of another service".into()).unwrap();
    connected(&foreign).await;
    let foreign: Cache<String> = Cache::new("things", TTL, foreign, &database().await);
    let () = redis::cmd("DEL").arg(&place).query_async(&mut raw(&server).await).await.unwrap();
    foreign.put("k", Versioned { version: 9, value: "of another service".to_owned() }).await;
    let foreign = stored(&server, &place).await;
    forge(&foreign).await;
    assert_eq!(refused("forged"), 2.0);

    // Altered: the version, the expiry, the signature, the value.
    let text = String::from_utf8(ours.clone()).unwrap();
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    for part in 0..4 {
        let mut altered: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        altered[part] = match part {
            0 => "8".to_owned(),
            1 => format!("{}9", parts[1]),
            2 => parts[2].chars().rev().collect(),
            _ => "\"value 8\"".to_owned(),
        };
        forge(altered.join(":").as_bytes()).await;
    }
    assert!(refused("forged") >= 5.0 && refused("forged") + refused("malformed") == 6.0);

    // Unaltered it is accepted again, so the alterations were the reason.
    set(&server, &place, &ours).await;
    let before = row.reads();
    assert_eq!(read(&cache, &row).await, Some(at(7)));
    assert_eq!(row.reads(), before);
    drop(redis);
}

#[sqlx::test(migrations = false)]
async fn nothing_is_read_after_a_restore_that_was_cached_before(db: PgPool) {
    let server = Server::start().await;
    let (_, before) = replica(&server).await;
    let options = kit::postgres::options(&kit::config::Postgres::new(String::new()));
    let restored = options.connect_lazy_with((*db.connect_options()).clone());
    drop(restored.acquire().await.unwrap());
    let (_, after) = replica_on(&server, &restored).await;

    let lost = Row::at(9);
    cached(&before, &lost).await;
    // The restored database has an older version, which is authoritative.
    let row = Row::at(2);
    assert_eq!(read(&after, &row).await, Some(at(2)));
    cached(&after, &row).await;
    assert_eq!(read(&after, &row).await, Some(at(2)));
    assert_eq!(read(&before, &lost).await, Some(at(9)), "each has its own");
}

#[sqlx::test(migrations = false)]
async fn a_process_notices_a_restore_by_its_next_connection(db: PgPool) {
    let name = format!("restored_{}", std::process::id());
    let recreate = async || {
        for statement in ["DROP DATABASE IF EXISTS NAME WITH (FORCE)", "CREATE DATABASE NAME"] {
            let statement = sqlx::AssertSqlSafe(statement.replace("NAME", &name));
            sqlx::raw_sql(statement).execute(&db).await.unwrap();
        }
    };
    recreate().await;
    let connect = (*db.connect_options()).clone().database(&name);
    let options = kit::postgres::options(&kit::config::Postgres::new(String::new()));
    let pool = options.connect_lazy_with(connect);
    drop(pool.acquire().await.unwrap());
    let server = Server::start().await;
    let (_, cache) = replica_on(&server, &pool).await;
    let row = Row::at(9);
    cached(&cache, &row).await;

    // Restored to an older state under the same name; earlier connections are dead.
    recreate().await;
    row.set(2);
    let connects = || async { sqlx::query("SELECT 1").execute(&pool).await.ok() };
    testkit::eventually(Duration::from_secs(5), connects).await;
    assert_eq!(read(&cache, &row).await, Some(at(2)));
    pool.close().await;
    let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::raw_sql(drop).execute(&db).await.unwrap();
}
