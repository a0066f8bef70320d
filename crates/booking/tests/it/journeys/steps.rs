//! The steps of the features.

use std::mem;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Asia::Tokyo;
use cucumber::{given, then, when};
use fakeline::Mood;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::{Journey, Time};
use crate::app::{App, Shop, id, member};
use crate::line_channel::{Channel, log};
use crate::saga_world::{Cut, World};

#[given("a salon in Tokyo that is open from 9 to 17, with a break at noon")]
async fn a_salon(journey: &mut Journey) {
    let mut world = World::new(journey.db.clone().unwrap()).await;
    world.app = world.app.sealing();
    journey.world = Some(world);
}

#[given(expr = "a salon that wants to know {int} hours ahead")]
async fn a_salon_with_terms(journey: &mut Journey, hours: i32) {
    let world = journey.world.as_mut().unwrap();
    let owner = member(1);
    let body = json!({ "name": "Shears", "time_zone": "Asia/Tokyo",
                       "cancellation_notice_minutes": 60 * hours });
    let opened = world.app.post(owner, "/v1/merchants", body).send().await.expect(201);
    let merchant = id(&opened, "merchant_id");
    world.shop = Shop { owner, merchant, staff: world.app.staff(owner, merchant).await };
    world.service = world.app.service(&world.shop, 60, 0).await;
    world.app.working(&world.shop, world.service).await;
}

#[given(expr = "{word} has {int} points")]
async fn is_rich(journey: &mut Journey, name: String, points: i64) {
    let who = journey.who(&name);
    journey.world().rich(who, points).await;
}

#[given(expr = "{word} has booked {time}")]
async fn has_booked(journey: &mut Journey, name: String, time: Time) {
    holds(journey, name.clone(), time).await;
    confirms(journey, name).await;
    assert_eq!(journey.answer().status, 200);
}

#[given(expr = "{word} holds {time}")]
#[when(expr = "{word} holds {time}")]
async fn holds(journey: &mut Journey, name: String, time: Time) {
    let who = journey.who(&name);
    let world = journey.world();
    let held = world.app.hold(who, &world.shop, world.service, &time.0).send().await;
    if held.status == 201 {
        journey.bookings.insert(name, id(&held, "booking_id"));
    }
    journey.answers.push(held);
}

#[when(expr = "{int} members hold {time} at the same moment")]
async fn all_hold(journey: &mut Journey, members: u128, time: Time) {
    let world = journey.world();
    let calls = (0..members)
        .map(|n| world.app.hold(member(100 + n), &world.shop, world.service, &time.0).send());
    journey.answers = join_all(calls).await;
}

#[when(expr = "{word} looks for free times on {int} January")]
async fn looks(journey: &mut Journey, name: String, day: u32) {
    let who = journey.who(&name);
    let world = journey.world();
    let path = format!(
        "/v1/merchants/{}/slots?service_id={}&from=2030-01-{day:02}&to=2030-01-{:02}",
        world.shop.merchant,
        world.service,
        day + 1
    );
    let found = world.app.get(who, &path).send().await.expect(200);
    journey.answers.push(found);
}

#[when(expr = "{word} confirms")]
async fn confirms(journey: &mut Journey, name: String) {
    act(journey, &name.clone(), &name, "confirm").await;
}

#[given(expr = "{word} confirms and pays with {int} points")]
#[when(expr = "{word} confirms and pays with {int} points")]
async fn pays(journey: &mut Journey, name: String, points: i64) {
    let (who, booking) = (journey.who(&name), journey.booking(&name));
    let paid = journey.world().pay(who, booking, points).send().await;
    journey.answers.push(paid);
}

#[when(expr = "{word} cancels")]
async fn cancels(journey: &mut Journey, name: String) {
    act(journey, &name.clone(), &name, "cancel").await;
}

#[when(expr = "{word} cancels {word}'s booking")]
async fn cancels_anothers(journey: &mut Journey, name: String, whose: String) {
    act(journey, &name, &whose, "cancel").await;
}

#[when(expr = "the salon cancels {word}'s booking")]
async fn is_cancelled(journey: &mut Journey, whose: String) {
    journey.people.insert("the salon".to_owned(), journey.shop().owner);
    act(journey, "the salon", &whose, "cancel").await;
}

#[when(expr = "{word} moves to {time}")]
async fn moves(journey: &mut Journey, name: String, time: Time) {
    let (who, booking) = (journey.who(&name), journey.booking(&name));
    let path = format!("/v1/bookings/{booking}/reschedule");
    let moved = journey.world().app.post(who, &path, json!({ "starts_at": time.0 })).send().await;
    journey.answers.push(moved);
}

#[when("ten minutes go by")]
async fn ten_minutes(journey: &mut Journey) {
    for booking in journey.bookings.values() {
        journey.world().app.overdue(*booking).await;
    }
}

#[given("points cannot be reached")]
async fn points_away(journey: &mut Journey) {
    journey.world().wire.cut(Cut::Before);
}

#[when("points can be reached again")]
async fn points_back(journey: &mut Journey) {
    journey.world().wire.cut(Cut::No);
    journey.world().settle().await;
}

#[given(expr = "{word} follows the salon at LINE")]
async fn follows(journey: &mut Journey, name: String) {
    let (who, channel) = (journey.who(&name), Channel::new().await);
    let world = journey.world.as_mut().unwrap();
    channel.serves(&mut world.app);
    channel.connect(&world.app, &world.shop, "token").await;
    channel.join(&world.app, &world.shop, who).await;
    journey.channel = Some(channel);
}

/// The service at another time, with what its jobs do then.
#[given(expr = "it is {time}")]
#[when(expr = "it is {time}")]
async fn it_is(journey: &mut Journey, time: Time) {
    let world = journey.world.as_mut().unwrap();
    let then = App::with(world.app.db.clone(), instant(&time), Arc::clone(&world.wire) as _);
    drop(mem::replace(&mut world.app, then.sealing()));
    world.app.bookings.remind().await.unwrap();
}

#[given("messages are sent")]
#[when("messages are sent")]
async fn messages(journey: &mut Journey) {
    journey.channel().send(&journey.world().app).await;
}

#[when(expr = "LINE answers {int}")]
async fn line_answers(journey: &mut Journey, status: u16) {
    journey.channel().line.becomes(Mood::Answers(status));
}

#[when("LINE takes messages and does not answer")]
async fn line_hangs(journey: &mut Journey) {
    journey.channel().line.becomes(Mood::TakesAndHangs);
}

#[when("LINE works again")]
async fn line_works(journey: &mut Journey) {
    journey.channel().line.becomes(Mood::Fine);
}

#[then(regex = r"^(\d\d:\d\d) is (not )?offered$")]
async fn is_offered(journey: &mut Journey, time: String, not: String) {
    let found = journey.answer().json();
    let starts =
        found["items"].as_array().unwrap().iter().map(|slot| slot["starts_at"].to_string());
    let offered = starts.filter(|start| start.contains(&format!("T{time}:00"))).count();
    assert_eq!(offered, usize::from(not.is_empty()), "{found}");
}

#[then(regex = r"^the answer is (\d+)(?: (\w+))?$")]
async fn the_answer_is(journey: &mut Journey, status: u16, code: String) {
    let answer = journey.answer();
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(code.is_empty() || answer.code() == code, "{}", answer.text());
}

#[then("one of them has it")]
async fn one_has_it(journey: &mut Journey) {
    assert_eq!(journey.answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(journey.world().app.overlaps().await, 0);
}

#[then(expr = "the others are told {int} {word}")]
async fn the_others(journey: &mut Journey, status: u16, code: String) {
    let others = journey.answers.iter().filter(|answer| answer.status != 201);
    assert!(others.clone().count() > 0);
    assert!(others.clone().all(|other| other.status == status && other.code() == code));
}

#[then(regex = r"^(\w+)'s booking is (\w+)$")]
async fn booking_is(journey: &mut Journey, name: String, status: String) {
    assert_eq!(journey.read(&name).await["status"], json!(status));
}

#[then(expr = "{word}'s booking begins on {time}")]
async fn booking_begins(journey: &mut Journey, name: String, time: Time) {
    let starts_at: DateTime<Utc> =
        journey.read(&name).await["starts_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(starts_at, instant(&time));
}

#[then(expr = "points paid {int} of its {int} yen")]
async fn points_paid(journey: &mut Journey, points: i64, price: i64) {
    let booking = journey.answer().json();
    assert_eq!((&booking["points_paid"], &booking["price_minor"]), (&json!(points), &json!(price)));
}

#[then(expr = "{word} has {int} points left")]
async fn has_left(journey: &mut Journey, name: String, points: i64) {
    let who = journey.who(&name);
    journey.world().settle().await;
    assert_eq!(journey.world().balance(who).await, points);
}

#[then(regex = r"^(\w+)'s reminder is (\w+)(?: because of (\w+))?$")]
async fn reminder_is(journey: &mut Journey, name: String, status: String, reason: String) {
    let world = journey.world();
    let log = log(&world.app, &world.shop, journey.booking(&name)).await;
    let [(_, seen, why, _)] =
        &log.iter().filter(|entry| entry.0 == "reminder").collect::<Vec<_>>()[..]
    else {
        panic!("{log:?}")
    };
    assert_eq!((seen, why.as_deref().unwrap_or_default()), (&status, reason.as_str()));
}

#[then(expr = "{word} has read {string}")]
async fn has_read(journey: &mut Journey, _name: String, text: String) {
    let taken = journey.channel().line.taken();
    assert_eq!(taken.last().map(|message| &message.text), Some(&text));
}

#[then(expr = "{word} has read it once")]
async fn has_read_once(journey: &mut Journey, _name: String) {
    let taken = journey.channel().line.taken();
    assert_eq!(taken.iter().filter(|message| message.text.contains("we expect you")).count(), 1);
}

async fn act(journey: &mut Journey, name: &str, whose: &str, verb: &str) {
    let (who, booking): (Uuid, Uuid) = (journey.who(name), journey.booking(whose));
    let done = journey.world().app.act(who, booking, verb).send().await;
    journey.answers.push(done);
}

/// On the salon's clock.
fn instant(Time(time): &Time) -> DateTime<Utc> {
    let local = NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M").unwrap();
    Tokyo.from_local_datetime(&local).unwrap().to_utc()
}
