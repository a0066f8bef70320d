//! Waits until nothing is on its way any more.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

use crate::run::Run;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

/// What is still to be done, as a query for each database.
const OPEN: [(&str, &str); 7] = [
    ("auth", OUTBOX),
    ("points", OUTBOX),
    ("booking", OUTBOX),
    ("incidents", OUTBOX),
    (
        "booking",
        "SELECT count(*) FROM saga WHERE open_since IS NOT NULL AND needs_attention_at IS NULL",
    ),
    (
        "booking",
        "SELECT count(*) FROM notification_logs WHERE status = 'pending' AND next_attempt_at <= now()",
    ),
    ("points", "SELECT count(*) FROM hold WHERE state = 'active' AND expires_at <= now()"),
];

const OUTBOX: &str =
    "SELECT count(*) FROM outbox_event WHERE delivered_at IS NULL AND parked_at IS NULL";

/// A test need not sit out the pauses between attempts.
const HURRY: [(&str, &str); 6] = [
    ("auth", SOON),
    ("points", SOON),
    ("booking", SOON),
    ("incidents", SOON),
    (
        "booking",
        "UPDATE saga SET next_attempt_at = now() WHERE open_since IS NOT NULL AND next_attempt_at > now() + interval '1 s'",
    ),
    (
        "booking",
        "UPDATE booking b SET expires_at = now() WHERE status = 'held' AND expires_at > now() AND random() < 0.2
         AND NOT EXISTS (SELECT FROM saga WHERE saga.booking_id = b.booking_id AND open_since IS NOT NULL)",
    ),
];

const SOON: &str = "UPDATE outbox_event SET next_attempt_at = now()
     WHERE delivered_at IS NULL AND parked_at IS NULL AND next_attempt_at > now() + interval '1 s'";

impl Run<'_> {
    pub async fn wait_for_quiet(&mut self) {
        let begun = Instant::now();
        let mut hurried = None;
        loop {
            let open = open(self.world).await;
            let queued = queued(self.world).await;
            if open.is_empty() && queued == 0 {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let what =
                    format!("still to do after {PATIENCE:?}: {open:?}, {queued} in the queue");
                return self.accuse("never_quiet", what);
            }
            if hurried.is_none_or(|last: Instant| last.elapsed() > Duration::from_secs(3)) {
                hurried = Some(Instant::now());
                hurry(self.world).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn open(world: &World) -> Vec<String> {
    let mut open = Vec::new();
    for (database, query) in OPEN {
        let mut db = world.database(database).await;
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut db).await.unwrap();
        if count > 0 {
            open.push(format!("{database}: {query}: {count}"));
        }
    }
    open
}

async fn hurry(world: &World) {
    for (database, statement) in HURRY {
        let mut db: PgConnection = world.database(database).await;
        sqlx::query(statement).execute(&mut db).await.unwrap();
    }
}

/// How many earnings wait in Redis.
async fn queued(world: &World) -> i64 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let password = stack::parts::redis::password(&world.bench.place, "points").unwrap();
    let address = (std::net::Ipv4Addr::LOCALHOST, world.bench.ports.redis);
    let Ok(mut socket) = tokio::net::TcpStream::connect(address).await else { return -1 };
    let ask = format!("AUTH points {password}\r\nXLEN points:{{fallback}}:queue\r\nQUIT\r\n");
    let _ = socket.write_all(ask.as_bytes()).await;
    let mut text = String::new();
    let _ = socket.read_to_string(&mut text).await;
    let count = text.lines().find_map(|line| line.strip_prefix(':')?.trim().parse().ok());
    count.unwrap_or(-1)
}
