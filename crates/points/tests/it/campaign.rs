//! The whole service as a process of its own, under clients that hang up and operators that kill it.
//! CAMPAIGN_COMMANDS says how many commands: `make campaign-points` takes 100,000, and then everything else
//! here is done at its full size too.

mod client;
mod commit;
mod line;
mod service;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use sqlx::{Connection as _, PgPool};
use uuid::Uuid;

use crate::app::{TestApp, key, points};
use client::Client;
use service::Service;

const CLIENTS: usize = 64;
const ACCOUNTS: usize = 50;

/// The lifetime of a service before it is killed, and the commands of each lifetime.
const LIFE: Duration = Duration::from_millis(700);
const COMMANDS_PER_KILL: usize = 1_600;

const SOON: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "a campaign is sized where it is started")]
fn commands() -> usize {
    std::env::var("CAMPAIGN_COMMANDS").map_or(5_000, |count| count.parse().unwrap())
}

/// True when the campaign runs at its full size.
pub fn is_full() -> bool {
    commands() >= 100_000
}

/// A command that was answered with a receipt.
struct Acknowledged {
    transfer: Uuid,
    account: Uuid,
    version: i64,
    /// The gain or loss of each account.
    lines: Vec<(Uuid, i64)>,
}

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn whatever_is_dropped_or_killed_every_acknowledged_command_is_there_once(db: PgPool) {
    let app = TestApp::new(db.clone());
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        accounts.push(app.rich(1_000).await);
    }
    let service = Service::start(&db, app.issuer.clone()).await;
    let over = Arc::new(AtomicBool::new(false));
    let began = tokio::time::Instant::now();

    let watched = tokio::spawn(watch(db.clone(), over.clone()));
    let clients = (0..CLIENTS).map(|n| {
        let client = Client::new(service.address, app.operator(), accounts.clone(), n as u64);
        tokio::spawn(be_busy(client, commands() / CLIENTS))
    });
    let clients: Vec<_> = clients.collect();
    let killed = service.kill_and_restart(commands() / COMMANDS_PER_KILL, LIFE).await;
    let acknowledged: Vec<_> =
        join_all(clients).await.into_iter().flat_map(Result::unwrap).collect();
    over.store(true, Ordering::Relaxed);
    let snapshots = watched.await.unwrap();
    killed.stop().await;

    println!("{} acknowledged, {snapshots} snapshots, {:.0?}", acknowledged.len(), began.elapsed());
    assert!(acknowledged.len() > commands() / 2, "mostly refused: nothing was tested");
    app.the_books_balance().await;
    agree(&db, &accounts, &acknowledged).await;
}

/// Sends its commands one after the other, each until it is answered. What it is told about an account
/// is never older than what it was told before.
async fn be_busy(mut client: Client, commands: usize) -> Vec<Acknowledged> {
    let mut seen: HashMap<Uuid, i64> = HashMap::new();
    let mut acknowledged = Vec::new();
    for _ in 0..commands {
        let command = client.think();
        let Some(receipt) = client.insist(&command).await else { continue };
        let last = seen.insert(receipt.account, receipt.version);
        assert!(last < Some(receipt.version), "versions go back: {last:?}, {}", receipt.version);
        acknowledged.push(receipt);
    }
    acknowledged
}

/// At every moment the ledger and the balances agree, and nobody owes. Says how many moments it saw.
async fn watch(db: PgPool, over: Arc<AtomicBool>) -> usize {
    let mut snapshots = 0;
    while !over.load(Ordering::Relaxed) {
        let mut connection = db.acquire().await.unwrap();
        let mut snapshot =
            connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.unwrap();
        let (balances, lowest): (i64, i64) = sqlx::query_as(
            "SELECT sum(earned - used - held)::bigint, min(earned - used - held) FROM account",
        )
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
        let entries: i64 = sqlx::query_scalar(
            "SELECT sum(amount)::bigint FROM entry WHERE account_id IS NOT NULL",
        )
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
        assert_eq!(balances, entries);
        assert!(lowest >= 0, "somebody owes {lowest}");
        snapshots += 1;
    }
    snapshots
}

/// Nothing that was acknowledged is missing or there twice, and nothing is there that was not: each
/// command was repeated until it was answered.
async fn agree(db: &PgPool, accounts: &[(Uuid, String)], acknowledged: &[Acknowledged]) {
    let transfers: Vec<Uuid> =
        sqlx::query_scalar("SELECT transfer_id FROM transfer").fetch_all(db).await.unwrap();
    let told: HashSet<_> = acknowledged.iter().map(|one| one.transfer).collect();
    assert_eq!(told.len(), acknowledged.len(), "two commands, one transfer");
    // The first ones made the accounts rich.
    assert_eq!(transfers.len(), told.len() + accounts.len());
    let there: HashSet<_> = transfers.into_iter().collect();
    assert!(told.is_subset(&there), "acknowledged and not there");

    let mut expected: HashMap<_, i64> = accounts.iter().map(|(id, _)| (*id, 1_000)).collect();
    for (account, points) in acknowledged.iter().flat_map(|one| &one.lines) {
        *expected.entry(*account).or_default() += points;
    }
    let balances: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT account_id, earned - used - held FROM account")
            .fetch_all(db)
            .await
            .unwrap();
    assert_eq!(balances.into_iter().collect::<HashMap<_, _>>(), expected);
}

/// 100 at once for each key: 20,000 posts in a campaign, and a tenth of them otherwise.
#[sqlx::test(migrator = "points::MIGRATOR")]
async fn a_hundred_posts_for_each_of_many_keys_have_one_effect_each(db: PgPool) {
    let app = TestApp::new(db);
    let keys = if is_full() { 200 } else { 20 };
    for n in 0..keys {
        let (account, _) = app.member().await;
        let call = app.earning(account, &key(), points(n + 1));
        let replies = join_all((0..100).map(|_| call.clone().send())).await;
        let first = &replies[0].body;
        assert!(replies.iter().all(|reply| reply.status == 201 && reply.body == *first));
        assert_eq!(app.standing(account).await, (n + 1, 0, 0, 2));
    }
    assert_eq!(app.entries().await, keys);
    app.the_books_balance().await;
}
