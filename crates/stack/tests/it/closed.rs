//! A stack is open to whoever started it: not to other users of the machine, not to web pages in a browser on it, and
//! in Redis not to one service in place of another.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use stack::parts::postgres::Worth;
use stack::parts::redis;
use stack::ports::SERVICES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::Bench;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn each_service_has_a_redis_user_that_reaches_its_own_keys_and_no_others() {
    let bench = Bench::new("closed-redis").await;
    bench.place.create().unwrap();
    let part = redis::part(&bench.place, bench.ports.redis, Worth::Kept).unwrap();
    let mut server = part.program.start(&bench.place.log("redis")).unwrap();
    assert!(part.probe.holds_within(&bench.place, SOON).await, "redis is not ready");

    assert!(ask(&bench, None, &["PING"]).await.contains("NOAUTH"), "nobody must be somebody");
    for service in SERVICES {
        let own = format!("{service}:1:cache:k");
        assert!(
            ask(&bench, Some(service), &["SET", &own, "v", "PX", "60000"]).await.contains("+OK")
        );
        assert!(ask(&bench, Some(service), &["GETRANGE", &own, "0", "9"]).await.contains("v"));
        for key in SERVICES.iter().filter(|other| **other != service).flat_map(keys) {
            for command in [
                vec!["SET", &key, "v", "PX", "60000"],
                vec!["XADD", &key, "*", "f", "v"],
                vec!["DEL", &key],
                vec!["EVAL", "return redis.call('XADD', KEYS[1], '*', 'f', 'v')", "1", &key],
            ] {
                let said = ask(&bench, Some(service), &command).await;
                assert!(said.contains("NOPERM"), "{service}: {command:?}: {said}");
            }
        }
        let said = ask(&bench, Some(service), &["FLUSHALL"]).await;
        assert!(said.contains("NOPERM"), "{service}: {said}");
    }
    server.kill().await.unwrap();
}

/// What a service keeps in Redis: what is cached, how much its clients ask, and what only it may write.
fn keys(service: &&str) -> Vec<String> {
    let mut keys = vec![format!("{service}:1:cache:k"), format!("{service}:limit:default:m")];
    keys.extend(match *service {
        "auth" => vec!["auth:{revocations}".to_owned(), "auth:{revocations}:epoch".to_owned()],
        "points" => {
            vec!["points:{fallback}:queue".to_owned(), "points:{fallback}:job:1".to_owned()]
        }
        "booking" => vec!["booking:line:turn".to_owned()],
        _ => Vec::new(),
    });
    keys
}

/// One command of a user, and all that Redis says until it hangs up.
async fn ask(bench: &Bench, user: Option<&str>, command: &[&str]) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", bench.ports.redis)).await.unwrap();
    let mut request = String::new();
    if let Some(user) = user {
        let password = redis::password(&bench.place, user).unwrap();
        request += &format!("AUTH {user} {password}\r\n");
    }
    request += &format!("*{}\r\n", command.len());
    for word in command {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    request += "QUIT\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_stack_is_closed_to_other_users_other_machines_and_web_pages() {
    let bench = Bench::new("closed").await;
    bench.up().await;

    let mut open = Vec::new();
    readable_by_others(&bench.place.dir, &mut open);
    assert_eq!(open, Vec::<String>::new(), "others can read these");

    let listening = listeners();
    for (variable, port) in bench.ports.named() {
        let at: Vec<_> = listening.iter().filter(|(_, found)| *found == port).collect();
        assert!(at.iter().all(|(address, _)| address == "0100007F"), "{variable}: {at:?}");
        assert!(!at.is_empty(), "{variable}: nobody listens on {port}");
    }

    let client = reqwest::Client::new();
    let prometheus = format!("http://127.0.0.1:{}", bench.ports.prometheus);
    for path in ["/-/quit", "/-/reload"] {
        let answer = client.post(format!("{prometheus}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
    for service in SERVICES {
        let fault = format!("http://127.0.0.1:{}/fault", bench.ports.service(service).admin);
        for token in [None, Some("another")] {
            let asked = client.put(&fault).body("errors");
            let asked = match token {
                Some(token) => asked.bearer_auth(token),
                None => asked,
            };
            assert_eq!(asked.send().await.unwrap().status(), 401, "{service}");
        }
        assert_eq!(bench.ready(service).await.0, 200, "{service}");
    }
}

/// Everything below a directory that others may read or enter. Where they cannot look into a directory, nothing in it
/// is theirs; where they may pass, as PostgreSQL's user does under root, what is in it counts.
fn readable_by_others(dir: &Path, found: &mut Vec<String>) {
    let us = fs::metadata(dir).unwrap().uid();
    let mode = fs::metadata(dir).unwrap().permissions().mode();
    if mode & 0o066 != 0 {
        found.push(format!("{} {mode:o}", dir.display()));
    }
    if mode & 0o011 == 0 {
        return;
    }
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() && meta.uid() == us {
            readable_by_others(&entry.path(), found);
        } else if !meta.is_symlink() && meta.permissions().mode() & 0o077 != 0 {
            found.push(format!("{} {:o}", entry.path().display(), meta.permissions().mode()));
        }
    }
}

/// Address and port of whatever listens, as the kernel writes them.
fn listeners() -> Vec<(String, u16)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|table| fs::read_to_string(table).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let listening = rows.filter_map(|row| {
        let fields: Vec<_> = row.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        (*fields.get(3)? == "0A")
            .then(|| (address.to_owned(), u16::from_str_radix(port, 16).unwrap()))
    });
    listening.collect()
}
