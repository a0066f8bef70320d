use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use kit::cache::{Cache, Versioned};
use kit::redis::Redis;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::metric;
use super::redis_server::raw;
use testkit::redis::Server;

pub(super) const TTL: Duration = Duration::from_secs(300);

/// A row in the database, which counts its reads.
#[derive(Clone, Default)]
pub(super) struct Row {
    /// 0 means that the row does not exist.
    version: Arc<AtomicI64>,
    reads: Arc<AtomicU32>,
}

impl Row {
    pub(super) fn at(version: i64) -> Self {
        let row = Self::default();
        row.set(version);
        row
    }

    pub(super) fn set(&self, version: i64) {
        self.version.store(version, Ordering::SeqCst);
    }

    fn now(&self) -> Option<Versioned<String>> {
        let version = self.version.load(Ordering::SeqCst);
        (version > 0).then(|| at(version))
    }

    async fn load(&self) -> Result<Option<Versioned<String>>, Infallible> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.now())
    }

    pub(super) fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }
}

pub(super) fn at(version: i64) -> Versioned<String> {
    Versioned { version, value: format!("value {version}") }
}

/// The cache of one replica, connected.
pub(super) async fn replica(server: &Server) -> (Redis, Cache<String>) {
    replica_on(server, &database().await).await
}

pub(super) async fn replica_on(server: &Server, db: &PgPool) -> (Redis, Cache<String>) {
    let redis = Redis::new(&server.config(), "test", &testkit::redis::secret()).unwrap();
    connected(&redis).await;
    let cache = Cache::new("things", TTL, redis.clone(), db);
    (redis, cache)
}

/// The cached database, with a known incarnation.
pub(super) async fn database() -> PgPool {
    let options = kit::postgres::options(&kit::config::Postgres::new(String::new()));
    let pool = options.connect_lazy(&testkit::postgres::server()).unwrap();
    drop(pool.acquire().await.unwrap());
    pool
}

/// Returns the only key of the cache in Redis.
pub(super) async fn place(server: &Server) -> String {
    let keys = redis::cmd("KEYS").arg("test:things:*").to_owned();
    let keys: Vec<String> = keys.query_async(&mut raw(server).await).await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.into_iter().next().unwrap()
}

pub(super) async fn set(server: &Server, key: &str, value: &[u8]) {
    let set = redis::cmd("SET").arg(key).arg(value).to_owned();
    let () = set.query_async(&mut raw(server).await).await.unwrap();
}

pub(super) async fn connected(redis: &Redis) {
    testkit::eventually(Duration::from_secs(10), || async { redis.get("nothing").await.ok() })
        .await;
}

pub(super) async fn read(cache: &Cache<String>, row: &Row) -> Option<Versioned<String>> {
    cache.get_or_load("k", row.load()).await.unwrap()
}

/// Reads until the answer comes from Redis.
pub(super) async fn cached(cache: &Cache<String>, row: &Row) {
    testkit::eventually(Duration::from_secs(5), || async {
        let before = row.reads();
        read(cache, row).await;
        (row.reads() == before).then_some(())
    })
    .await;
}

// On one thread, so that a reader that was counted also waits for the load when we look.
#[tokio::test]
async fn five_hundred_misses_of_one_key_load_once() {
    let server = Server::start().await;
    for redis in [
        Redis::new(&server.config(), "test", &testkit::redis::secret()).unwrap(),
        Redis::disabled(),
    ] {
        let cache: Cache<String> = Cache::new("crowd", TTL, redis, &database().await);
        let (loads, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let mut readers = JoinSet::new();
        for _ in 0..500 {
            let (cache, loads, go) = (cache.clone(), Arc::clone(&loads), Arc::clone(&go));
            readers.spawn(async move {
                let load = async {
                    loads.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    Ok::<_, Infallible>(Some(at(1)))
                };
                cache.get_or_load("k", load).await.unwrap()
            });
        }
        // All 500 have asked, one is loading.
        testkit::eventually(Duration::from_secs(10), || async {
            let asked = metric(&["cache_requests_total", "\"crowd\""]);
            (asked % 500.0 == 0.0 && loads.load(Ordering::SeqCst) > 0).then_some(())
        })
        .await;
        go.notify_one();
        let all = readers.join_all().await;
        assert!(all.iter().all(|value| *value == Some(at(1))));
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_value_is_read_from_redis_with_a_jittered_time_to_live() {
    let server = Server::start().await;
    let (_, cache) = replica(&server).await;
    let mut ttls = Vec::new();
    for _ in 0..50 {
        cache.put("k", at(1)).await;
        let place = place(&server).await;
        let mut raw = raw(&server).await;
        let ttl: i64 = redis::cmd("PTTL").arg(&place).query_async(&mut raw).await.unwrap();
        ttls.push(ttl);
    }
    cache.forget("k").await;
    let forgotten = redis::cmd("DEL").arg(place(&server).await).to_owned();
    let () = forgotten.query_async(&mut raw(&server).await).await.unwrap();
    assert!(ttls.iter().all(|ttl| (235_000..=360_000).contains(ttl)), "{ttls:?}");
    let (min, max) = (ttls.iter().min().unwrap(), ttls.iter().max().unwrap());
    assert!(max - min > 30_000, "{ttls:?}");

    let row = Row::at(1);
    cached(&cache, &row).await;
    assert_eq!(metric(&["cache_requests_total", "\"things\"", "\"miss\""]), 1.0);
    assert!(metric(&["cache_requests_total", "\"things\"", "\"hit\""]) >= 1.0);
}

#[tokio::test]
async fn absence_is_remembered_in_this_process_and_ended_by_a_create() {
    let server = Server::start().await;
    let (_, here) = replica(&server).await;
    let (_, there) = replica(&server).await;
    let row = Row::default();
    for cache in [&here, &there] {
        for _ in 0..10 {
            assert_eq!(read(cache, &row).await, None);
        }
    }
    assert_eq!(row.reads(), 2, "one per process");
    let keys: i64 = redis::cmd("DBSIZE").query_async(&mut raw(&server).await).await.unwrap();
    assert_eq!(keys, 0, "made-up ids must not fill Redis");
    assert_eq!(metric(&["cache_requests_total", "\"negative\""]), 18.0);

    row.set(1);
    here.put("k", at(1)).await;
    assert_eq!(read(&here, &row).await, Some(at(1)));
    assert_eq!(read(&there, &row).await, Some(at(1)), "the other replica asks Redis first");
}

#[tokio::test]
async fn a_create_during_a_load_that_finds_nothing_is_seen() {
    let cache: Cache<String> = Cache::new("things", TTL, Redis::disabled(), &database().await);
    let row = Row::default();
    let load = async {
        let nothing = row.now();
        row.set(1); // committed and announced just after this load looked
        cache.put("k", at(1)).await;
        Ok::<_, Infallible>(nothing)
    };
    assert_eq!(cache.get_or_load("k", load).await.unwrap(), None);
    assert_eq!(read(&cache, &row).await, Some(at(1)));
}

#[tokio::test]
async fn an_older_version_never_replaces_a_newer_one() {
    let server = Server::start().await;
    let (_, here) = replica(&server).await;
    let (_, there) = replica(&server).await;
    let row = Row::at(2);
    // One replica reads version 1; before it can cache that, the other writes version 2.
    let late = async {
        here.put("k", at(2)).await;
        Ok::<_, Infallible>(Some(at(1)))
    };
    assert_eq!(there.get_or_load("k", late).await.unwrap(), Some(at(1)));
    for cache in [&here, &there] {
        assert_eq!(read(cache, &row).await, Some(at(2)));
    }
    here.put("k", at(1)).await;
    assert_eq!(read(&there, &row).await, Some(at(2)));
    assert_eq!(row.reads(), 0);
}

#[tokio::test]
async fn what_was_read_before_a_forget_is_not_brought_back() {
    let server = Server::start().await;
    let (_, here) = replica(&server).await;
    let (_, there) = replica(&server).await;
    let row = Row::at(1);
    let late = async {
        let old = row.now();
        row.set(2);
        here.forget("k").await;
        Ok::<_, Infallible>(old)
    };
    assert_eq!(there.get_or_load("k", late).await.unwrap(), Some(at(1)));
    assert_eq!(read(&there, &row).await, Some(at(2)));
    assert_eq!(read(&here, &row).await, Some(at(2)));
}

#[tokio::test]
async fn who_has_written_does_not_join_a_load_that_began_before() {
    let cache: Cache<String> = Cache::new("things", TTL, Redis::disabled(), &database().await);
    let row = Row::at(1);
    let (loading, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = tokio::spawn({
        let (cache, row) = (cache.clone(), row.clone());
        let (loading, go) = (Arc::clone(&loading), Arc::clone(&go));
        async move {
            let load = async {
                let old = row.now();
                loading.notify_one();
                go.notified().await;
                Ok::<_, Infallible>(old)
            };
            cache.get_or_load("k", load).await.unwrap()
        }
    });
    loading.notified().await;
    row.set(2);
    cache.put("k", at(2)).await;
    assert_eq!(read(&cache, &row).await, Some(at(2)));
    go.notify_one();
    assert_eq!(slow.await.unwrap(), Some(at(1)));
}

#[tokio::test]
async fn an_error_is_for_those_who_waited_and_is_not_cached() {
    let cache: Cache<String> = Cache::new("things", TTL, Redis::disabled(), &database().await);
    let failed =
        cache.get_or_load("k", async { Err::<Option<Versioned<String>>, _>("down") }).await;
    assert_eq!(failed, Err("down"));
    assert_eq!(read(&cache, &Row::at(1)).await, Some(at(1)));
}

#[tokio::test]
async fn what_is_not_ours_in_redis_is_a_miss_and_is_replaced() {
    let server = Server::start().await;
    let (redis, cache) = replica(&server).await;
    let row = Row::at(7);
    cached(&cache, &row).await;
    let place = place(&server).await;
    let big = vec![b'x'; 200_000];
    let junk: [&[u8]; 8] =
        [b"junk", b"9:{", b":", b"9:\xff", b"99999999999999999999:1:AA:\"x\"", b"7:5", b"[]", &big];
    for junk in junk {
        set(&server, &place, junk).await;
        assert_eq!(read(&cache, &row).await, Some(at(7)));
        cached(&cache, &row).await;
    }
    // A key of another type: every command on it fails, and nothing else does.
    let mut raw = raw(&server).await;
    let () = redis::cmd("DEL").arg(&place).query_async(&mut raw).await.unwrap();
    let () = redis::cmd("LPUSH").arg(&place).arg(1).query_async(&mut raw).await.unwrap();
    for _ in 0..50 {
        assert_eq!(read(&cache, &row).await, Some(at(7)));
    }
    assert!(redis.get("other").await.is_ok(), "the breaker stays closed");
    cache.put("k", at(8)).await;
    row.set(8);
    assert_eq!(read(&cache, &row).await, Some(at(8)));
    cached(&cache, &row).await;
}

/// Reads and writes through an outage: the answers are correct and in time, and caching resumes soon after.
async fn survives(server: &mut Server, harm: fn(&mut Server), heal: impl AsyncFnOnce(&mut Server)) {
    let (redis, cache) = replica(server).await;
    let row = Row::at(1);
    cached(&cache, &row).await;
    let failures = || metric(&["cache_failures_total"]);
    assert_eq!(failures(), 0.0);

    harm(server);
    let mut slowest = Duration::ZERO;
    let mut late = 0;
    for round in 0..300 {
        let began = Instant::now();
        assert_eq!(read(&cache, &row).await, row.now());
        if round % 50 == 25 {
            // A write that does not reach Redis.
            let next = row.version.load(Ordering::SeqCst) + 1;
            row.set(next);
            cache.put("k", at(next)).await;
            assert_eq!(read(&cache, &row).await, Some(at(next)));
        }
        late += u32::from(began.elapsed() > Duration::from_millis(25));
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // Without the breaker all of them are late; some are on a busy machine.
    assert!(late <= 60, "the breaker keeps the wait to the first few: {late}");
    assert!(redis.ping().await.is_err(), "health tells the truth");
    assert!(failures() > 0.0);

    heal(server).await;
    let began = Instant::now();
    testkit::eventually(Duration::from_secs(5), || async { redis.ping().await.ok() }).await;
    testkit::eventually(Duration::from_secs(5), || async {
        let before = row.reads();
        assert_eq!(read(&cache, &row).await, row.now(), "nothing stale comes back with it");
        (row.reads() == before).then_some(())
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_killed_redis_makes_nothing_wrong_and_little_slow() {
    let mut server = Server::start().await;
    survives(&mut server, Server::kill, async |server| server.restart().await).await;
}

#[tokio::test]
async fn a_hung_redis_makes_nothing_wrong_and_little_slow() {
    let mut server = Server::start().await;
    survives(&mut server, |server| server.freeze(), async |server| server.thaw()).await;
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_does_not_serve_what_it_has() {
    let server = Server::start().await;
    let (_, here) = replica(&server).await;
    let (_, there) = replica(&server).await;
    let row = Row::at(1);
    cached(&here, &row).await;
    let mut raw = raw(&server).await;
    let full = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").to_owned();
    let () = full.query_async(&mut raw).await.unwrap();
    row.set(2);
    here.put("k", at(2)).await;
    assert_eq!(read(&here, &row).await, Some(at(2)));
    // Deleting needs no memory, so other replicas stop reading the old value too.
    testkit::eventually(Duration::from_secs(5), || async {
        (read(&there, &row).await == Some(at(2))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_starts_without_redis_and_uses_it_when_it_comes() {
    let mut server = Server::start().await;
    server.kill();
    let redis = Redis::new(&server.config(), "test", &testkit::redis::secret()).unwrap();
    let cache: Cache<String> = Cache::new("things", TTL, redis.clone(), &database().await);
    let row = Row::at(1);
    assert_eq!(read(&cache, &row).await, Some(at(1)));
    server.restart().await;
    connected(&redis).await;
    cached(&cache, &row).await;

    let none = Redis::new(&testkit::redis::none(), "test", &testkit::redis::secret()).unwrap();
    assert!(!none.is_enabled() && none.get("k").await.is_err());
}
