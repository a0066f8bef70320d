//! Whatever comes twice, late, in another order or not at all: the booking and the points agree.

use std::time::Duration;

use booking::domain::{Saga, Step};
use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::member;
use crate::saga_world::{Cut, PRICE, World};

/// A message between booking and points, or of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Hold,
    Capture,
    Cancel,
}

/// Each order of these messages once.
fn orders(messages: &[Message]) -> Vec<Vec<Message>> {
    if messages.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (n, first) in messages.iter().enumerate() {
        if messages[..n].contains(first) {
            continue;
        }
        let rest: Vec<_> =
            messages.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, x)| *x).collect();
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, *first);
            order
        }));
    }
    all
}

async fn opened(world: &World, n: usize) -> (Uuid, Saga) {
    let booking = world.held(member(2), n).await;
    world.wire.cut(Cut::Before);
    world.pay(member(2), booking, 10).send().await.expect(202);
    world.wire.cut(Cut::No);
    let id = world.saga(booking).await["saga_id"].as_str().unwrap().parse().unwrap();
    let saga = Saga {
        saga_id: id,
        merchant_id: world.shop.merchant,
        booking_id: booking,
        member_id: member(2),
        points: 10,
        price_minor: PRICE,
        currency: "JPY".to_owned(),
        value_minor: 0,
        state: booking::domain::SagaState::Holding,
        undo: false,
        transfer_id: None,
        failure: None,
    };
    (booking, saga)
}

/// Delivers a message whether or not the saga waits for it: a copy, or one that was held up on its way.
async fn deliver(world: &World, booking: Uuid, saga: &Saga, message: Message) {
    match message {
        Message::Hold => drop(world.app.bookings.run_step(saga, Step::Hold).await.unwrap()),
        Message::Capture => drop(world.app.bookings.run_step(saga, Step::Capture).await.unwrap()),
        Message::Cancel => drop(world.app.act(member(2), booking, "cancel").send().await),
    }
}

/// All 90 orders of the six messages with a cancellation, and all 6 without.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn every_message_twice_and_in_any_order_ends_alike(db: PgPool) {
    use Message::{Cancel, Capture, Hold};
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let cancelled = orders(&[Hold, Hold, Capture, Capture, Cancel, Cancel]);
    let kept = orders(&[Hold, Hold, Capture, Capture]);
    assert_eq!((cancelled.len(), kept.len()), (90, 6));

    for (n, order) in cancelled.iter().enumerate() {
        let (booking, saga) = opened(&world, n).await;
        for message in order {
            deliver(&world, booking, &saga, *message).await;
        }
        world.settle().await;
        let seen = (world.balance(member(2)).await, world.holds().await[0]);
        assert_eq!(seen, (1000, 0), "{order:?}");
        assert_eq!(world.app.status(&world.shop, booking).await, "cancelled", "{order:?}");
    }
    for (n, order) in (1..).zip(&kept) {
        let (booking, saga) = opened(&world, 90 + n).await;
        for message in order {
            deliver(&world, booking, &saga, *message).await;
        }
        world.settle().await;
        let seen = (world.balance(member(2)).await, world.holds().await[0]);
        assert_eq!(seen, (1000 - 10 * i64::try_from(n).unwrap(), 0), "{order:?}");
        assert_eq!(world.saga(booking).await["state"], "captured", "{order:?}");
    }
}

/// Another process finishes a saga of a process that died, wherever it died.
#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn what_one_process_has_begun_another_ends(db: PgPool) {
    let world = World::new(db).await;
    world.rich(member(2), 1000).await;
    let other = world.replica();
    for (n, cut) in
        [Cut::Before, Cut::After(Step::Hold), Cut::After(Step::Capture)].into_iter().enumerate()
    {
        let booking = world.held(member(2), n).await;
        world.wire.cut(cut);
        world.pay(member(2), booking, 10).send().await;
        // Two at once: neither waits for the other, and each step has one effect.
        world.wire.cut(Cut::No);
        world.due("").await;
        let (mine, theirs) =
            tokio::join!(world.app.bookings.drive_due(), other.bookings.drive_due());
        assert_eq!(mine.unwrap() + theirs.unwrap(), 1);
        assert_eq!(world.saga(booking).await["state"], "captured", "{cut:?}");
    }
    assert_eq!((world.balance(member(2)).await, world.holds().await), (970, [0, 3, 0]));
}

/// 2,000 pairs in an optimized build (`make campaign-booking`); fewer, which find the same mistakes,
/// where each costs ten times as much.
const PAIRS: usize = if cfg!(debug_assertions) { 150 } else { 2_000 };

#[sqlx::test(migrator = "booking::MIGRATOR")]
async fn of_a_cancel_and_a_confirm_at_once_one_wins_and_points_match_the_winner(db: PgPool) {
    let world = World::new(db).await;
    let start = 10 * i64::try_from(PAIRS).unwrap();
    world.rich(member(2), start).await;
    let mut bookings = Vec::new();
    for chunk in (0..PAIRS).collect::<Vec<_>>().chunks(8) {
        bookings.extend(join_all(chunk.iter().map(|n| race(&world, *n))).await);
    }
    world.settle().await;

    let mut paid = 0;
    for (booking, confirmed) in &bookings {
        let status = world.app.status(&world.shop, *booking).await;
        assert_eq!(status, "cancelled", "a cancel wins sooner or later");
        paid += i64::from(*confirmed);
    }
    println!("{PAIRS} pairs, {paid} of them confirmed before they were cancelled");
    assert!(0 < paid && paid < start / 10, "each is first now and then");
    assert_eq!((world.balance(member(2)).await, world.holds().await[0]), (start, 0));
    assert_eq!(open(&world).await, 0);
}

/// Returns `true` when the confirmation came first.
async fn race(world: &World, n: usize) -> (Uuid, bool) {
    let booking = world.held(member(2), n).await;
    let (paid, cancelled) = tokio::join!(world.pay(member(2), booking, 10).send(), async {
        // So that each of them is first now and then, at every step of the other.
        tokio::time::sleep(Duration::from_millis((n as u64 % 16).pow(2) * 2)).await;
        world.app.act(member(2), booking, "cancel").send().await
    },);
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    match paid.status.as_u16() {
        200 => (booking, true),
        409 => {
            assert_eq!(paid.code(), "invalid_transition");
            (booking, false)
        }
        other => panic!("{other}: {}", paid.text()),
    }
}

async fn open(world: &World) -> i64 {
    let listed = world.operator("/v1/sagas?open=true").send().await.expect(200).json();
    assert_eq!(listed["next_cursor"], json!(null));
    i64::try_from(listed["items"].as_array().unwrap().len()).unwrap()
}
