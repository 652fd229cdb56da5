//! The traces: each request with the label that its sender's intent gives it.

use testkit::{Request, Upstream};

/// How many requests are sent in all.
pub(super) const REQUESTS: usize = 5_000;
/// The same traces each time.
const SEED: u64 = 0x5eed_0f1a_be1e_d001;

/// What its sender means by a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// Something that has not been asked for before, also if it looks like it.
    Wanted,
    /// The same thing again, because no answer came.
    Duplicate,
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// On a connection that is closed once the answer was read.
    Fresh,
    /// On the trace's kept connection.
    Kept,
    /// On a connection that is reset before its answer is read.
    Lost,
    /// The sender times out while the tool works, and sends it again on another connection. It keeps
    /// the first one open, or closes it. The label is that of the first.
    GivenUp { closes: bool },
    /// So many times at once. The label is that of the first.
    AtOnce(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    OwnKey,
    DerivedKey,
    AgentRepeat,
    KeptLoop,
    FreshLoop,
    LossyLoop,
    SlowLoop,
    Twins,
    NearTwins,
    Tenants,
    OtherKeys,
    OtherSessions,
}

const KINDS: [Kind; 12] = [
    Kind::OwnKey,
    Kind::DerivedKey,
    Kind::AgentRepeat,
    Kind::KeptLoop,
    Kind::FreshLoop,
    Kind::LossyLoop,
    Kind::SlowLoop,
    Kind::Twins,
    Kind::NearTwins,
    Kind::Tenants,
    Kind::OtherKeys,
    Kind::OtherSessions,
];

pub(super) struct Step {
    pub(super) request: Request,
    pub(super) label: Label,
    pub(super) way: Way,
}

/// What one agent sends to one path of the tool, one request after the other.
pub(super) struct Trace {
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) steps: Vec<Step>,
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
            Kind::SlowLoop => {
                let request = self.request(&self.body);
                for _ in 0..n {
                    if self.random.below(2) == 0 {
                        let closes = self.random.below(2) == 0;
                        self.send(request.clone(), Label::Wanted, Way::GivenUp { closes });
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
pub(super) fn traces(upstream: &Upstream) -> Vec<Trace> {
    let mut random = Random(SEED);
    let (mut traces, mut requests) = (Vec::new(), 0);
    while requests < REQUESTS {
        let kind = KINDS[traces.len() % KINDS.len()];
        let folder = match kind {
            Kind::KeptLoop | Kind::FreshLoop | Kind::LossyLoop | Kind::SlowLoop => "loop",
            _ => "act",
        };
        let path = format!("/{folder}/{}", traces.len());
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
            Self::GivenUp { .. } => 2,
            Self::Fresh | Self::Kept | Self::Lost => 1,
        }
    }
}
