//! Ended sessions: the feed and its readers.

use std::time::Duration;

use kit::Clock;
use kit::caller::{Refused, Verifier};
use kit::redis::Redis;
use kit::revocation::Publisher;
use testkit::eventually;
use testkit::redis::Server;
use testkit::tokens::Issuer;
use uuid::Uuid;

struct Token {
    text: String,
    session: Uuid,
}

async fn token(issuer: &Issuer) -> Token {
    let text = issuer.member(Uuid::nil());
    let session = issuer.verifier().member(&text).await.unwrap().sid;
    Token { text, session }
}

fn redis(server: &Server, service: &'static str) -> Redis {
    Redis::new(&server.config(), service, &testkit::redis::secret()).unwrap()
}

fn publisher(server: &Server) -> Publisher {
    Publisher::new(&redis(server, "auth"), Clock::system().id())
}

/// Publishes, retrying until Redis is back.
async fn publish(publisher: &mut Publisher, sessions: &[Uuid]) {
    let publisher = tokio::sync::Mutex::new(publisher);
    eventually(Duration::from_secs(10), || async {
        publisher.lock().await.publish(sessions).await.ok()
    })
    .await;
}

async fn is_refused(verifier: &Verifier, token: &Token) -> Option<()> {
    (verifier.member(&token.text).await.err() == Some(Refused::Revoked)).then_some(())
}

#[tokio::test]
async fn an_ended_session_is_refused_in_every_service_within_a_second() {
    let (server, issuer) = (Server::start().await, Issuer::new());
    let services: Vec<_> = ["points", "booking"]
        .map(|service| issuer.verifier().following(&redis(&server, service)))
        .into();
    let (ended, other) = (token(&issuer).await, token(&issuer).await);
    publish(&mut publisher(&server), &[ended.session]).await;

    for verifier in &services {
        eventually(Duration::from_secs(1), || is_refused(verifier, &ended)).await;
        verifier.member(&other.text).await.unwrap();
    }
    // A verifier that starts later learns of it too.
    let late = issuer.verifier().following(&redis(&server, "points"));
    eventually(Duration::from_secs(1), || is_refused(&late, &ended)).await;
}

#[tokio::test]
async fn a_service_goes_on_with_what_it_heard_when_redis_goes_and_hears_the_rest_when_it_is_back() {
    let (mut server, issuer) = (Server::start().await, Issuer::new());
    let verifier = issuer.verifier().following(&redis(&server, "points"));
    let (before, after) = (token(&issuer).await, token(&issuer).await);
    let mut auth = publisher(&server);
    publish(&mut auth, &[before.session]).await;
    eventually(Duration::from_secs(1), || is_refused(&verifier, &before)).await;

    server.kill();
    auth.publish(&[after.session]).await.unwrap_err();
    assert!(is_refused(&verifier, &before).await.is_some());
    verifier.member(&after.text).await.unwrap();

    server.restart().await;
    publish(&mut auth, &[after.session]).await;
    eventually(Duration::from_secs(5), || is_refused(&verifier, &after)).await;
}

#[tokio::test]
async fn auth_notices_that_redis_has_forgotten() {
    let (server, issuer) = (Server::start().await, Issuer::new());
    let ended = token(&issuer).await;
    let (mut one, mut two) = (publisher(&server), publisher(&server));
    for auth in [&mut one, &mut two] {
        publish(auth, &[]).await;
        assert!(auth.is_behind(), "nothing is known of a Redis one meets");
        auth.restore(&[]).await.unwrap();
        assert!(!auth.is_behind());
    }
    one.publish(&[ended.session]).await.unwrap();
    two.publish(&[]).await.unwrap();
    assert!(!one.is_behind() && !two.is_behind());

    let mut raw = crate::data::redis_server::raw(&server).await;
    redis::cmd("FLUSHALL").exec_async(&mut raw).await.unwrap();
    // Including a publisher whose epoch another one has replaced.
    for auth in [&mut one, &mut two] {
        auth.publish(&[]).await.unwrap();
        assert!(auth.is_behind());
        auth.restore(&[ended.session]).await.unwrap();
    }
    // Only the stream is lost, as when an older copy is restored.
    redis::cmd("DEL").arg("auth:{revocations}").exec_async(&mut raw).await.unwrap();
    one.publish(&[]).await.unwrap();
    assert!(one.is_behind());

    one.restore(&[ended.session]).await.unwrap();
    let verifier = issuer.verifier().following(&redis(&server, "points"));
    eventually(Duration::from_secs(1), || is_refused(&verifier, &ended)).await;
}

#[tokio::test]
async fn thousands_at_once_arrive() {
    let (server, issuer) = (Server::start().await, Issuer::new());
    let verifier = issuer.verifier().following(&redis(&server, "points"));
    let mut tokens = Vec::new();
    for _ in 0..2_000 {
        tokens.push(token(&issuer).await);
    }
    let sessions: Vec<_> = tokens.iter().map(|token| token.session).collect();
    publish(&mut publisher(&server), &sessions).await;
    for token in [&tokens[0], &tokens[999], &tokens[1_999]] {
        eventually(Duration::from_secs(2), || is_refused(&verifier, token)).await;
    }
}

#[tokio::test]
async fn what_somebody_else_wrote_there_ends_nothing_and_breaks_nothing() {
    let (server, issuer) = (Server::start().await, Issuer::new());
    let mut raw = crate::data::redis_server::raw(&server).await;
    for (field, value) in [("s", "no id"), ("x", "y"), ("s", "")] {
        let mut add = redis::cmd("XADD");
        add.arg("auth:{revocations}").arg("*").arg(field).arg(value);
        add.exec_async(&mut raw).await.unwrap();
    }
    let verifier = issuer.verifier().following(&redis(&server, "points"));
    let (ended, other) = (token(&issuer).await, token(&issuer).await);
    publish(&mut publisher(&server), &[ended.session]).await;
    eventually(Duration::from_secs(1), || is_refused(&verifier, &ended)).await;
    verifier.member(&other.text).await.unwrap();
}

#[tokio::test]
async fn the_feed_needs_no_more_than_what_is_deployed_allows_and_only_auth_may_write_it() {
    let (server, issuer) = (Server::start().await, Issuer::new());
    let mut raw = crate::data::redis_server::raw(&server).await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deployments/redis/users.acl");
    let users = std::fs::read_to_string(file).unwrap();
    for user in users.lines().filter_map(|line| line.strip_prefix("user ")) {
        if !user.starts_with("default") {
            let mut set = redis::cmd("ACL");
            set.arg("SETUSER").arg(user.split(' ').collect::<Vec<_>>()).arg(">secret");
            set.exec_async(&mut raw).await.unwrap();
        }
    }
    let as_user = |user: &'static str| {
        let url = server.url().replace("//", &format!("//{user}:secret@"));
        Redis::new(&kit::config::Redis::new(Some(url.into())), user, &testkit::redis::secret())
            .unwrap()
    };
    let ended = token(&issuer).await;
    let mut auth = Publisher::new(&as_user("auth"), Clock::system().id());
    publish(&mut auth, &[ended.session]).await;
    for service in ["points", "booking", "incidents"] {
        let verifier = issuer.verifier().following(&as_user(service));
        eventually(Duration::from_secs(1), || is_refused(&verifier, &ended)).await;
        let mut impostor = Publisher::new(&as_user(service), Clock::system().id());
        impostor.publish(&[Uuid::max()]).await.unwrap_err();
    }
}
