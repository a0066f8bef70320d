use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use kit::command;
use tokio::sync::oneshot;

#[tokio::test]
async fn a_command_ends_though_its_caller_went_away() {
    let (go, wait) = oneshot::channel::<()>();
    let (done, ended) = oneshot::channel();
    let caller = tokio::spawn(command::run(async move {
        wait.await.unwrap();
        done.send(()).unwrap();
    }));
    tokio::task::yield_now().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    ended.await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_command_continues_in_its_caller() {
    let caller = command::run(async {
        if true {
            panic!("as planned");
        }
    });
    let panic = AssertUnwindSafe(caller).catch_unwind().await.unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "as planned");
}

#[tokio::test]
async fn a_shutdown_waits_for_commands_but_not_for_ever() {
    let (go, wait) = oneshot::channel::<()>();
    let caller = tokio::spawn(command::run(async move { wait.await.unwrap() }));
    tokio::task::yield_now().await;
    assert!(!command::drain(Duration::from_millis(50)).await);
    go.send(()).unwrap();
    assert!(command::drain(Duration::from_secs(5)).await);
    caller.await.unwrap();
}

#[tokio::test]
async fn a_command_belongs_to_the_request_that_gave_it() {
    use observability::{Carrier, SpanKind, context};
    Carrier::default()
        .scope("request", SpanKind::Server, async {
            let outside = context::request_id().unwrap();
            let inside = command::run(async { context::request_id() }).await;
            assert_eq!(inside, Some(outside));
        })
        .await;
}
