//! A service's process: its start, its refusals, its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use testkit::eventually;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use super::wire::get;

const UNWRITTEN: &str = "log_lines_dropped_total{level=\"unwritten\"}";
const SECRET: &str = "postgres://app:hunter2@127.0.0.1:1/points";

/// The example `smallest`, with this environment and no other variables.
fn smallest(variables: &[(&str, &str)]) -> Command {
    prepared(Command::new(program()), variables)
}

/// [`smallest`] with limits of open files and sockets.
pub fn smallest_with_descriptors(count: usize, variables: &[(&str, &str)]) -> Command {
    limited(&format!("ulimit -n {count}"), variables)
}

/// [`smallest`] with a soft limit, which it may raise itself.
pub fn smallest_with_soft_limit(count: usize, variables: &[(&str, &str)]) -> Command {
    limited(&format!("ulimit -S -n {count}"), variables)
}

fn limited(limit: &str, variables: &[(&str, &str)]) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("{limit} && exec \"$0\"")).arg(program());
    prepared(shell, variables)
}

fn program() -> PathBuf {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/smallest");
    assert!(path.exists(), "cargo test builds it; else: cargo build -p kit --example smallest");
    path
}

fn prepared(mut command: Command, variables: &[(&str, &str)]) -> Command {
    command.env_clear().envs(variables.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Everything it needs, on ports chosen by the system.
fn complete() -> Vec<(&'static str, &'static str)> {
    vec![
        ("HTTP_LISTEN", "127.0.0.1:0"),
        ("GRPC_LISTEN", "127.0.0.1:0"),
        ("ADMIN_LISTEN", "127.0.0.1:0"),
        ("DATABASE_URL", SECRET),
        ("RUST_BACKTRACE", "1"),
    ]
}

/// [`complete`], with HTTP and gRPC on these ports.
pub fn with_ports([http, grpc]: [SocketAddr; 2]) -> Vec<(&'static str, &'static str)> {
    let mut variables = without("HTTP_LISTEN");
    variables.retain(|(variable, _)| *variable != "GRPC_LISTEN");
    variables.push(("HTTP_LISTEN", http.to_string().leak()));
    variables.push(("GRPC_LISTEN", grpc.to_string().leak()));
    variables
}

/// [`complete`] without the variable of this name.
fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    let mut variables = complete();
    variables.retain(|(variable, _)| *variable != name);
    variables
}

/// Returns the exit code, standard output and standard error.
async fn ended(mut command: Command) -> (i32, String, String) {
    let output = timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Returns the one-line error, checking the exit code.
async fn complaint(command: Command, code: i32) -> String {
    let (exit, _, stderr) = ended(command).await;
    assert_eq!(exit, code, "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
    stderr.trim_end().to_owned()
}

#[tokio::test]
async fn bad_configuration_is_one_line_that_names_the_variable_and_exit_64() {
    let missing = complaint(smallest(&without("HTTP_LISTEN")), 64).await;
    assert_eq!(
        missing,
        "error: missing HTTP_LISTEN (or --http-listen); --help explains every variable"
    );

    let mut wrong = without("GRPC_LISTEN");
    wrong.push(("GRPC_LISTEN", "nowhere"));
    let wrong = complaint(smallest(&wrong), 64).await;
    assert_eq!(
        wrong,
        "error: GRPC_LISTEN (or --grpc-listen): invalid value \"nowhere\": invalid socket address syntax"
    );

    let mut wrong = complete();
    wrong.push(("DRAIN_TIMEOUT", "soon\nand more"));
    let wrong = complaint(smallest(&wrong), 64).await;
    assert!(wrong.contains("DRAIN_TIMEOUT") && wrong.contains("expected number"), "{wrong}");

    let mut empty = without("DATABASE_URL");
    empty.push(("DATABASE_URL", ""));
    assert!(complaint(smallest(&empty), 64).await.contains("missing DATABASE_URL"));

    let mut unknown = smallest(&complete());
    unknown.arg("--nonsense");
    assert!(complaint(unknown, 64).await.contains("--nonsense"));
}

#[tokio::test]
async fn a_secret_comes_from_a_file_and_from_one_place_only() {
    let directory = std::env::temp_dir().join(format!("kit-secret-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (file, empty) = (directory.join("database-url"), directory.join("empty"));
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    std::fs::write(&empty, "\n").unwrap();
    let with_file = |base: Vec<(&'static str, &'static str)>, path: &std::path::Path| {
        let mut command = smallest(&base);
        command.env("DATABASE_URL_FILE", path);
        command
    };

    let both = complaint(with_file(complete(), &file), 64).await;
    assert_eq!(both, "error: DATABASE_URL and DATABASE_URL_FILE are both set");
    let away = complaint(with_file(without("DATABASE_URL"), &directory.join("away")), 64).await;
    assert!(away.starts_with("error: DATABASE_URL_FILE: cannot read "), "{away}");
    let empty = complaint(with_file(without("DATABASE_URL"), &empty), 64).await;
    assert!(empty.ends_with(" is empty"), "{empty}");

    // A later refusal shows that the secret was read.
    let mut good = with_file(without("DATABASE_URL"), &file);
    good.env("REFUSE", "pending migrations");
    assert_eq!(complaint(good, 78).await, "error: pending migrations");
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn help_lists_every_variable_and_shows_no_secret() {
    let mut command = smallest(&complete());
    command.arg("--help");
    let (code, help, stderr) = ended(command).await;
    assert_eq!((code, stderr.as_str()), (0, ""));
    for variable in [
        "HTTP_LISTEN",
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "DATABASE_POOL_MAX",
        "REDIS_URL",
        "LOG_LEVEL",
    ] {
        assert!(help.contains(variable), "{variable}: {help}");
    }
    assert!(!help.contains("hunter2"), "{help}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_variable_and_its_owner() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let mut variables = without("ADMIN_LISTEN");
    let text = address.to_string();
    variables.push(("ADMIN_LISTEN", text.as_str().to_owned().leak()));
    let line = complaint(smallest(&variables), 1).await;
    let owner = format!("(pid {})", std::process::id());
    assert!(
        line.starts_with(&format!("error: ADMIN_LISTEN: port {} is in use by ", address.port())),
        "{line}"
    );
    assert!(line.ends_with(&owner), "{line}");
}

#[tokio::test]
async fn sigterm_ends_it_with_exit_0() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut variables = without("HTTP_LISTEN");
    variables.push(("HTTP_LISTEN", port.to_string().leak()));
    let child = smallest(&variables).spawn().unwrap();
    let id = child.id().unwrap();
    eventually(Duration::from_secs(10), || async {
        tokio::net::TcpStream::connect(port).await.ok()
    })
    .await;
    assert_eq!(get(port, "/hello").await.body, b"hello");

    let killed = Command::new("kill").arg(id.to_string()).status().await.unwrap();
    assert!(killed.success());
    let output = timeout(Duration::from_secs(12), child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(log.lines().any(|line| line.contains("\"stopped\"")), "flushed: {log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_full_disk_for_logs_stops_nothing() {
    let [port, admin] = [free_port().await, free_port().await];
    let mut variables = without("HTTP_LISTEN");
    variables.retain(|(variable, _)| *variable != "ADMIN_LISTEN");
    variables.push(("HTTP_LISTEN", port.to_string().leak()));
    variables.push(("ADMIN_LISTEN", admin.to_string().leak()));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = smallest(&variables);
    let mut child = command.stdout(full).spawn().unwrap();
    eventually(Duration::from_secs(10), || async {
        tokio::net::TcpStream::connect(port).await.ok()
    })
    .await;
    for _ in 0..100 {
        assert_eq!(get(port, "/hello").await.body, b"hello");
    }
    // Every line that could not be written is counted.
    eventually(Duration::from_secs(10), || async {
        let metrics = String::from_utf8(get(admin, "/metrics").await.body).unwrap();
        let line = metrics.lines().find_map(|l| l.strip_prefix(UNWRITTEN))?;
        (line.trim().parse::<u32>().unwrap() >= 100).then_some(())
    })
    .await;
    let id = child.id().unwrap();
    assert!(Command::new("kill").arg(id.to_string()).status().await.unwrap().success());
    let status = timeout(Duration::from_secs(12), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

pub async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
