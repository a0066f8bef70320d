use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use stack::board;
use stack::down::members;
use stack::place::Place;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::bench::{Bench, within};

#[tokio::test(flavor = "multi_thread")]
async fn exec_gives_a_command_servers_of_its_own_and_passes_its_exit_code_on() {
    let bench = Bench::new("exec").await;
    let script = r#"
        psql -XAtc "SELECT rolname FROM pg_roles WHERE rolname ~ '_(app|owner)$' ORDER BY 1" "$DATABASE_URL"
        echo "$REDIS_URL"
        exit 7"#;
    let said = bench.run(&["exec", "--", "sh", "-c", script]).await;
    assert_eq!(said.code, 7, "{}", said.err);
    assert!(said.out.contains("auth_app\nauth_owner\nbooking_app\n"), "{}", said.out);
    assert!(said.out.contains("redis://127.0.0.1:"), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_lets_the_command_end_while_its_servers_still_live() {
    let bench = Bench::new("exec-ctrl-c").await;
    let script = r#"
        trap 'psql -XAtc "SELECT pg_sleep(0.5), 42" "$DATABASE_URL"; exit 3' INT
        echo started
        while true; do sleep 0.1; done"#;
    let mut exec = bench
        .command(&["exec", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        // A terminal sends Ctrl-C to the whole group.
        .process_group(0)
        .spawn()
        .unwrap();
    let pid = i32::try_from(exec.id().unwrap()).unwrap();
    let mut lines = BufReader::new(exec.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "started");
    nix::sys::signal::killpg(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "|42");
    assert_eq!(exec.wait().await.unwrap().code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_leaves_nothing_behind_however_it_ends() {
    let bench = Bench::new("exec-ends").await;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut exec = bench
            .command(&["exec", "--", "sh", "-c", "echo $DATABASE_URL; exec sleep 600"])
            .stdout(Stdio::piped())
            // A terminal sends Ctrl-C to the whole group.
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = i32::try_from(exec.id().unwrap()).unwrap();
        let mut lines = BufReader::new(exec.stdout.take().unwrap()).lines();
        assert!(lines.next_line().await.unwrap().unwrap().starts_with("postgres://"));
        let dir = std::env::temp_dir().join(format!("stack-exec-{pid}"));
        let place = Place { dir: dir.clone(), ..bench.place.clone() };
        let servers = members(&place);
        let parts = board::read(&place).unwrap().parts;
        assert!(parts.iter().all(|part| servers.contains(&part.process.unwrap())), "{servers:?}");

        match signal {
            Signal::SIGINT => nix::sys::signal::killpg(Pid::from_raw(pid), signal).unwrap(),
            _ => nix::sys::signal::kill(Pid::from_raw(pid), signal).unwrap(),
        }
        exec.wait().await.unwrap();
        if signal == Signal::SIGKILL {
            // Nobody was there to clear up; the next run does it.
            nix::sys::signal::killpg(Pid::from_raw(pid), signal).unwrap();
            bench.ok(&["exec", "--", "true"]).await;
        }
        within(Duration::from_secs(5), "the servers are gone", || async {
            servers.iter().all(|server| !server.is_alive())
        })
        .await;
        assert!(!dir.exists(), "{}", dir.display());
    }
}

/// The checkout of a person who works as root lies where PostgreSQL's own user cannot go.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_postgres_cannot_enter_is_no_obstacle() {
    use std::os::unix::fs::PermissionsExt;

    let closed = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("closed");
    std::fs::create_dir_all(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let bench = Bench::inside(closed.join("stack")).await;
    bench.up().await;
    let data = bench.place.data().join("postgres");
    let home = data.canonicalize().unwrap();
    if nix::unistd::geteuid().is_root() {
        assert!(home.starts_with("/var/tmp"), "{}", home.display());
    }
    bench.ok(&["clean"]).await;
    assert!(!home.exists());
}
