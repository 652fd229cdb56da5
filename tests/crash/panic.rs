//! A panic of a store thread ends the process: nothing that it holds can be trusted.

use testkit::{Builder, Engine, Request, Upstream, engine_with_failpoints};

const PANIC: &str = "STATE_ENGINE_TEST_PANIC";

/// Checks that the engine ended because of the panic. Returns the builder to start it without one.
fn ended(engine: Engine) -> Builder {
    let log = engine.builder().home().join("engine.log");
    let (status, builder) = engine.wait();
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(status.code(), Some(70), "{status}: {log}");
    assert!(log.contains("panicked"), "{log}");
    builder.without_env(PANIC)
}

#[test]
fn a_panic_of_the_writer_ends_the_process_and_claims_nothing() {
    let upstream = Upstream::echo();
    let engine = engine_with_failpoints!().env(PANIC, "writer").start();
    let request = Request::post(&upstream.url("/"), "x");
    // The waiting caller may still get a 503 before the process is gone.
    let answer = request.try_via(engine.proxy);
    assert!(!answer.as_ref().is_ok_and(|answer| answer.status != 503), "{answer:?}");
    let engine = ended(engine).start();
    assert_eq!(upstream.hits(), 0);
    engine.send(&request).assert_is(200, "executed");
}

#[test]
fn a_panic_of_the_checkpointer_ends_the_process_and_loses_nothing() {
    let big = vec![b'x'; 7 << 20];
    let upstream = Upstream::start(move |_, exchange| exchange.answer(200, &[], &big));
    let engine = engine_with_failpoints!().env(PANIC, "checkpointer").start();
    let call = |n: usize| Request::post(&upstream.url("/"), n.to_string());
    // 16 MiB in the log start a checkpoint.
    let answered =
        (0..8).take_while(|n| call(*n).try_via(engine.proxy).is_ok_and(|answer| answer.whole));
    let answered = answered.count();
    assert!((1..8).contains(&answered), "{answered}");
    let engine = ended(engine).start();
    for n in 0..answered {
        engine.send(&call(n)).assert_is(200, "replayed");
    }
}
