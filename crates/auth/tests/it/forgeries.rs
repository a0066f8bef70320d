//! Forged tokens at every entrance. The forger has auth's real key, and a token that auth would not have written must
//! still be refused.

use auth::keyring::Keyring;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::auth::v1::auth_client::AuthClient;
use proto::auth::v1::{ValidateTokenRequest, ValidateTokenResponse};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use testkit::grpc::{code, request};
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, metric};

/// Signs any claims with auth's own key.
struct Forger {
    kid: String,
    key: Ed25519KeyPair,
    typ: &'static str,
    claims: Value,
}

impl Forger {
    async fn new(app: &TestApp, typ: &'static str, own: Value) -> Self {
        let sql = "SELECT kid, sealed_seed FROM signing_key";
        let (kid, sealed): (String, Vec<u8>) =
            sqlx::query_as(sql).fetch_one(&app.db).await.unwrap();
        let keyring = Keyring::new(&"01".repeat(32).into()).unwrap();
        let key = Ed25519KeyPair::from_seed_unchecked(&keyring.open(&kid, &sealed).unwrap());
        let now = kit::Clock::system().now().timestamp();
        let mut claims = json!({
            "iss": "auth", "jti": Uuid::nil(), "iat": now, "nbf": now, "exp": now + 300,
        });
        claims.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        Self { kid, key: key.unwrap(), typ, claims }
    }

    fn now(&self) -> i64 {
        self.claims["iat"].as_i64().unwrap()
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": self.typ, "kid": self.kid })
    }

    fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        format!("{message}.{}", encode(self.key.sign(message.as_bytes())))
    }

    fn genuine(&self) -> String {
        self.signed(&self.header().to_string(), &self.claims.to_string())
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header();
        header[name] = value;
        self.signed(&header.to_string(), &self.claims.to_string())
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        self.signed(&self.header().to_string(), &claims.to_string())
    }

    fn without_claim(&self, name: &str) -> String {
        let mut claims: Map<_, _> = serde_json::from_value(self.claims.clone()).unwrap();
        claims.remove(name).unwrap();
        self.signed(&self.header().to_string(), &Value::Object(claims).to_string())
    }

    /// The claims with this text right after the opening brace.
    fn with_text(&self, text: &str) -> String {
        let claims = self.claims.to_string().replacen('{', &format!("{{{text},"), 1);
        self.signed(&self.header().to_string(), &claims)
    }

    /// The header of another algorithm, and a MAC under a public secret.
    fn mac(&self, alg: &str, secret: &[u8]) -> String {
        let header = json!({ "alg": alg, "typ": self.typ, "kid": self.kid });
        let message = format!("{}.{}", encode(header.to_string()), encode(self.claims.to_string()));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", encode(mac))
    }

    fn forged_headers(&self) -> Vec<(&'static str, String)> {
        let public = self.key.public_key().as_ref();
        let text = self.header().to_string();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(public) });
        let header = |text: &str| self.signed(text, &self.claims.to_string());
        vec![
            ("alg none", self.with_header("alg", json!("none"))),
            ("alg None", self.with_header("alg", json!("None"))),
            ("alg NONE", self.with_header("alg", json!("NONE"))),
            ("alg eddsa in lower case", self.with_header("alg", json!("eddsa"))),
            ("alg of another curve", self.with_header("alg", json!("Ed448"))),
            ("alg RS256", self.with_header("alg", json!("RS256"))),
            ("alg PS512", self.with_header("alg", json!("PS512"))),
            ("alg ES256", self.with_header("alg", json!("ES256"))),
            ("alg null", self.with_header("alg", json!(null))),
            ("alg empty", self.with_header("alg", json!(""))),
            ("alg in a list", self.with_header("alg", json!(["EdDSA"]))),
            ("alg twice", header(&text.replacen('{', r#"{"alg":"none","#, 1))),
            ("alg HS256 under the public key", self.mac("HS256", public)),
            ("alg HS256 under the empty key", self.mac("HS256", b"")),
            ("a MAC that says it is EdDSA", self.mac("EdDSA", public)),
            ("kid unknown", self.with_header("kid", json!("another"))),
            ("kid empty", self.with_header("kid", json!(""))),
            ("kid a path", self.with_header("kid", json!("../../../../dev/null"))),
            ("kid SQL", self.with_header("kid", json!("x' UNION SELECT 'AA=='--"))),
            ("kid with NUL", self.with_header("kid", json!(format!("{}\0", self.kid)))),
            ("kid a number", self.with_header("kid", json!(0))),
            ("kid huge", self.with_header("kid", json!("k".repeat(100_000)))),
            ("typ JWT", self.with_header("typ", json!("JWT"))),
            ("typ of an ID token", self.with_header("typ", json!("id+jwt"))),
            ("typ in upper case", self.with_header("typ", json!(self.typ.to_uppercase()))),
            ("typ null", self.with_header("typ", json!(null))),
            ("crit", self.with_header("crit", json!(["exp"]))),
            ("crit empty", self.with_header("crit", json!([]))),
            ("jku", self.with_header("jku", json!("https://evil.example/jwks.json"))),
            ("jwk, our own", self.with_header("jwk", jwk)),
            ("x5u", self.with_header("x5u", json!("https://evil.example/x5u"))),
            ("x5c", self.with_header("x5c", json!(["MIIB"]))),
            ("header no object", header("[]")),
            ("header a string", header("\"EdDSA\"")),
            ("header empty", header("")),
            ("header with garbage behind it", header(&format!("{text}x"))),
            ("header nested deep", header(&"[".repeat(1000))),
        ]
    }

    fn forged_claims(&self) -> Vec<(&'static str, String)> {
        let now = self.now();
        let mut all = vec![
            ("iss another", self.with_claim("iss", json!("https://evil.example"))),
            ("iss a list", self.with_claim("iss", json!(["auth"]))),
            ("iss with NUL", self.with_claim("iss", json!("auth\0"))),
            ("aud another", self.with_claim("aud", json!("everybody"))),
            ("aud empty", self.with_claim("aud", json!(""))),
            ("exp text", self.with_claim("exp", json!("never"))),
            ("exp digits in quotes", self.with_claim("exp", json!((now + 300).to_string()))),
            ("exp null", self.with_claim("exp", json!(null))),
            ("exp a fraction", self.with_claim("exp", json!(now as f64 + 300.5))),
            ("exp an object", self.with_claim("exp", json!({ "at": now + 300 }))),
            ("exp negative", self.with_claim("exp", json!(-1))),
            ("exp in an hour", self.with_claim("exp", json!(now + 3600))),
            ("exp at the end of time", self.with_claim("exp", json!(i64::MAX))),
            ("exp beyond 64 bits", self.with_claim("exp", json!(u64::MAX))),
            ("exp 1e400", self.with_text("\"exp\":1e400")),
            ("exp twice", self.with_text(&format!("\"exp\":{}", now + 200))),
            ("nbf in the future", self.with_claim("nbf", json!(now + 3600))),
            ("nbf text", self.with_claim("nbf", json!("now"))),
            ("iat in the future", self.with_claim("iat", json!(now + 3600))),
            ("iat a fraction", self.with_claim("iat", json!(now as f64 + 0.5))),
            ("jti no id", self.with_claim("jti", json!("1"))),
            ("sub a number", self.with_claim("sub", json!(1))),
            ("sub twice", self.with_text("\"sub\":\"00000000-0000-0000-0000-000000000009\"")),
            ("iss twice", self.with_text("\"iss\":\"auth\"")),
            ("claims no object", self.signed(&self.header().to_string(), "[]")),
            ("claims empty", self.signed(&self.header().to_string(), "")),
            ("claims nested deep", self.with_text(&format!("\"x\":{}", "[".repeat(1000)))),
            ("claims of a megabyte", self.with_claim("x", json!("x".repeat(1 << 20)))),
        ];
        for (kind, name) in [
            ("iss missing", "iss"),
            ("aud missing", "aud"),
            ("sub missing", "sub"),
            ("exp missing", "exp"),
            ("iat missing", "iat"),
            ("nbf missing", "nbf"),
            ("jti missing", "jti"),
        ] {
            all.push((kind, self.without_claim(name)));
        }
        all
    }

    fn forged_signatures(&self) -> Vec<(&'static str, String)> {
        let genuine = self.genuine();
        let (message, signature) = genuine.rsplit_once('.').unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let stranger = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let of_another = self.with_claim("jti", json!(Uuid::max()));
        let of_another = of_another.rsplit_once('.').unwrap().1;
        let mut swapped = bytes.clone();
        swapped.rotate_left(32);
        let tail = if signature.ends_with('A') { "B" } else { "A" };
        vec![
            ("another's key", format!("{message}.{}", encode(stranger.sign(message.as_bytes())))),
            ("another token's signature", format!("{message}.{of_another}")),
            ("signature plus the group order", format!("{message}.{}", encode(malleated(&bytes)))),
            ("signature's halves swapped", format!("{message}.{}", encode(swapped))),
            ("signature all zero", format!("{message}.{}", encode([0; 64]))),
            ("signature cut short", format!("{message}.{}", &signature[..signature.len() - 2])),
            ("signature padded", format!("{message}.{signature}==")),
            ("signature with a byte more", format!("{message}.{signature}AA")),
            ("signature's last bits", format!("{message}.{}{tail}", &signature[..85])),
            ("signature empty", format!("{message}.")),
            ("signature left out", message.to_owned()),
            ("two signatures", format!("{genuine}.{signature}")),
            ("five segments", format!("{genuine}..")),
            ("a dot before", format!(".{genuine}")),
            ("claims and header swapped", format!("{claims}.{header}.{signature}")),
            ("claims padded", format!("{header}.{claims}=.{signature}")),
            ("header padded", format!("{header}=.{claims}.{signature}")),
            ("plain base64", format!("{header}.{claims}+/.{signature}")),
            ("a space within", format!("{header}. {claims}.{signature}")),
            ("a tab behind", format!("{genuine}\t,")),
            ("NUL behind", format!("{genuine}\0")),
            ("another script", format!("{header}.{claims}.é{signature}")),
            ("full-width dots", genuine.replace('.', "\u{ff0e}")),
            ("dots alone", "..".to_owned()),
            ("a word", "operator".to_owned()),
            ("a megabyte of nothing", "x".repeat(1 << 20)),
            ("a thousand segments", "a.".repeat(1000)),
        ]
    }

    fn forged(&self) -> Vec<(&'static str, String)> {
        [self.forged_headers(), self.forged_claims(), self.forged_signatures()].concat()
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The same signature with its scalar plus the order of the group. It satisfies the equation; RFC 8032 refuses it,
/// because otherwise one token would have many texts.
fn malleated(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 16] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14,
    ];
    let mut order = [0; 32];
    order[..16].copy_from_slice(&ORDER);
    order[31] = 0x10;
    let mut sum = signature.to_vec();
    let mut carry = 0;
    for (byte, more) in sum[32..].iter_mut().zip(order) {
        let [low, high] = (u16::from(*byte) + u16::from(more) + carry).to_le_bytes();
        (*byte, carry) = (low, u16::from(high));
    }
    assert_eq!(carry, 0);
    sum
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn no_forged_access_token_opens_anything_or_counts_as_valid(db: PgPool) {
    let app = TestApp::new(db).await;
    let member = json!({ "aud": ["auth"], "client_id": "first_party", "sub": Uuid::nil(), "sid": Uuid::nil(), "roles": ["member"] });
    let forger = Forger::new(&app, "at+jwt", member).await;
    // The unchanged token is accepted; the member and the session just do not exist.
    app.api.get("/v1/me").bearer(&forger.genuine()).send().await.expect(404);

    let mut corpus = forger.forged();
    corpus.extend([
        ("typ of a service", forger.with_header("typ", json!("st+jwt"))),
        ("aud of a service", forger.with_claim("aud", json!("services"))),
        ("aud no list", forger.with_claim("aud", json!("auth"))),
        ("aud of nobody", forger.with_claim("aud", json!([]))),
        ("aud of other services in a list", forger.with_claim("aud", json!(["services"]))),
        ("sub of a service", forger.with_claim("sub", json!("booking"))),
        ("sub an address", forger.with_claim("sub", json!("ada@example.org"))),
        ("sid missing", forger.without_claim("sid")),
        ("sid no id", forger.with_claim("sid", json!("all"))),
        ("roles missing", forger.without_claim("roles")),
        ("roles a word", forger.with_claim("roles", json!("operator"))),
        ("roles an object", forger.with_claim("roles", json!({ "operator": true }))),
        ("roles of numbers", forger.with_claim("roles", json!([3]))),
        ("roles null", forger.with_claim("roles", json!(null))),
        ("roles twice", forger.with_text("\"roles\":[\"operator\"]")),
    ]);
    let kinds: std::collections::BTreeSet<_> = corpus.iter().map(|(kind, _)| *kind).collect();
    assert!(kinds.len() == corpus.len() && kinds.len() > 100, "{} kinds", kinds.len());

    for (kind, token) in &corpus {
        if !token.contains('\0') {
            // Such a request is refused before its header is read.
            let reply = app.api.get("/v1/me").bearer(token).send().await;
            assert_eq!(
                (reply.status.as_u16(), reply.code().as_str()),
                (401, "invalid_token"),
                "{kind}"
            );
            assert_eq!(reply.header("www-authenticate"), "Bearer", "{kind}");
        }
        let asked = crate::tokens::validate(&app, token).await;
        assert_eq!(asked, ValidateTokenResponse::default(), "{kind}");
    }
    let count = metric("auth_token_validation_total{status=\"invalid\"}");
    assert_eq!(count, corpus.len() as f64, "and not one as expired");
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn no_forged_service_token_calls_anything(db: PgPool) {
    let app = TestApp::new(db).await;
    let service = json!({ "aud": "services", "sub": "inspector" });
    let forger = Forger::new(&app, "st+jwt", service).await;
    let call = |token: String| {
        let mut client = AuthClient::new(auth::grpc::routes(app.auth.clone()));
        async move { client.validate_token(request(ValidateTokenRequest::default(), &token)).await }
    };
    call(forger.genuine()).await.unwrap();

    let mut corpus = forger.forged();
    corpus.extend([
        ("typ of a member", forger.with_header("typ", json!("at+jwt"))),
        ("aud of a member", forger.with_claim("aud", json!(["auth"]))),
        ("aud in a list", forger.with_claim("aud", json!(["services"]))),
        ("sub null", forger.with_claim("sub", json!(null))),
    ]);
    for (kind, token) in corpus {
        // A gRPC header is ASCII; other text cannot be sent.
        if !token.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            continue;
        }
        let refused = call(token).await.expect_err(kind);
        assert_eq!(
            (refused.code(), code(&refused).as_str()),
            (Code::Unauthenticated, "invalid_token"),
            "{kind}"
        );
    }
}
