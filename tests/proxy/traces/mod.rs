//! Labelled traces: what agents, their libraries and their retries send, with the label that each request
//! has by its sender's intent. The count at the tool then says how many repeats that were meant were lost,
//! and how many duplicates were let through. Both must be none.

mod tally;
mod tool;
mod written;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use testkit::{Builder, Client, Engine, Response, all_at_once, engine, wait_until};

use self::tally::Tally;
use self::tool::Tool;
use self::written::{REQUESTS, Step, Trace, Way, traces};

/// How many agents send at the same time, each its own traces.
const AGENTS: usize = 8;

fn builder() -> Builder {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    std::fs::write(&file, "[[rule]]\npath = \"/loop/**\"\nrepeat = \"delivered\"\n").unwrap();
    builder.arg("--config").arg(file)
}

fn word(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.word().to_owned()
}

/// Sends a trace. The word of `Idempotency-Status` of each step.
fn play(engine: &Engine, tool: &Tool, trace: &Trace) -> Vec<String> {
    let (mut kept, mut given_up) = (None, Vec::new());
    let mut words = Vec::new();
    for step in &trace.steps {
        words.push(match step.way {
            Way::Fresh => word(&engine.send(&step.request)),
            Way::Kept => {
                let client = kept.get_or_insert_with(|| Client::connect(engine.proxy).unwrap());
                client.write(step.request.to_proxy()).unwrap();
                word(&client.answer("POST").unwrap())
            }
            Way::Lost => {
                let client = begin(engine, step);
                let stream = &client.wire.stream;
                let arrived = || (stream.peek(&mut [0]).ok()? > 0).then_some(());
                wait_until("the answer is there", arrived);
                "unread".to_owned()
            }
            Way::GivenUp { closes } => {
                let word = give_up(engine, tool, trace, step, (!closes).then_some(&mut given_up));
                if ["coalesced", "replayed"].contains(&&*word) {
                    "executed".to_owned()
                } else {
                    word
                }
            }
            Way::AtOnce(n) => {
                let words = all_at_once(n, |_| word(&engine.send(&step.request)));
                let executed = words.iter().filter(|word| *word == "executed").count();
                if executed == 1 { "executed".to_owned() } else { format!("{words:?}") }
            }
        });
    }
    words
}

/// Sends a request, gives up while the tool works on it, and sends it again. The word of the answer to the
/// second one. The first connection is closed, or moved to `open`.
fn give_up(
    engine: &Engine,
    tool: &Tool,
    trace: &Trace,
    step: &Step,
    open: Option<&mut Vec<Client>>,
) -> String {
    let before = tool.effects(&trace.path);
    tool.held.lock().unwrap().insert(trace.path.clone());
    let first = begin(engine, step);
    let stream = &first.wire.stream;
    stream.set_nonblocking(true).unwrap();
    // If it is answered at once, it was mistaken for a repeat.
    let answered = || stream.peek(&mut [0]).is_ok_and(|read| read > 0);
    let works = || tool.effects(&trace.path) > before;
    let mistaken = wait_until("the tool works", || {
        if works() { Some(false) } else { answered().then_some(true) }
    });
    match open {
        Some(open) => open.push(first),
        None => drop(first),
    }
    let mut second = begin(engine, step);
    tool.held.lock().unwrap().remove(&trace.path);
    let word = word(&second.answer("POST").unwrap());
    if mistaken { "lost".to_owned() } else { word }
}

/// Sends a request and reads nothing.
fn begin(engine: &Engine, step: &Step) -> Client {
    let mut client = Client::connect(engine.proxy).unwrap();
    client.write(step.request.to_proxy()).unwrap();
    client
}

#[test]
fn no_wanted_repeat_is_lost_and_no_duplicate_gets_through() {
    let tool = Tool::start();
    let engine = builder().start();
    let traces = traces(&tool.upstream);
    let next = AtomicUsize::new(0);
    let played = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AGENTS {
            scope.spawn(|| {
                while let Some(trace) = traces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let words = play(&engine, &tool, trace);
                    played.lock().unwrap().push((trace, words));
                }
            });
        }
    });
    let mut tally = Tally::default();
    for (trace, words) in played.into_inner().unwrap() {
        tally.count(trace, &words, tool.effects(&trace.path));
    }
    assert!(tally.sum(0) > REQUESTS / 3, "too little was wanted: {tally:#?}");
    assert_eq!((tally.sum(1), tally.sum(2)), (0, 0), "lost, let through: {tally:#?}");
}
