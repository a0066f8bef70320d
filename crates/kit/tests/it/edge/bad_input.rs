//! Malformed input gets the right 4xx with the field's name. The answer repeats nothing, and nothing is
//! stored.

use super::wire::{Client, exchange, get, request};
use super::world::World;

const JSON: &str = "Content-Type: application/json";
const KEY: &str = "Idempotency-Key: k-1";
const GOOD: &[u8] = br#"{"name":"a","amount":1}"#;

/// Posts a body to a command's route, and returns the verdict.
async fn posted(world: &World, headers: &[&str], body: &[u8]) -> String {
    exchange(world.at.http, &request("POST /things", headers, body)).await.verdict()
}

#[tokio::test]
async fn a_wrong_body_is_refused_with_its_field_and_nothing_is_stored() {
    let world = World::start().await;
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let at_depth = |depth: usize| {
        format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)).into_bytes()
    };
    let (deepest, too_deep) = (at_depth(31), at_depth(32));
    let table: &[(&[u8], &str)] = &[
        (&too_deep, "400 malformed_json"),
        (&deepest, "422 unknown_field x"),
        (b"{", "400 malformed_json"),
        (b"nonsense", "400 malformed_json"),
        (br#"{"name":"a","amount":1} trailing"#, "400 malformed_json"),
        (b"\xEF\xBB\xBF{\"name\":\"a\",\"amount\":1}", "400 malformed_json"),
        (&deep, "400 malformed_json"),
        (b"{\"name\":\"\x01\",\"amount\":1}", "400 malformed_json"),
        (br#"{"name":"a","amount":NaN}"#, "400 malformed_json"),
        (br#"{"name":"a","amount":1e999}"#, "400 malformed_json"),
        (br#"{"name":"a","amount":1,"amount":2}"#, "400 duplicate_key"),
        (br#"{"name":"a","amount":1,"parts":[{"id":1,"id":2}]}"#, "400 duplicate_key"),
        (br#"{"name":"a","amount":1,"role":"admin"}"#, "422 unknown_field role"),
        (
            br#"{"name":"a","amount":1,"parts":[{"balance":1}]}"#,
            "422 unknown_field parts[0].balance",
        ),
        (br#"{"name":"a"}"#, "422 missing_field amount"),
        (br#"{"name":"a","amount":1,"parts":[{}]}"#, "422 missing_field parts[0].id"),
        (br#"{"name":"a","amount":"10"}"#, "422 invalid_type amount"),
        (br#"{"name":"a","amount":1.5}"#, "422 invalid_type amount"),
        (br#"{"name":"a","amount":1e3}"#, "422 invalid_type amount"),
        (br#"{"name":"a","amount":null}"#, "422 invalid_type amount"),
        (br#"{"name":"a","amount":9223372036854775808}"#, "422 invalid_value amount"),
        (br#"{"name":"a","amount":99999999999999999999999}"#, "422 invalid_type amount"),
        (br#"{"name":["a"],"amount":1}"#, "422 invalid_type name"),
        (br#"{"name":"a","amount":1,"color":"blue"}"#, "422 invalid_value color"),
        (br#"{"name":"a","amount":1,"parts":[{"id":"x"}]}"#, "422 invalid_value parts[0].id"),
        (br#"[1]"#, "422 invalid_type "),
        (br#"["a",1]"#, "422 invalid_type "),
        (br#""text""#, "422 invalid_type "),
        (br#"{"name":"a\u0000b","amount":1}"#, "422 invalid_character name"),
        (br#"{"name":"a","amount":1,"x":{"y":["\u0000"]}}"#, "422 invalid_character x.y[0]"),
        (br#"{"a\u0000":1}"#, "422 invalid_character "),
        (br#"{"name":"\ud800","amount":1}"#, "400 invalid_encoding"),
        (br#"{"name":"\ud800\u0041","amount":1}"#, "400 invalid_encoding"),
        (b"{\"name\":\"\xff\",\"amount\":1}", "400 invalid_encoding"),
        (br#"{"name":"a","amount":0}"#, "422 invalid_amount amount"),
        (br#"{"name":"","amount":-1}"#, "422 invalid_fields name amount"),
        (b"", "400 missing_body"),
    ];
    for (body, expected) in table {
        let verdict = posted(&world, &[JSON, KEY], body).await;
        assert_eq!(&verdict, expected, "{}", String::from_utf8_lossy(&body[..body.len().min(80)]));
    }
    assert_eq!(world.stored(), 0);
    assert_eq!(posted(&world, &[JSON, KEY], GOOD).await, "201 -");
}

#[tokio::test]
async fn a_media_type_that_is_not_json_is_refused() {
    let world = World::start().await;
    for wrong in
        ["X: y", "Content-Type: text/plain", "Content-Type: application/json; charset=utf-16"]
    {
        assert_eq!(
            posted(&world, &[wrong, KEY], GOOD).await,
            "415 unsupported_media_type",
            "{wrong}"
        );
    }
    assert_eq!(world.stored(), 0);
    let charset = "Content-Type: application/json; charset=UTF-8";
    assert_eq!(posted(&world, &[charset, KEY], GOOD).await, "201 -");
}

#[tokio::test]
async fn an_idempotency_key_is_required_and_must_be_sane() {
    let world = World::start().await;
    assert_eq!(posted(&world, &[JSON], GOOD).await, "400 idempotency_key_required");
    let long = format!("Idempotency-Key: {}", "k".repeat(256));
    let wrong: &[&[&str]] = &[
        &["Idempotency-Key:"],
        &[&long],
        &["Idempotency-Key: a\tb"],
        &["Idempotency-Key: é"],
        &[KEY, KEY],
    ];
    for keys in wrong {
        let headers = [&[JSON], *keys].concat();
        assert_eq!(posted(&world, &headers, GOOD).await, "400 idempotency_key_invalid", "{keys:?}");
    }
    assert_eq!(world.stored(), 0);
    let longest = format!("Idempotency-Key: {}", "k".repeat(255));
    assert_eq!(posted(&world, &[JSON, &longest], GOOD).await, "201 -");
}

#[tokio::test]
async fn a_key_stands_for_the_request_and_not_for_its_spelling() {
    let world = World::start().await;
    let post = async |body: &[u8]| {
        exchange(world.at.http, &request("POST /things", &[JSON, KEY], body)).await.json()
    };
    let first = post(GOOD).await;
    let spelled = post(b"{ \"amount\": 1,\n \"name\": \"\\u0061\" }").await;
    assert_eq!(first["fingerprint"], spelled["fingerprint"]);
    assert_eq!(first["route"], "POST /things");
    let other = post(br#"{"name":"a","amount":2}"#).await;
    assert_ne!(first["fingerprint"], other["fingerprint"]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_ends_the_connection_however_it_is_sent() {
    let world = World::start().await;
    for size in [64 * 1024 + 1, 900 * 1024] {
        let body = vec![b' '; size];
        let mut client = Client::connect(world.at.http).await;
        client.send(&request("POST /things", &[JSON, KEY], &body)).await;
        let answer = client.answer().await;
        assert_eq!(answer.verdict(), "413 body_too_large");
        assert_eq!(answer.header("connection"), "close");
        assert_eq!(client.until_closed().await, "");

        let mut chunked = format!("{size:x}\r\n").into_bytes();
        chunked.extend_from_slice(&body);
        chunked.extend_from_slice(b"\r\n0\r\n\r\n");
        let head = [JSON, KEY, "Transfer-Encoding: chunked"];
        let answer = exchange(world.at.http, &request("POST /things", &head, &chunked)).await;
        assert_eq!(answer.verdict(), "413 body_too_large");
    }
    let mut largest = GOOD.to_vec();
    largest.resize(64 * 1024, b' ');
    assert_eq!(posted(&world, &[JSON, KEY], &largest).await, "201 -");
}

#[tokio::test]
async fn a_wrong_path_or_method_is_a_problem_too() {
    let world = World::start().await;
    let table = [
        ("GET /nowhere", "404 not_found"),
        ("GET /things/42", "400 invalid_id"),
        ("GET /things/%00", "400 invalid_id"),
        ("GET /things/'%3B%20DROP%20TABLE", "400 invalid_id"),
        ("GET /things/%ff", "400 invalid_encoding"),
        ("DELETE /things", "405 method_not_allowed"),
        ("TRACE /things", "405 method_not_allowed"),
        ("FOO /things", "405 method_not_allowed"),
        ("POST /health", "405 method_not_allowed"),
    ];
    for (line, expected) in table {
        let answer = exchange(world.at.http, &request(line, &[], b"")).await;
        assert_eq!(answer.verdict(), expected, "{line}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{line}");
        if answer.status == 405 {
            assert!(answer.header("allow").contains("GET"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_query_names_its_parameter() {
    let world = World::start().await;
    let table = [
        ("limit=1000000", "422 invalid_limit limit"),
        ("limit=-1", "422 invalid_limit limit"),
        ("limit=abc", "422 invalid_value limit"),
        ("limit=1&limit=2", "422 duplicate_field limit"),
        ("after=forged", "400 invalid_cursor"),
        ("sort=name", "422 unknown_field sort"),
        ("name=%00", "422 invalid_character name"),
        ("name=%ff", "400 invalid_encoding"),
        ("limit=7&name=%27%3B+DROP+TABLE+%25%5C", "200 -"),
    ];
    for (query, expected) in table {
        assert_eq!(
            get(world.at.http, &format!("/things?{query}")).await.verdict(),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn what_was_sent_is_not_sent_back() {
    let world = World::start().await;
    let body = br#"{"name":"a","amount":"hunter2, expected","color":"hunter2"}"#;
    let answer = exchange(world.at.http, &request("POST /things", &[JSON, KEY], body)).await;
    assert_eq!(answer.verdict(), "422 invalid_type amount");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("expected a whole number"), "{text}");
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_connection_ends() {
    let world = World::start().await;
    let headers: Vec<String> = (0..120).map(|n| format!("X-{n}: y")).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let huge = format!("X: {}", "y".repeat(20 * 1024));
    let table: &[(&[u8], &str)] = &[
        (&request("GET /things", &headers, b""), "HTTP/1.1 431"),
        (&request("GET /things", &[&huge], b""), "HTTP/1.1 431"),
        (
            b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            "HTTP/1.1 400",
        ),
        (b"nonsense\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /things HTTP/1.1\r\nX : y\r\n\r\n", "HTTP/1.1 400"),
    ];
    for (bytes, expected) in table {
        let mut client = Client::connect(world.at.http).await;
        client.send(bytes).await;
        let text = client.until_closed().await;
        assert!(text.starts_with(expected), "{expected}: {text}");
    }
    // A malformed chunk: the handler sees an incomplete body.
    let head = [JSON, KEY, "Transfer-Encoding: chunked"];
    let mut client = Client::connect(world.at.http).await;
    client.send(&request("POST /things", &head, b"zz\r\n{}\r\n0\r\n\r\n")).await;
    assert!(client.until_closed().await.starts_with("HTTP/1.1 400"));
    assert_eq!(world.stored(), 0);
}
