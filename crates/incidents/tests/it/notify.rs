//! Notifications over real sockets: stored first, in order within each channel, whatever fails.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use incidents::app::{Incidents, Policy};
use incidents::channels::{Addresses, Channels};
use incidents::domain::{Channel, Routes};
use kit::{Clock, outbox};
use ring::hmac;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use testkit::postgres::app_pool;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use crate::app::{TestApp, firing, labelled, resolved, with};
use crate::sinks::{Post, Web};

const SECRET: &str = "what the gateway knows too";
const SOON: Duration = Duration::from_secs(15);

/// The routes of I3.
fn routes() -> Routes {
    use Channel::{
        Log, MailManagement, MailTeam, SlackAlerts, SlackCritical, SlackGeneral, Sms, Ticket,
    };
    let routes = [
        vec![SlackCritical, MailManagement, Sms],
        vec![SlackAlerts, MailTeam],
        vec![SlackGeneral, Log],
        vec![Ticket],
    ];
    Routes::try_new(routes, &Channel::ALL).unwrap()
}

fn policy() -> Policy {
    Policy { routes: routes(), ..Policy::default() }
}

/// The relay in one process, as production runs it, until it is dropped.
fn relay(app: &TestApp, web: &Web, post: &Post) -> DropGuard {
    let at = |sink: &str| format!("http://{}/{sink}", web.at).parse().unwrap();
    let addresses = Addresses {
        slack: vec![
            (Channel::SlackCritical, at("critical")),
            (Channel::SlackAlerts, at("alerts")),
            (Channel::SlackGeneral, at("general")),
        ],
        webhooks: vec![
            (Channel::Sms, at("sms"), SECRET.into()),
            (Channel::Ticket, at("ticket"), SECRET.into()),
        ],
        smtp: Some(format!("smtp://{}", post.at).into()),
        mail_from: "incidents@example.com".to_owned(),
        mail_to: vec![
            (Channel::MailManagement, vec!["boss@example.com".to_owned()]),
            (Channel::MailTeam, vec!["team@example.com".to_owned()]),
        ],
        console: "https://status.example.com".to_owned(),
    };
    let channels = Channels::new(app.incidents.clone(), &addresses).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(outbox::relay(app_pool(&app.db, "incidents_app"), channels, stop.clone()));
    stop.drop_guard()
}

async fn everything_is_sent(app: &TestApp, within: Duration) {
    eventually(within, || async {
        (app.count("outbox_event WHERE delivered_at IS NULL").await == 0).then_some(())
    })
    .await;
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn each_severity_is_told_where_it_belongs(db: PgPool) {
    let app = TestApp::policed(db, policy());
    let (web, post) = (Web::open().await, Post::open().await);
    let _relay = relay(&app, &web, &post);
    for severity in ["critical", "error", "warning", "info"] {
        let alert = labelled(severity, json!({ "severity": severity, "service": "points" }));
        app.deliver(&[alert]).await.expect(200);
    }
    everything_is_sent(&app, SOON).await;

    for sink in ["critical", "alerts", "general", "sms", "ticket"] {
        assert_eq!(web.taken(sink).len(), 1, "{sink}");
    }
    let mails = post.mails();
    assert_eq!(mails.len(), 2);
    let to = |who: &str| mails.iter().find(|mail| mail.contains(&format!("To: {who}@example.com")));
    assert!(to("boss").unwrap().contains("[P0] INC-"), "{mails:?}");
    assert!(to("team").unwrap().contains("[P1] INC-"), "{mails:?}");

    let slack = &web.taken("critical")[0].body;
    let incidents = app.incidents().await;
    let p0 = incidents.iter().find(|incident| incident["severity"] == "P0").unwrap();
    let id = p0["incident_id"].as_str().unwrap();
    assert_eq!(slack["blocks"][0]["type"], "header");
    assert_eq!(
        slack["blocks"][3]["elements"][0]["url"],
        format!("https://status.example.com/console/incidents/{id}")
    );
    // The incident shows its notifications.
    let told: Vec<_> = app.incident(id).await["told"].as_array().unwrap().clone();
    let mut channels: Vec<_> = told.iter().map(|t| t["channel"].as_str().unwrap()).collect();
    channels.sort_unstable();
    assert_eq!(channels, ["mail-management", "slack-critical", "sms"]);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_gateway_can_tell_our_messages_from_forged_ones(db: PgPool) {
    let app = TestApp::policed(db, policy());
    let (web, post) = (Web::open().await, Post::open().await);
    let _relay = relay(&app, &web, &post);
    app.deliver(&[firing("a")]).await.expect(200);
    everything_is_sent(&app, SOON).await;

    let sms = &web.taken("sms")[0];
    let header = |name: &str| sms.headers[name].to_str().unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = [header("x-timestamp").as_bytes(), b".", &sms.raw].concat();
    let tag: String =
        hmac::sign(&key, &signed).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header("x-signature"), format!("sha256={tag}"));
    assert_eq!(header("idempotency-key"), sms.body["id"].as_str().unwrap());
    assert_eq!(sms.body["severity"], "P0");
}

/// While all sinks fail, no message is lost, the order within each channel is kept, and all arrive within a minute
/// after. The outage is shorter than the promised 60 s; `CAMPAIGN=full` makes it as long.
#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_happens_while_every_channel_is_away_is_told_afterward_in_order(db: PgPool) {
    let outage = Duration::from_secs(if full() { 60 } else { 4 });
    let app = TestApp::policed(db, policy());
    let (web, post) = (Web::open().await, Post::open().await);
    web.answer(503);
    post.away(true);
    let relaying = relay(&app, &web, &post);
    let begun = Instant::now();
    let mut expected = Vec::new();
    while begun.elapsed() < outage || expected.len() < 20 {
        let name = format!("n{:03}", expected.len());
        app.deliver(&[firing(&name)]).await.expect(200);
        expected.push(format!("{name} fails"));
        tokio::time::sleep(outage / 25).await;
    }
    // The process dies meanwhile, too.
    drop(relaying);
    let _relay = relay(&app, &web, &post);
    assert!(web.taken("critical").is_empty() && post.mails().is_empty());

    web.answer(200);
    post.away(false);
    let back = Instant::now();
    everything_is_sent(&app, Duration::from_secs(60)).await;
    println!("{} messages per channel, all told {:.1?} after", expected.len(), back.elapsed());
    let titles: Vec<_> = web.taken("sms").iter().map(|taken| taken.body["title"].clone()).collect();
    assert_eq!(titles, expected);
    assert_eq!(web.taken("critical").len(), expected.len());
    let subjects: Vec<_> = post.mails().iter().map(|mail| number(mail)).collect();
    assert!(subjects.is_sorted(), "{subjects:?}");
    assert_eq!(subjects.len(), expected.len());
}

/// A relay that dies between the gateway's answer and the outbox's update delivers again.
#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_message_that_was_taken_is_not_sent_again(db: PgPool) {
    let app = TestApp::policed(db, policy());
    let (web, post) = (Web::open().await, Post::open().await);
    let relaying = relay(&app, &web, &post);
    app.deliver(&[firing("a")]).await.expect(200);
    everything_is_sent(&app, SOON).await;
    drop(relaying);
    sqlx::query("UPDATE outbox_event SET delivered_at = NULL").execute(&app.db).await.unwrap();
    let _relay = relay(&app, &web, &post);
    everything_is_sent(&app, SOON).await;
    assert_eq!((web.taken("critical").len(), web.taken("sms").len()), (1, 1));
    assert_eq!(post.mails().len(), 1);
}

/// The number in a mail's subject.
fn number(mail: &str) -> String {
    let at = mail.find("INC-").unwrap();
    mail[at..at + 13].to_owned()
}

fn full() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test reads how thorough to be")]
    std::env::var("CAMPAIGN").is_ok_and(|how| how == "full")
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_dead_channel_stops_no_other(db: PgPool) {
    let app = TestApp::policed(db, policy());
    let (web, post) = (Web::open().await, Post::open().await);
    post.away(true);
    let _relay = relay(&app, &web, &post);
    let begun = Instant::now();
    for n in 0..5 {
        app.deliver(&[firing(&format!("n{n}"))]).await.expect(200);
    }
    eventually(SOON, || async {
        (web.taken("critical").len() == 5 && web.taken("sms").len() == 5).then_some(())
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(post.mails().is_empty());
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_strangers_wrote_is_inert_in_every_channel(db: PgPool) {
    let app = TestApp::policed(db, policy());
    let (web, post) = (Web::open().await, Post::open().await);
    let _relay = relay(&app, &web, &post);
    let evil = "\u{202e}\u{1b}[31m<!channel> <https://evil.example|here> *b* `c` & <script>alert(1)</script>\
                \r\nBcc: all@example.com\r\n\r\n\u{1b}[31m\u{202e}\u{7}";
    let mut alert = labelled("h", json!({ "severity": "critical", "service": evil }));
    alert["annotations"] = json!({ "summary": evil, "description": evil, "runbook_url": evil });
    app.deliver(&[alert]).await.expect(200);
    everything_is_sent(&app, SOON).await;

    let slack = &web.taken("critical")[0];
    for text in strings(&slack.body) {
        assert!(!text.contains('<') && !text.contains('>'), "{text}");
        assert!(!text.contains("\u{1b}") && !text.contains('\u{202e}'), "{text:?}");
    }
    let types = slack.raw.windows(8).filter(|w| *w == b"\"mrkdwn\"").count();
    assert_eq!(types, 0, "markup is switched on");
    let header = slack.body["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(header.chars().count() <= 150);

    let mail = &post.mails()[0];
    let (head, body) = mail.split_once("\n\n").unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    assert!(head.contains("Content-Type: text/plain"), "{head}");
    assert!(!body.contains('\u{1b}') && !body.contains('\u{202e}'), "{body:?}");
    assert!(!head.contains('\u{1b}') && !head.contains('\u{202e}'), "{head:?}");
    for text in strings(&web.taken("sms")[0].body) {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }
}

/// Returns every string of a document, except our own links.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn people_hear_that_it_got_worse_that_it_is_late_and_that_it_is_over(db: PgPool) {
    let app = TestApp::policed(db.clone(), policy());
    let (web, post) = (Web::open().await, Post::open().await);
    let _relay = relay(&app, &web, &post);
    let cause = json!({ "severity": "warning", "service": "points", "cause": "one" });
    let mild = labelled("mild", cause);
    app.deliver(std::slice::from_ref(&mild)).await.expect(200);
    let bad = with(labelled("bad", mild["labels"].clone()), "/labels/severity", "error");
    app.deliver(std::slice::from_ref(&bad)).await.expect(200);

    // Five hours later it is neither acknowledged nor resolved.
    let later = Clock::system().now() + TimeDelta::hours(5);
    let then = Incidents::new(app_pool(&db, "incidents_app"), Clock::fixed(later), policy());
    assert_eq!(then.mark_breaches().await.unwrap(), 2);
    app.deliver(&[resolved(&mild), resolved(&bad)]).await.expect(200);
    everything_is_sent(&app, SOON).await;

    let news = |sink: &str| -> Vec<String> {
        let taken = web.taken(sink);
        taken
            .iter()
            .map(|t| t.body["blocks"][1]["fields"][3]["text"].as_str().unwrap()[5..].to_owned())
            .collect()
    };
    assert_eq!(news("general"), ["New incident"]);
    let late = "Late: escalated";
    assert_eq!(news("alerts"), ["Severity raised", late, late, "Resolved"]);
    // The channels of the next worse severity are notified, too.
    assert_eq!(news("critical"), [late, late]);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_p0_that_nobody_acknowledges_is_told_again_ever_more_rarely(db: PgPool) {
    let app = TestApp::policed(db.clone(), policy());
    let id = app.open(&firing("a")).await;
    let opened = Clock::system().now();
    let mut told = Vec::new();
    for minute in 0..60 {
        let now = opened + TimeDelta::minutes(minute);
        let then = Incidents::new(app_pool(&db, "incidents_app"), Clock::fixed(now), policy());
        if then.remind().await.unwrap() == 1 {
            told.push(minute);
        }
    }
    assert_eq!(told, [5, 15, 35]);
    app.act(&id, "acknowledgement", json!({})).await.expect(200);
    let now = opened + TimeDelta::hours(5);
    let then = Incidents::new(app_pool(&db, "incidents_app"), Clock::fixed(now), policy());
    assert_eq!(then.remind().await.unwrap(), 0);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_storm_is_one_message_and_not_a_thousand(db: PgPool) {
    let app = TestApp::policed(db, policy());
    let (web, post) = (Web::open().await, Post::open().await);
    let _relay = relay(&app, &web, &post);
    let storm: Vec<_> = (0..1_000).map(|n| firing(&format!("s{n:04}"))).collect();
    app.deliver(&storm).await.expect(200);
    everything_is_sent(&app, SOON).await;
    assert_eq!(web.taken("sms").len(), 1);
    assert_eq!(web.taken("sms")[0].body["title"], "1000 incidents at once");
    assert_eq!(app.count("incident").await, 1_000);
}
