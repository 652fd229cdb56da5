//! Labelled traces: what agents, their libraries and their retries send, with the label that each request
//! has by its sender's intent. The count at the tool then says how many repeats that were meant were lost,
//! and how many duplicates were let through. Both must be none.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use testkit::{
    Builder, Client, Engine, Request, Response, Upstream, all_at_once, engine, wait_until,
};

/// How many requests are sent in all.
const REQUESTS: usize = 5_000;
/// How many agents send at the same time, each its own traces.
const AGENTS: usize = 8;
/// The same traces each time.
const SEED: u64 = 0x5eed_0f1a_be1e_d001;

/// What its sender means by a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    /// Something that has not been asked for before, also if it looks like it.
    Wanted,
    /// The same thing again, because no answer came.
    Duplicate,
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// On a connection that is closed once the answer was read.
    Fresh,
    /// On the trace's kept connection.
    Kept,
    /// On a connection that is reset before its answer is read.
    Lost,
    /// So many times at once. The label is that of the first.
    AtOnce(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    OwnKey,
    DerivedKey,
    AgentRepeat,
    KeptLoop,
    FreshLoop,
    LossyLoop,
    Twins,
    NearTwins,
    Tenants,
    OtherKeys,
    OtherSessions,
}

const KINDS: [Kind; 11] = [
    Kind::OwnKey,
    Kind::DerivedKey,
    Kind::AgentRepeat,
    Kind::KeptLoop,
    Kind::FreshLoop,
    Kind::LossyLoop,
    Kind::Twins,
    Kind::NearTwins,
    Kind::Tenants,
    Kind::OtherKeys,
    Kind::OtherSessions,
];

struct Step {
    request: Request,
    label: Label,
    way: Way,
}

/// What one agent sends to one path of the tool, one request after the other.
struct Trace {
    kind: Kind,
    path: String,
    steps: Vec<Step>,
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }
}

/// Builds one trace.
struct Writer<'a> {
    random: &'a mut Random,
    url: String,
    body: String,
    session: String,
    steps: Vec<Step>,
}

impl Writer<'_> {
    fn request(&self, body: &str) -> Request {
        Request::post_json(&self.url, body).header("Agent-Session", &self.session)
    }

    /// A request with one more header.
    fn with(&self, name: &str, value: &str) -> Request {
        self.request(&self.body).header(name, value)
    }

    fn send(&mut self, request: Request, label: Label, way: Way) {
        self.steps.push(Step { request, label, way });
    }

    /// A request that is wanted, and up to three retries of it. A library gives each try its own trace.
    fn retried(&mut self, request: &Request, lossy: bool) {
        let lost = lossy && self.random.below(4) == 0;
        let retries = self.random.below(4) + usize::from(lost);
        let way = if lost { Way::Lost } else { Way::Fresh };
        self.send(request.clone(), Label::Wanted, way);
        for _ in 0..retries {
            let parent = format!("00-{:032x}-{:016x}-01", self.random.below(1 << 40), 7);
            let way = if self.random.below(3) == 0 { Way::Kept } else { Way::Fresh };
            self.send(request.clone().header("traceparent", &parent), Label::Duplicate, way);
        }
    }

    fn write(&mut self, kind: Kind) {
        let n = self.random.between(2, 5);
        match kind {
            Kind::OwnKey => self.retried(&self.with("Idempotency-Key", "order-7"), true),
            Kind::DerivedKey => self.retried(&self.request(&self.body), true),
            Kind::AgentRepeat => {
                for round in 0..n {
                    self.retried(&self.with("Agent-Repeat", &round.to_string()), true);
                }
            }
            Kind::KeptLoop | Kind::FreshLoop => {
                let way = if kind == Kind::KeptLoop { Way::Kept } else { Way::Fresh };
                for _ in 0..n {
                    let on_or_off = if self.random.below(2) == 0 { "on" } else { "off" };
                    let request = self.request(&format!("\"{on_or_off}\""));
                    self.send(request, Label::Wanted, way);
                }
            }
            Kind::LossyLoop => {
                let request = self.request(&self.body);
                for _ in 0..n {
                    if self.random.below(2) == 0 {
                        self.send(request.clone(), Label::Wanted, Way::Lost);
                        self.send(request.clone(), Label::Duplicate, Way::Fresh);
                    } else {
                        self.send(request.clone(), Label::Wanted, Way::Fresh);
                    }
                }
            }
            Kind::Twins => {
                let request = self.request(&self.body);
                self.send(request.clone(), Label::Wanted, Way::AtOnce(n));
                self.send(request, Label::Duplicate, Way::Fresh);
            }
            Kind::NearTwins => {
                for body in ["[1]", "[1.0]", "[1,null]", "{\"1\":1}", "\"1\""] {
                    self.retried(&self.request(body), false);
                }
            }
            Kind::Tenants => {
                for tenant in 0..n {
                    self.retried(&self.with("X-Workspace-Of", &format!("tenant-{tenant}")), true);
                }
            }
            Kind::OtherKeys => {
                for key in 0..n {
                    self.retried(&self.with("Idempotency-Key", &format!("key-{key}")), true);
                }
            }
            Kind::OtherSessions => {
                for other in 0..n {
                    self.session = format!("{}-{other}", self.session);
                    self.retried(&self.request(&self.body), true);
                }
            }
        }
    }
}

/// All traces: the same each time.
fn traces(upstream: &Upstream) -> Vec<Trace> {
    let mut random = Random(SEED);
    let (mut traces, mut requests) = (Vec::new(), 0);
    while requests < REQUESTS {
        let kind = KINDS[traces.len() % KINDS.len()];
        let is_loop = matches!(kind, Kind::KeptLoop | Kind::FreshLoop | Kind::LossyLoop);
        let path = format!("/{}/{}", if is_loop { "loop" } else { "act" }, traces.len());
        let body = format!("{{\"to\":\"ada\",\"n\":{}}}", random.below(1_000));
        let session = format!("nightly-{}", random.below(20));
        let mut writer = Writer {
            random: &mut random,
            url: upstream.url(&path),
            body,
            session,
            steps: Vec::new(),
        };
        writer.write(kind);
        let steps = writer.steps;
        requests += steps.iter().map(|step| step.way.requests()).sum::<usize>();
        traces.push(Trace { kind, path, steps });
    }
    traces
}

impl Way {
    fn requests(self) -> usize {
        match self {
            Self::AtOnce(n) => n,
            Self::Fresh | Self::Kept | Self::Lost => 1,
        }
    }
}

/// Requests that were treated against their label.
#[derive(Debug, Default)]
struct Tally {
    /// Of a kind: how many were wanted, how many of these were lost, how many duplicates got through.
    kinds: BTreeMap<Kind, [usize; 3]>,
    /// A few of the traces that went wrong.
    examples: Vec<String>,
}

impl Tally {
    fn count(&mut self, trace: &Trace, words: &[String], hits: usize) {
        let wanted = trace.steps.iter().filter(|step| step.label == Label::Wanted).count();
        let (mut lost, mut through) = (0, 0);
        for (step, word) in trace.steps.iter().zip(words) {
            match (step.label, word.as_str()) {
                (Label::Wanted, "executed" | "lost") => {}
                (Label::Wanted, _) => lost += 1,
                (Label::Duplicate, "replayed" | "coalesced") => {}
                (Label::Duplicate, _) => through += 1,
            }
        }
        // What the answers say must be what the tool saw.
        lost = lost.max(wanted.saturating_sub(hits));
        through = through.max(hits.saturating_sub(wanted));
        let kind = self.kinds.entry(trace.kind).or_default();
        for (sum, n) in kind.iter_mut().zip([wanted, lost, through]) {
            *sum += n;
        }
        if lost + through > 0 && self.examples.len() < 5 {
            let steps = trace.steps.iter().zip(words);
            let steps: Vec<_> = steps
                .map(|(step, word)| format!("{:?} {:?}: {word}", step.label, step.way))
                .collect();
            self.examples
                .push(format!("{:?} {}, {hits} effects: {steps:?}", trace.kind, trace.path));
        }
    }

    fn sum(&self, column: usize) -> usize {
        self.kinds.values().map(|counts| counts[column]).sum()
    }
}

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
fn play(engine: &Engine, trace: &Trace) -> Vec<String> {
    let mut kept = None;
    let mut send = |step: &Step| match step.way {
        Way::Fresh => word(&engine.send(&step.request)),
        Way::Kept => {
            let client = kept.get_or_insert_with(|| Client::connect(engine.proxy).unwrap());
            client.write(step.request.to_proxy()).unwrap();
            word(&client.answer("POST").unwrap())
        }
        Way::Lost => {
            let mut client = Client::connect(engine.proxy).unwrap();
            client.write(step.request.to_proxy()).unwrap();
            let stream = &client.wire.stream;
            wait_until("the answer is there", || (stream.peek(&mut [0]).ok()? > 0).then_some(()));
            "lost".to_owned()
        }
        Way::AtOnce(n) => {
            let words = all_at_once(n, |_| word(&engine.send(&step.request)));
            let executed = words.iter().filter(|word| *word == "executed").count();
            if executed == 1 { "executed".to_owned() } else { format!("{words:?}") }
        }
    };
    trace.steps.iter().map(&mut send).collect()
}

#[test]
fn no_wanted_repeat_is_lost_and_no_duplicate_gets_through() {
    let upstream = Upstream::echo();
    let engine = builder().start();
    let traces = traces(&upstream);
    let next = AtomicUsize::new(0);
    let played = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AGENTS {
            scope.spawn(|| {
                while let Some(trace) = traces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let words = play(&engine, trace);
                    played.lock().unwrap().push((trace, words));
                }
            });
        }
    });
    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    for received in upstream.received() {
        *effects.entry(received.target().to_owned()).or_default() += 1;
    }
    let mut tally = Tally::default();
    for (trace, words) in played.into_inner().unwrap() {
        tally.count(trace, &words, effects.get(&trace.path).copied().unwrap_or_default());
    }
    assert!(tally.sum(0) > REQUESTS / 3, "too little was wanted: {tally:#?}");
    assert_eq!((tally.sum(1), tally.sum(2)), (0, 0), "lost, let through: {tally:#?}");
}
