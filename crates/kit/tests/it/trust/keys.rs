//! The verifier's keys, fetched from auth.

use std::time::Duration;

use chrono::TimeDelta;
use kit::Clock;
use kit::caller::token::Member;
use kit::caller::{Refused, Role, Verifier};
use testkit::auth::{FakeAuth, config};
use testkit::eventually;
use testkit::grpc::listen_on;
use testkit::tokens::Issuer;
use uuid::Uuid;

fn verifier(url: &str) -> Verifier {
    Verifier::from_auth(&config(url, "points"), Clock::system()).unwrap()
}

async fn knows(verifier: &Verifier, issuer: &Issuer) -> Option<()> {
    verifier.member(&issuer.member(Uuid::nil())).await.ok().map(drop)
}

#[tokio::test]
async fn keys_come_from_auth_by_themselves() {
    let issuer = Issuer::new();
    let auth = FakeAuth::new(issuer.clone());
    let listening = auth.listen().await;
    let verifier = verifier(&listening.url);

    eventually(Duration::from_secs(5), || knows(&verifier, &issuer)).await;
}

#[tokio::test]
async fn a_service_starts_before_auth_and_has_keys_soon_after_it_is_up() {
    let issuer = Issuer::new();
    let (port, url) = testkit::grpc::free_port().await;
    let verifier = verifier(&url);
    assert_eq!(
        verifier.member(&issuer.member(Uuid::nil())).await.unwrap_err(),
        Refused::KeysUnavailable
    );

    let _listening = listen_on(port, FakeAuth::new(issuer.clone()).routes()).await;
    eventually(Duration::from_secs(5), || knows(&verifier, &issuer)).await;
}

#[tokio::test]
async fn made_up_key_ids_do_not_make_us_ask_auth() {
    let issuer = Issuer::new();
    let auth = FakeAuth::new(issuer.clone());
    let listening = auth.listen().await;
    let verifier = verifier(&listening.url);
    eventually(Duration::from_secs(5), || knows(&verifier, &issuer)).await;
    let before = auth.asked_for_keys();

    let calls = (0..200).map(|n| {
        let forger = Issuer::with_key(&format!("made-up-{n}"), [9; 32], Clock::system());
        let (verifier, token) = (verifier.clone(), forger.member(Uuid::nil()));
        async move { verifier.member(&token).await.unwrap_err() }
    });
    for refused in futures::future::join_all(calls).await {
        assert_eq!(refused, Refused::Invalid);
    }
    assert!(auth.asked_for_keys() <= before + 1, "{} questions", auth.asked_for_keys() - before);
}

#[tokio::test]
async fn a_new_key_is_known_at_its_first_token_and_a_removed_one_no_longer() {
    let old = Issuer::with_key("old", [1; 32], Clock::system());
    let new = Issuer::with_key("new", [2; 32], Clock::system());
    let auth = FakeAuth::new(old.clone());
    let listening = auth.listen().await;
    let verifier = verifier(&listening.url);
    eventually(Duration::from_secs(5), || knows(&verifier, &old)).await;

    auth.rotate_to(new.clone());
    // The test's own first tokens may have caused a fetch a moment ago.
    let known = || knows(&verifier, &new);
    eventually(Duration::from_secs(10), known).await;
    assert_eq!(verifier.member(&old.member(Uuid::nil())).await.unwrap_err(), Refused::Invalid);
}

#[tokio::test]
async fn keys_are_kept_while_auth_is_away() {
    let issuer = Issuer::new();
    let listening = FakeAuth::new(issuer.clone()).listen().await;
    let verifier = verifier(&listening.url);
    eventually(Duration::from_secs(5), || knows(&verifier, &issuer)).await;

    drop(listening);
    let stranger = Issuer::with_key("unknown", [9; 32], Clock::system());
    assert_eq!(verifier.member(&stranger.member(Uuid::nil())).await.unwrap_err(), Refused::Invalid);
    knows(&verifier, &issuer).await.unwrap();
}

#[tokio::test]
async fn a_token_is_proven_once_and_judged_every_time() {
    let (issuer, other) = (Issuer::new(), Issuer::with_key("other", [8; 32], Clock::system()));
    let (verifier, token) = (issuer.verifier(), issuer.member(Uuid::nil()));
    verifier.member(&token).await.unwrap();

    // Its key must be known now, not only when it was signed.
    verifier.set_keys(other.keys());
    assert_eq!(verifier.member(&token).await.unwrap_err(), Refused::Invalid);
    verifier.set_keys(issuer.keys());
    let session = verifier.member(&token).await.unwrap().sid;
    verifier.revoke(&[session]);
    assert_eq!(verifier.member(&token).await.unwrap_err(), Refused::Revoked);

    // Valid for another second, due to the leeway of 30 s.
    let over = Clock::system().now() - TimeDelta::seconds(29);
    let (nobody, begun) = (Uuid::nil(), over - TimeDelta::minutes(5));
    let roles = vec![Role::Member];
    let claims = Member::new(nobody, nobody, roles, &["auth"], nobody, (begun, over));
    let token = issuer.signing_key().sign(&claims).unwrap();
    verifier.member(&token).await.unwrap();
    let expired = || async {
        verifier.member(&token).await.err().map(|refused| assert_eq!(refused, Refused::Expired))
    };
    eventually(Duration::from_secs(3), expired).await;
}
