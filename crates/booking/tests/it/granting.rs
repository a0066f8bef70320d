//! Auth over gRPC, which signs for members who pay.

use std::time::Duration;

use booking::peers::{AuthOverGrpc, GrantHold, Grants as _, NoGrant};
use kit::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use testkit::auth::FakeAuth;
use testkit::eventually;
use testkit::tokens::Issuer;
use uuid::Uuid;

use crate::app::member;

#[tokio::test]
async fn a_grant_is_for_one_hold_of_whoever_has_the_token_and_an_outage_is_told_from_a_refusal() {
    let issuer = Issuer::new();
    let fake = FakeAuth::new(issuer.clone());
    let auth = fake.listen().await;
    let client = AuthOverGrpc::new(&testkit::auth::config(&auth.url, "booking")).unwrap();
    let (hold_id, merchant_id) = (Uuid::from_u128(7), Uuid::from_u128(8));
    let ask = async |token: String| {
        let access_token = &SecretString::from(token);
        let asked = GrantHold { access_token, hold_id, points: 300, merchant_id };
        client.grant(asked).await
    };

    let grant = ask(issuer.member(member(2))).await.unwrap();
    let claims = issuer.verifier().grant(grant.expose_secret()).await.unwrap();
    assert_eq!((claims.sub, claims.act.as_str()), (member(2), "booking"));
    assert_eq!((claims.hold_id, claims.points, claims.merchant_id), (hold_id, 300, merchant_id));
    let stranger = Issuer::with_key("another", [9; 32], Clock::system());
    for bad in [stranger.member(member(2)), issuer.service("booking"), String::new()] {
        assert!(matches!(ask(bad).await, Err(NoGrant::Refused)));
    }

    // Auth refuses our own token: no fault of the member's, and over with our next one.
    fake.rotate_to(stranger.clone());
    let refused = ask(stranger.member(member(2))).await;
    assert!(matches!(refused, Err(NoGrant::Away("own_token_refused"))));
    ask(stranger.member(member(2))).await.unwrap();

    drop(auth);
    eventually(Duration::from_secs(20), || async {
        matches!(ask(issuer.member(member(2))).await, Err(NoGrant::Away(_))).then_some(())
    })
    .await;
}
