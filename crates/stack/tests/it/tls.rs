//! TLS to PostgreSQL and Redis, as managed ones insist on it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};
use stack::ports::Ports;
use tokio::process::{Child, Command};

use crate::bench::{Bench, within};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_service_speaks_tls_with_its_stores_and_only_with_those_it_can_verify() {
    let bench = Bench::new("tls").await;
    bench.up().await;
    let dir = bench.place.dir.join("tls");
    std::fs::create_dir_all(&dir).unwrap();
    let ca = authority();
    let (certificate, key) = certificate(&ca);
    let trusted = write(&dir, "ca.pem", &ca.pem());
    let stranger = write(&dir, "stranger.pem", &authority().pem());
    let mut postgres = superuser(&bench).await;
    switch_on_tls(&mut postgres, &certificate, &key).await;
    let ports = Ports::free().unwrap();
    let _redis = redis(&dir, ports.redis, &certificate, &key);

    let mut refused = points(&bench, &ports, &stranger);
    let status = tokio::time::timeout(SOON * 2, refused.wait()).await.unwrap().unwrap();
    assert_ne!(status.code(), Some(0), "it trusts anybody");

    let _points = points(&bench, &ports, &trusted);
    let ready = format!("http://127.0.0.1:{}/ready", ports.service("points").http);
    within(SOON, "ready, with PostgreSQL and Redis", || async {
        let Ok(answer) = reqwest::get(&ready).await else { return false };
        answer.json::<serde_json::Value>().await.is_ok_and(|body| body["status"] == "ready")
    })
    .await;
    let (clear, encrypted): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE NOT ssl), count(*) FILTER (WHERE ssl) \
         FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'points_app' \
         AND backend_start > (SELECT pg_conf_load_time())",
    )
    .fetch_one(&mut postgres)
    .await
    .unwrap();
    assert!(clear == 0 && encrypted > 0, "{clear} connections in clear, {encrypted} encrypted");
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// For localhost: the certificate and its key, as PEM.
fn certificate(ca: &CertifiedIssuer<'static, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}

fn write(dir: &Path, name: &str, content: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

async fn superuser(bench: &Bench) -> PgConnection {
    PgConnectOptions::new()
        .host("127.0.0.1")
        .port(bench.ports.postgres)
        .username("postgres")
        .password(&bench.place.secret("postgres_password").unwrap())
        .database("postgres")
        .connect()
        .await
        .unwrap()
}

/// The files are the server's own, and the key nobody else's: the server writes them itself.
async fn switch_on_tls(postgres: &mut PgConnection, certificate: &str, key: &str) {
    for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
        let lines = pem.trim().replace('\n', "'),('");
        let sql = format!("COPY (VALUES ('{lines}')) TO PROGRAM 'umask 077; cat >{name}'");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *postgres).await.unwrap();
    }
    sqlx::raw_sql("ALTER SYSTEM SET ssl = on").execute(&mut *postgres).await.unwrap();
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut *postgres).await.unwrap();
    let read_again = tokio::time::timeout(SOON, async {
        while sqlx::query_scalar::<_, String>("SHOW ssl").fetch_one(&mut *postgres).await.unwrap()
            != "on"
        {
            tokio::task::yield_now().await;
        }
    });
    read_again.await.unwrap();
}

fn redis(dir: &Path, port: u16, certificate: &str, key: &str) -> Child {
    let certificate = write(dir, "redis.crt", certificate);
    let key = write(dir, "redis.key", key);
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", "0", "--save", "", "--tls-auth-clients", "no"])
        .args(["--tls-port", &port.to_string(), "--dir"])
        .arg(dir)
        .arg("--tls-cert-file")
        .arg(certificate)
        .arg("--tls-key-file")
        .arg(key)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The service as it would run beside managed stores: their authority is all it knows.
fn points(bench: &Bench, ports: &Ports, authority: &Path) -> Child {
    let own = ports.service("points");
    let password = bench.place.secret("points_app_password").unwrap();
    let database = format!(
        "postgres://points_app:{password}@localhost:{}/points?sslmode=verify-full&sslrootcert={}",
        bench.ports.postgres,
        authority.display()
    );
    Command::new(bench.place.program("points"))
        .env("HTTP_LISTEN", format!("127.0.0.1:{}", own.http))
        .env("GRPC_LISTEN", format!("127.0.0.1:{}", own.grpc))
        .env("ADMIN_LISTEN", format!("127.0.0.1:{}", own.admin))
        .env("DATABASE_URL", database)
        .env("REDIS_URL", format!("rediss://localhost:{}", ports.redis))
        .env("SSL_CERT_FILE", authority)
        .env("AUTH_GRPC_URL", format!("http://127.0.0.1:{}", bench.ports.service("auth").grpc))
        .env("SERVICE_CLIENT_ID", "points")
        .env("SERVICE_CLIENT_SECRET", bench.place.secret("points_client_secret").unwrap())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
