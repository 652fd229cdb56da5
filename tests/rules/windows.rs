//! Durations in rules, with clocks that the test moves.

use std::time::Duration;

use testkit::{Request, Shim, Upstream};

use super::configured;

/// Just before and just after three hours.
const BEFORE: Duration = Duration::from_mins(179);
const BEHIND: Duration = Duration::from_mins(181);

#[test]
fn a_window_is_as_long_as_a_rule_says() {
    let upstream = Upstream::echo();
    let rules = "[[rule]]\npath = \"/short\"\nwindow = \"3h\"\n";
    let builder = configured(&upstream, rules);
    let shim = Shim::build(builder.home());
    let mut engine = shim.preload(builder).start();
    let derived = Request::post(&upstream.url("/short"), "x");
    let explicit = derived.clone().key("order-7");
    let usual = Request::post(&upstream.url("/usual"), "x").key("order-7");
    for call in [&derived, &explicit, &usual] {
        engine.send(call).assert_is(200, "executed");
    }
    for (ahead, word) in [(BEFORE, "replayed"), (BEHIND, "executed")] {
        shim.passed(ahead);
        engine = engine.kill_and_restart();
        engine.send(&derived).assert_is(200, word);
        engine.send(&explicit).assert_is(200, word);
        engine.send(&usual).assert_is(200, "replayed");
    }
    assert_eq!(upstream.hits(), 5);
}

#[test]
fn an_upstream_knows_a_key_for_as_long_as_a_rule_says() {
    let upstream = Upstream::start(|request, exchange| {
        if request.header("x-fine").is_some() {
            exchange.answer(200, &[], b"done");
        } else {
            exchange.close();
        }
    });
    let rules = "[[rule]]\neffect = \"keyed\"\nupstream_key_lifetime = \"3h\"\nignore_headers = \"X-Fine\"\n";
    let builder = configured(&upstream, rules);
    let shim = Shim::build(builder.home());
    let mut engine = shim.preload(builder).start();
    let calls = ["first", "second"].map(|body| Request::post(&upstream.url("/pay"), body));
    for call in &calls {
        engine.send(call).assert_problem(502, "upstream-failed");
    }
    let fine = |call: &Request| call.clone().header("X-Fine", "1");
    shim.wall_ahead(BEFORE);
    engine = engine.kill_and_restart();
    engine.send(&fine(&calls[0])).assert_is(200, "executed");
    shim.wall_ahead(BEHIND);
    engine = engine.kill_and_restart();
    engine.send(&fine(&calls[1])).assert_problem(424, "in-doubt");
    assert_eq!(upstream.hits(), 3);
}
