//! Members to sign in as. Their passwords are hashed once, as hashing is what is measured.

use std::path::Path;
use std::time::{Duration, Instant};

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};

use crate::Config;

pub(crate) const PASSWORD: &str = "a password for the bench";

/// The hash function with auth's parameters.
fn argon2() -> anyhow::Result<Argon2<'static>> {
    let params = Params::new(19_456, 2, 1, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash() -> anyhow::Result<String> {
    let hash = argon2()?.hash_password(PASSWORD.as_bytes());
    Ok(hash.map_err(|error| anyhow::anyhow!("{error}"))?.to_string())
}

/// Hashes each second, with nothing else to do, on this many threads.
pub(crate) fn raw_rate(threads: usize, each: Duration) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            std::thread::spawn(move || -> anyhow::Result<u32> {
                let mut hashes = 0;
                while begun.elapsed() < each {
                    hash()?;
                    hashes += 1;
                }
                Ok(hashes)
            })
        })
        .collect();
    let mut hashes = 0;
    for worker in workers {
        hashes += worker.join().map_err(|_| anyhow::anyhow!("a hash panicked"))??;
    }
    Ok(f64::from(hashes) / begun.elapsed().as_secs_f64())
}

pub(crate) async fn migrate(config: &Config, from: &Path) -> anyhow::Result<()> {
    let mut db = PgConnection::connect(&config.owner_url).await?;
    Ok(Migrator::new(from).await?.run(&mut db).await?)
}

/// Members `{prefix}0@example.org` and on.
pub(crate) async fn make(config: &Config, prefix: &str, count: usize) -> anyhow::Result<()> {
    let mut db = PgConnection::connect(&config.owner_url).await?;
    let sql = "WITH made AS (
                   INSERT INTO member (member_id, email, display_name, created_at, verified_at, disabled_at)
                   SELECT gen_random_uuid(), $1 || n || '@example.org', 'Bench', now(),
                          CASE WHEN $1 = 'unverified' THEN NULL ELSE now() END,
                          CASE WHEN $1 = 'disabled' THEN now() END
                   FROM generate_series(0, $2 - 1) n
                   RETURNING member_id)
               INSERT INTO member_password (member_id, hash, changed_at)
               SELECT member_id, $3, now() FROM made";
    let count = i64::try_from(count)?;
    sqlx::query(sql).bind(prefix).bind(count).bind(hash()?).execute(&mut db).await?;
    sqlx::query("ANALYZE member, member_password").execute(&mut db).await?;
    Ok(())
}

pub(crate) fn login(prefix: &str, n: usize, password: &str) -> String {
    format!(r#"{{"email":"{prefix}{n}@example.org","password":"{password}"}}"#)
}
