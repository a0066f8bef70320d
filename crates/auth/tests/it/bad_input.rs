//! Invalid input is refused with the code that `docs/errors.md` lists, and nothing is stored. Refusals that depend on
//! earlier requests are tested with those: 200 guesses at once in `guessing`, twins of an address in `accounts`, copies
//! of a refresh token in `refreshing`, too many requests in `quotas`, and input that is not HTTP in `kit::it edge`.

use auth::hasher::Hasher;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use kit::Clock;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::{Api, Call};
use uuid::Uuid;

use crate::app::{PASSWORD, TestApp, hashes};

const ADA: &str = "ada@example.org";
const NEW: &str = "a new and different password";

/// A request and its expected answer.
struct Case {
    what: String,
    call: Call,
    status: u16,
    code: &'static str,
    /// The wrong field, if the answer names one.
    field: &'static str,
}

fn case(what: impl Into<String>, call: Call, status: u16, code: &'static str) -> Case {
    Case { what: what.into(), call, status, code, field: "" }
}

fn registration(field: &str, value: impl Into<Value>) -> Value {
    let mut body =
        json!({ "email": "eve@example.org", "password": PASSWORD, "display_name": "Eve" });
    body[field] = value.into();
    body
}

fn register(api: &Api) -> Call {
    api.post("/v1/register").key("k")
}

/// Bodies and headers that every route refuses.
fn shapes(api: &Api) -> Vec<Case> {
    let raw = |body: &[u8]| register(api).body("application/json", body.to_vec());
    let good = registration("email", "eve@example.org");
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let text = register(api).body("text/plain", "{}");
    let unkeyed = api.post("/v1/register").json(&good);
    let large = register(api).json(registration("display_name", "x".repeat(70_000)));
    let twice = br#"{"email":"eve@example.org","email":"ada@example.org"}"#;
    let surrogate = br#"{"email":"\ud800@example.org"}"#;
    let long_key = api.post("/v1/register").key(&"k".repeat(256)).json(&good);
    let two_keys = register(api).key("l").json(&good);
    vec![
        case("half a body", raw(b"{"), 400, "malformed_json"),
        case("something behind it", raw(b"{} x"), 400, "malformed_json"),
        case("a byte order mark", raw(b"\xEF\xBB\xBF{}"), 400, "malformed_json"),
        case("nested deeply", raw(&deep), 400, "malformed_json"),
        case("a field twice", raw(twice), 400, "duplicate_key"),
        case("a lone surrogate", raw(surrogate), 400, "invalid_encoding"),
        case("no UTF-8", raw(b"{\"email\":\"\xff\"}"), 400, "invalid_encoding"),
        case("another media type", text, 415, "unsupported_media_type"),
        case("a large body", large, 413, "body_too_large"),
        case("no idempotency key", unkeyed, 400, "idempotency_key_required"),
        case("an empty one", api.post("/v1/register").key("").json(&good), 400, KEY),
        case("a long one", long_key, 400, KEY),
        case("two", two_keys, 400, KEY),
        case("another method", api.get("/v1/register"), 405, "method_not_allowed"),
        case("TRACE", api.call(Method::TRACE, "/v1/login"), 405, "method_not_allowed"),
        case("an unknown path", api.get("/v1/admin"), 404, "not_found"),
    ]
}

const KEY: &str = "idempotency_key_invalid";

/// Fields that break a rule.
fn fields(api: &Api, token: &str) -> Vec<Case> {
    let wrong = |field: &'static str, value: Value, code: &'static str| {
        let call = register(api).json(registration(field, value.clone()));
        let value: String = value.to_string().chars().take(60).collect();
        Case { field, ..case(format!("register: {field} {value}"), call, 422, code) }
    };
    let obvious = register(api).json(registration("password", "Eve-2026!"));
    let missing = register(api).json(json!({ "email": ADA, "password": PASSWORD }));
    let mut cases = vec![
        wrong("email", json!(""), "invalid_email"),
        wrong("email", json!("ada"), "invalid_email"),
        wrong("email", json!("ada@localhost"), "invalid_email"),
        wrong("email", json!("a@b.c\r\nBcc: eve@example.org"), "invalid_email"),
        wrong("email", json!("'; DROP TABLE member; --"), "invalid_email"),
        wrong("email", json!("mi\u{212a}e@example.org"), "invalid_email"),
        wrong("email", json!("m\u{131}ke@example.org"), "invalid_email"),
        wrong("email", json!(format!("{}@example.org", "a".repeat(300))), "invalid_email"),
        wrong("email", json!("a\u{0}da@example.org"), "invalid_character"),
        wrong("email", json!(1), "invalid_type"),
        wrong("password", json!("1234567"), "password_too_short"),
        wrong("password", json!("x".repeat(1025)), "password_too_long"),
        wrong("password", json!("Password123"), "password_breached"),
        wrong("password", json!("12345678\u{0}"), "invalid_character"),
        wrong("password", json!(["12345678"]), "invalid_type"),
        wrong("display_name", json!(" "), "invalid_length"),
        wrong("display_name", json!("x".repeat(101)), "invalid_length"),
        wrong("display_name", json!("a\u{1b}[31m"), "invalid_character"),
        wrong("display_name", json!(null), "invalid_type"),
        wrong("role", json!("operator"), "unknown_field"),
        case("register: obvious", obvious, 422, "password_obvious"),
        Case { field: "display_name", ..case("register: no name", missing, 422, "missing_field") },
    ];
    let login = |email: &str, password: &str| {
        api.post("/v1/login").json(json!({ "email": email, "password": password }))
    };
    let reset = |new: &str| {
        let body = json!({ "email": ADA, "code": "00000-00000", "new_password": new });
        api.post("/v1/password/reset").key("k").json(body)
    };
    let change = |new: &str| {
        let body = json!({ "current_password": PASSWORD, "new_password": new });
        api.post("/v1/password").key("k").bearer(token).json(body)
    };
    let rename = |name: &str| {
        let call = api.patch("/v1/me").bearer(token).json(json!({ "display_name": name }));
        call.header("if-match", "\"1\"")
    };
    let forgot = api.post("/v1/password/forgot").key("k").json(json!({ "email": "ada" }));
    let verify = json!({ "email": ADA, "code": 1, "password": NEW });
    let verify = api.post("/v1/verification").key("k").json(verify);
    let refresh = api.post("/v1/refresh").json(json!({ "refresh_token": null }));
    let others = [
        ("login: email", login("ada", PASSWORD), "invalid_email", "email"),
        ("login: too long", login(ADA, &"x".repeat(1025)), "password_too_long", "password"),
        ("reset: too short", reset("short"), "password_too_short", "new_password"),
        ("reset: obvious", reset("ada.ada.1815"), "password_obvious", ""),
        ("change: common", change("Password123"), "password_breached", "new_password"),
        ("change: obvious", change("booking-2026"), "password_obvious", ""),
        ("forgot: email", forgot, "invalid_email", "email"),
        ("verify: code", verify, "invalid_type", "code"),
        ("refresh: token", refresh, "invalid_type", "refresh_token"),
        ("rename: too long", rename(&"x".repeat(101)), "invalid_length", "display_name"),
    ];
    let others =
        others.map(|(what, call, code, field)| Case { field, ..case(what, call, 422, code) });
    cases.extend(others);
    cases
}

/// Invalid tokens, stale versions, and the sessions of other members.
fn callers(api: &Api, Tokens { ada, expired, ended, refresh }: &Tokens) -> Vec<Case> {
    let me = |token: &str| api.get("/v1/me").bearer(token);
    let [head, claims, signature] = ada.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let unsigned =
        format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#));
    let forged = format!("{head}.{claims}.{}", signature.chars().rev().collect::<String>());
    let in_the_query = api.get(&format!("/v1/me?access_token={ada}"));
    let session = |id: &str| api.delete(&format!("/v1/sessions/{id}")).bearer(ada);
    let disable = api.put(&format!("/v1/members/{}/disabled", Uuid::nil())).bearer(ada);
    let rename = || api.patch("/v1/me").bearer(ada).json(json!({ "display_name": "Ada" }));
    let refreshed = |token: &str| api.post("/v1/refresh").json(json!({ "refresh_token": token }));
    let guess =
        |email: &str| api.post("/v1/login").json(json!({ "email": email, "password": "wrong" }));
    let code = |path: &str| {
        let password = if path == "/v1/password/reset" { "new_password" } else { "password" };
        let body = json!({ "email": ADA, "code": "00000-00000", password: NEW });
        api.post(path).key("k").json(body)
    };
    let body = json!({ "current_password": "wrong", "new_password": NEW });
    let change = api.post("/v1/password").key("k").bearer(ada).json(body);
    vec![
        case("no token", api.get("/v1/me"), 401, "invalid_token"),
        case("no token at all", me("nonsense"), 401, "invalid_token"),
        case("a token without a signature", me(&unsigned), 401, "invalid_token"),
        case("another signature", me(&forged), 401, "invalid_token"),
        case("a token in the query", in_the_query, 401, "invalid_token"),
        case("two tokens", me(ada).bearer(ada), 401, "invalid_token"),
        case("a token that has expired", me(expired), 401, "token_expired"),
        case("one of an ended session", me(ended), 401, "session_revoked"),
        case("an operator's route", disable, 403, "forbidden"),
        case("nobody's session", session(&Uuid::max().to_string()), 404, "not_found"),
        case("no id", session("1 OR 1=1".replace(' ', "%20").as_str()), 400, "invalid_id"),
        case("no version", rename(), 428, "precondition_required"),
        case("an old version", rename().header("if-match", "\"7\""), 412, "version_conflict"),
        case("no refresh token", refreshed("nonsense"), 401, "invalid_token"),
        case("a refresh token of an ended session", refreshed(refresh), 401, "session_revoked"),
        case("a wrong password", guess(ADA), 401, "invalid_credentials"),
        case("an unknown address", guess("nobody@example.org"), 401, "invalid_credentials"),
        case("a wrong current password", change, 401, "invalid_credentials"),
        case("a wrong code for the address", code("/v1/verification"), 401, "code_invalid"),
        case("a wrong code for the password", code("/v1/password/reset"), 401, "code_invalid"),
    ]
}

struct Tokens {
    ada: String,
    expired: String,
    /// The tokens of an ended session.
    ended: String,
    refresh: String,
}

/// Registers Ada; returns tokens of every kind.
async fn tokens(db: &PgPool, app: &TestApp) -> Tokens {
    let ada = app.member(ADA).await;
    let past = Clock::fixed(Clock::system().now() - TimeDelta::minutes(10));
    let expired = TestApp::with(db.clone(), past, Hasher::new()).await.token(ADA).await;
    let session = app.session(ADA).await;
    let word = |name: &str| session[name].as_str().unwrap().to_owned();
    let (ended, refresh) = (word("access_token"), word("refresh_token"));
    app.api.delete("/v1/sessions/current").bearer(&ended).send().await.expect(204);
    Tokens { ada, expired, ended, refresh }
}

type Stored = Vec<(String, Option<String>)>;

/// A digest of each table except this one.
async fn stored(db: &PgPool, except: &str) -> Stored {
    let sql = "SELECT tablename::text FROM pg_tables
               WHERE schemaname = 'public' AND tablename <> $1 ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(sql).bind(except).fetch_all(db).await.unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let digest = |table| {
        format!("SELECT '{table}', md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM {table} t")
    };
    let digests: Vec<_> = tables.iter().map(digest).collect();
    let sql = sqlx::AssertSqlSafe(digests.join(" UNION ALL "));
    sqlx::query_as(sql).fetch_all(db).await.unwrap()
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn what_cannot_be_right_has_its_code_and_stores_nothing(db: PgPool) {
    let app = TestApp::new(db.clone()).await;
    let tokens = tokens(&db, &app).await;
    let mut cases = shapes(&app.api);
    cases.extend(fields(&app.api, &tokens.ada));
    let before = hashes();
    check(&db, cases, "").await;
    assert_eq!(hashes(), before, "and nothing was hashed");
    // Only the count of wrong guesses changes.
    check(&db, callers(&app.api, &tokens), "login_attempt").await;
}

async fn check(db: &PgPool, cases: Vec<Case>, except: &str) {
    let before = stored(db, except).await;
    for Case { what, call, status, code, field } in cases {
        let reply = call.send().await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{what}");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{what}");
        let fields: Vec<_> = reply.fields().into_iter().map(|(name, _)| name).collect();
        let expected: &[&str] = if field.is_empty() { &[] } else { &[field] };
        assert_eq!(fields, expected, "{what}");
        for secret in [PASSWORD, NEW, "Password123", "12345678"] {
            assert!(!reply.text().contains(secret), "{what}: {}", reply.text());
        }
        assert_eq!(stored(db, except).await, before, "{what}");
    }
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn all_wrong_fields_are_named_at_once(db: PgPool) {
    let app = TestApp::new(db).await;
    let body = json!({ "email": "x", "password": "x", "display_name": "" });
    let reply = app.api.post("/v1/register").key("k").json(body).send().await.expect(422);
    let fields: Vec<_> = reply.fields().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["email", "password", "display_name"]);
}
