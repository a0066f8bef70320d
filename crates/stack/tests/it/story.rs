use std::time::Duration;

use crate::bench::Bench;
use crate::trace;

#[tokio::test(flavor = "multi_thread")]
async fn up_demo_down_tells_the_whole_story_and_leaves_nothing() {
    let bench = Bench::new("story").await;
    let cold = bench.up().await;

    let status = bench.ok(&["status"]).await;
    assert_eq!(status.matches(" ready ").count(), 10, "{status}");

    // Twice: a second member meets the merchant of the first.
    for _ in 0..2 {
        let story = bench.ok(&["demo"]).await;
        assert!(story.contains("409 in"), "{story}");
        assert!(story.contains("slot_taken"), "{story}");
        assert!(story.contains("replayed"), "{story}");
        assert!(story.contains("available: 88"), "{story}");
        trace::joins_three_services(&bench, &story).await;
    }

    let down = bench.ok(&["down"]).await;
    assert!(down.contains("postgres"), "{down}");
    bench.assert_gone();
    assert!(bench.ok(&["down"]).await.contains("Nothing is running"));

    let warm = bench.up().await;
    assert!(warm < Duration::from_secs(15), "a warm start took {warm:?}");
    eprintln!("cold start {cold:.1?}, warm start {warm:.1?}");

    let again = bench.ok(&["up"]).await;
    assert!(again.starts_with("It is running already."), "{again}");
    assert!(again.contains(&bench.url("auth", "/docs")), "{again}");
}
