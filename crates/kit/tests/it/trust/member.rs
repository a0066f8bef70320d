//! The `Caller` extractor.

use axum::routing::get;
use axum::{Extension, Router};
use chrono::TimeDelta;
use kit::caller::{Role, Verifier};
use kit::{ApiError, Caller, Clock};
use testkit::http::Api;
use testkit::tokens::Issuer;
use uuid::Uuid;

pub fn api(verifier: Verifier) -> Api {
    async fn whoami(caller: Caller) -> String {
        caller.id.to_string()
    }
    async fn operators(caller: Caller) -> Result<&'static str, ApiError> {
        caller.require(&[Role::Operator]).map(|()| "welcome")
    }
    let routes = Router::new().route("/me", get(whoami)).route("/operators", get(operators));
    Api::new(routes.layer(Extension(verifier)))
}

const MEMBER: Uuid = Uuid::from_u128(7);

#[tokio::test]
async fn a_member_is_who_the_token_says() {
    let issuer = Issuer::new();
    let api = api(issuer.verifier());

    let reply = api.get("/me").bearer(&issuer.member(MEMBER)).send().await.expect(200);
    assert_eq!(reply.text(), MEMBER.to_string());
    // RFC 7235: the scheme's case does not matter.
    let lower = format!("bearer {}", issuer.member(MEMBER));
    api.get("/me").header("authorization", &lower).send().await.expect(200);
}

#[tokio::test]
async fn without_one_valid_token_nobody_gets_in() {
    let issuer = Issuer::new();
    let api = api(issuer.verifier());
    let token = issuer.member(MEMBER);

    for call in [
        api.get("/me"),
        api.get("/me").header("authorization", &token),
        api.get("/me").header("authorization", &format!("Basic {token}")),
        api.get("/me").header("authorization", "Bearer"),
        api.get("/me").bearer(&token).bearer(&token),
        api.get(&format!("/me?access_token={token}")),
        api.get("/me").bearer(&issuer.service("booking")),
    ] {
        let reply = call.send().await.expect(401);
        assert_eq!(reply.code(), "invalid_token");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        assert!(!reply.text().contains(&token));
    }
}

#[tokio::test]
async fn an_expired_token_is_told_apart() {
    let issuer = Issuer::new();
    let reply = api(issuer.verifier()).get("/me").bearer(&issuer.expired(MEMBER)).send().await;
    assert_eq!(reply.expect(401).code(), "token_expired");
}

#[tokio::test]
async fn clocks_may_differ_by_thirty_seconds_and_no_more() {
    let now: chrono::DateTime<chrono::Utc> = "2030-01-01T00:00:00Z".parse().unwrap();
    let at = |seconds| Issuer::at(Clock::fixed(now + TimeDelta::seconds(seconds)));
    let token = at(0).member(MEMBER); // valid for 300 s

    for (elsewhere, answer) in
        [(-31, "invalid_token"), (-30, ""), (329, ""), (330, "token_expired")]
    {
        let reply = api(at(elsewhere).verifier()).get("/me").bearer(&token).send().await;
        let code = if reply.status.is_success() { String::new() } else { reply.code() };
        assert_eq!(code, answer, "at {elsewhere} s");
    }
}

#[tokio::test]
async fn a_role_opens_what_it_opens() {
    let issuer = Issuer::new();
    let api = api(issuer.verifier());

    let member = api.get("/operators").bearer(&issuer.member(MEMBER)).send().await.expect(403);
    assert_eq!(member.code(), "forbidden");
    let operator = issuer.with_roles(MEMBER, &[Role::Staff, Role::Operator]);
    api.get("/operators").bearer(&operator).send().await.expect(200);
}

#[tokio::test]
async fn without_keys_a_token_is_not_called_invalid() {
    let issuer = Issuer::new();
    let api = api(Verifier::empty("points", Clock::system()));

    let reply = api.get("/me").bearer(&issuer.member(MEMBER)).send().await.expect(503);
    assert_eq!(reply.code(), "keys_unavailable");
    assert!(!reply.header("retry-after").is_empty());
    api.get("/me").bearer("nonsense").send().await.expect(401);
}

#[tokio::test]
async fn a_token_of_the_version_before_is_for_all_services_and_says_nothing_of_an_operator() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let issuer = Issuer::new();
    let now = Clock::system().now().timestamp();
    let header = serde_json::json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": "test-key" });
    let token = |audience: serde_json::Value| {
        let claims = serde_json::json!({
            "iss": "auth", "aud": audience, "exp": now + 300, "iat": now, "nbf": now, "jti": MEMBER,
            "sub": MEMBER, "sid": MEMBER, "roles": ["member", "staff", "operator"],
        });
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    };
    for service in ["auth", "points", "booking", "incidents"] {
        let verifier = Verifier::empty(service, Clock::system());
        verifier.set_keys(issuer.keys());
        // The second time from the cache.
        for _ in 0..2 {
            let claims = verifier.member(&token("members".into())).await.unwrap();
            assert_eq!((claims.sub, claims.roles), (MEMBER, vec![Role::Member, Role::Staff]));
        }
        assert!(verifier.member(&token(service.into())).await.is_err(), "no list");
    }
    let stranger = Verifier::empty("inspector", Clock::system());
    stranger.set_keys(issuer.keys());
    assert!(stranger.member(&token("members".into())).await.is_err());
}
