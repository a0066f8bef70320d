//! Forged tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kit::caller::Refused;
use proptest::prelude::*;
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use serde_json::{Map, Value, json};
use testkit::tokens::Issuer;
use uuid::Uuid;

/// The seed of [`Issuer::new`]: the forger below has the right key, and must be refused all the same.
const SEED: [u8; 32] = [7; 32];

fn encode(value: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(value)
}

fn now() -> i64 {
    kit::Clock::system().now().timestamp()
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "test-key" })
}

fn claims() -> Value {
    let now = now();
    json!({
        "iss": "auth", "aud": ["auth"], "client_id": "first_party", "sub": Uuid::nil(), "sid": Uuid::nil(),
        "jti": Uuid::nil(), "iat": now, "nbf": now, "exp": now + 300, "roles": ["member"],
    })
}

/// Signs any claims with the right key.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap().sign(message.as_bytes());
    format!("{message}.{}", encode(signature.as_ref()))
}

fn with(mut object: Value, key: &str, value: Value) -> String {
    object[key] = value;
    object.to_string()
}

fn without(object: Value, key: &str) -> String {
    let mut object: Map<String, Value> = serde_json::from_value(object).unwrap();
    object.remove(key).unwrap();
    Value::Object(object).to_string()
}

async fn verdict(token: &str) -> Option<Refused> {
    Issuer::new().verifier().member(token).await.err()
}

#[tokio::test]
async fn the_forger_would_get_in_with_nothing_changed() {
    assert_eq!(verdict(&signed(&header().to_string(), &claims().to_string())).await, None);
}

#[tokio::test]
async fn a_wrong_header_is_refused() {
    for header in [
        with(header(), "alg", json!("none")),
        with(header(), "alg", json!("None")),
        with(header(), "alg", json!("")),
        with(header(), "alg", json!("HS256")),
        with(header(), "alg", json!("RS256")),
        with(header(), "alg", json!("ES256")),
        with(header(), "alg", json!(null)),
        without(header(), "alg"),
        with(header(), "typ", json!("JWT")),
        with(header(), "typ", json!("st+jwt")),
        with(header(), "typ", json!("AT+JWT")),
        without(header(), "typ"),
        with(header(), "kid", json!("other-key")),
        with(header(), "kid", json!("")),
        with(header(), "kid", json!("../../etc/passwd")),
        with(header(), "kid", json!(1)),
        without(header(), "kid"),
        with(header(), "jku", json!("https://example.org/jwks.json")),
        with(header(), "x5u", json!("https://example.org/cert")),
        with(header(), "x5c", json!(["MIIB"])),
        with(header(), "jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&[1; 32]) })),
        with(header(), "jwk", json!("nonsense")),
        with(header(), "crit", json!(["exp"])),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":"test-key","alg":"none"}"#.to_owned(),
    ] {
        let token = signed(&header, &claims().to_string());
        assert_eq!(verdict(&token).await, Some(Refused::Invalid), "{header}");
    }
}

#[tokio::test]
async fn a_wrong_claim_is_refused() {
    let now = now();
    let mut cases = vec![
        with(claims(), "iss", json!("someone")),
        with(claims(), "iss", json!(["auth"])),
        with(claims(), "aud", json!("services")),
        with(claims(), "aud", json!("auth")),
        with(claims(), "aud", json!([])),
        with(claims(), "aud", json!(["points", "booking"])),
        with(claims(), "aud", json!(["auth", 1])),
        with(claims(), "exp", json!("never")),
        with(claims(), "exp", json!((now + 300).to_string())),
        with(claims(), "exp", json!(null)),
        with(claims(), "exp", json!(1.5e300)),
        with(claims(), "exp", json!([now + 300])),
        // It would outlive the memory of its ended session.
        with(claims(), "exp", json!(now + 301)),
        with(claims(), "exp", json!(i64::MAX)),
        with(claims(), "nbf", json!(now + 100)),
        with(claims(), "nbf", json!("now")),
        with(claims(), "iat", json!(now + 100)),
        with(claims(), "sub", json!("admin")),
        with(claims(), "sub", json!("")),
        with(claims(), "jti", json!(1)),
        with(claims(), "sid", json!("x")),
        with(claims(), "roles", json!("operator")),
        with(claims(), "roles", json!([1])),
        claims().to_string().replacen("\"exp\":", "\"exp\":1e400,\"x\":", 1),
        claims().to_string().replacen('{', &format!("{{\"exp\":{},", now + 9999), 1),
        claims().to_string().replacen('{', "{\"sub\":\"00000000-0000-0000-0000-000000000009\",", 1),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
        "{".to_owned(),
    ];
    for required in ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "roles", "client_id"] {
        cases.push(without(claims(), required));
    }
    for claims in cases {
        let token = signed(&header().to_string(), &claims);
        assert_eq!(verdict(&token).await, Some(Refused::Invalid), "{claims}");
    }
}

#[tokio::test]
async fn times_long_past_are_no_overflow() {
    let cases = [(0, Refused::Expired), (-1, Refused::Invalid), (i64::MIN, Refused::Invalid)];
    for (exp, refused) in cases {
        let token = signed(&header().to_string(), &with(claims(), "exp", json!(exp)));
        assert_eq!(verdict(&token).await, Some(refused), "{exp}");
    }
}

#[tokio::test]
async fn roles_we_do_not_know_grant_and_refuse_nothing() {
    let claims = with(claims(), "roles", json!(["emperor", "staff"]));
    let token = signed(&header().to_string(), &claims);
    let member = Issuer::new().verifier().member(&token).await.unwrap();
    assert_eq!(member.roles, [kit::caller::Role::Staff]);
}

#[tokio::test]
async fn a_signature_by_anything_else_is_refused() {
    let token = Issuer::new().member(Uuid::nil());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();

    // The classic attack: the public key as the secret of an HMAC.
    let public = Issuer::new().keys()[0].1.clone();
    let hs256 = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "test-key" }).to_string();
    let hs256 = format!("{}.{claims}", encode(hs256.as_bytes()));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), hs256.as_bytes());
    let none = encode(br#"{"alg":"none","typ":"at+jwt","kid":"test-key"}"#);
    let other = Issuer::with_key("test-key", [8; 32], kit::Clock::system()).member(Uuid::nil());

    for forged in [
        format!("{hs256}.{}", encode(mac.as_ref())),
        format!("{none}.{claims}."),
        format!("{none}.{claims}"),
        format!("{message}."),
        message.to_owned(),
        format!("{message}.{}", &signature[..signature.len() - 2]),
        format!("{message}.{signature}AA"),
        format!("{message}.{signature}="),
        format!("{message}.{}", encode(&[0; 64])),
        format!("{message}.{signature}.{signature}"),
        format!("{header}.{claims}x.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "é.é.é".to_owned(),
        "x".repeat(1 << 20),
        format!("{}.{claims}.{signature}", encode("{".repeat(2000).as_bytes())),
        other,
    ] {
        let shown: String = forged.chars().take(60).collect();
        assert_eq!(verdict(&forged).await, Some(Refused::Invalid), "{shown}");
    }
}

#[tokio::test]
async fn not_one_bit_may_be_flipped() {
    let verifier = Issuer::new().verifier();
    let token = Issuer::new().member(Uuid::nil());
    for position in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[position] ^= 1 << bit;
            let forged = String::from_utf8(bytes).unwrap();
            assert!(verifier.member(&forged).await.is_err(), "bit {bit} of byte {position}");
        }
    }
}

#[tokio::test]
async fn a_member_is_no_service_and_a_service_no_member() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    assert_eq!(verifier.service(&issuer.service("booking")).await.unwrap().name, "booking");
    assert!(verifier.member(&issuer.service("booking")).await.is_err());
    assert!(verifier.service(&issuer.member(Uuid::nil())).await.is_err());

    // The type or the audience alone is not enough.
    let st = json!({ "alg": "EdDSA", "typ": "st+jwt", "kid": "test-key" }).to_string();
    assert!(verifier.service(&signed(&st, &claims().to_string())).await.is_err());
    let services = with(claims(), "aud", json!("services"));
    assert!(verifier.service(&signed(&header().to_string(), &services)).await.is_err());
    assert!(verifier.service(&signed(&st, &services)).await.is_ok());
}

proptest! {
    #[test]
    fn no_text_is_a_token_or_a_panic(text in ".{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,80}", 0..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert!(runtime.block_on(verdict(&text)).is_some());
        prop_assert!(runtime.block_on(verdict(&parts.join("."))).is_some());
    }

    #[test]
    fn no_bytes_are_a_token_or_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(runtime.block_on(verdict(&text)).is_some());
        let parts: Vec<_> = bytes.splitn(3, |byte| *byte == b'.').map(encode).collect();
        prop_assert!(runtime.block_on(verdict(&parts.join("."))).is_some());
        let behind_a_good_header = signed(&header().to_string(), &text);
        prop_assert!(runtime.block_on(verdict(&behind_a_good_header)).is_some());
    }

    #[test]
    fn no_change_to_a_token_makes_another(changes in proptest::collection::vec(change(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let token = Issuer::new().member(Uuid::nil());
        let forged = changes.into_iter().fold(token.clone(), |text, change| match text.as_str() {
            "" => text,
            _ => changed(&text, change),
        });
        prop_assume!(forged != token);
        prop_assert_eq!(runtime.block_on(verdict(&forged)), Some(Refused::Invalid));
    }

    #[test]
    fn no_json_in_a_well_signed_token_panics(header in json_text(), claims in json_text()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert!(runtime.block_on(verdict(&signed(&header, &self::header().to_string()))).is_some());
        prop_assert!(runtime.block_on(verdict(&signed(&self::header().to_string(), &claims))).is_some());
    }
}

/// Changes to a token by an attacker without the key.
#[derive(Clone, Debug)]
enum Change {
    Replace(prop::sample::Index, char),
    Insert(prop::sample::Index, String),
    Remove(prop::sample::Index, prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<char>()).prop_map(|(at, with)| Change::Replace(at, with)),
        (at(), "[A-Za-z0-9_.=+/-]{1,9}").prop_map(|(at, text)| Change::Insert(at, text)),
        (at(), at()).prop_map(|(from, to)| Change::Remove(from, to)),
        (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
        (at(), at()).prop_map(|(one, two)| Change::Swap(one, two)),
    ]
}

fn changed(text: &str, change: Change) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let len = letters.len();
    let between = |from: prop::sample::Index, to: prop::sample::Index| {
        let (from, to) = (from.index(len), to.index(len));
        from.min(to)..from.max(to) + 1
    };
    match change {
        Change::Replace(at, with) => letters[at.index(len)] = with,
        Change::Insert(at, text) => {
            let at = at.index(len + 1);
            letters.splice(at..at, text.chars());
        }
        Change::Remove(from, to) => drop(letters.drain(between(from, to))),
        Change::Repeat(from, to) => {
            let part = letters[between(from, to)].to_vec();
            letters.extend(part);
        }
        Change::Swap(one, two) => letters.swap(one.index(len), two.index(len)),
    }
    letters.into_iter().collect()
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof!["[a-z]{0,8}".prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    let key =
        proptest::sample::select(vec!["exp", "nbf", "iat", "iss", "aud", "sub", "alg", "kid", "x"]);
    proptest::collection::hash_map(key, leaf, 0..6)
        .prop_map(|map| serde_json::to_string(&map).unwrap())
}
