//! Every metric: its name, its help, its labels. No key, URL or id is ever a label.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use store::Store;

use super::activity::Activity;
use super::error::Code;

/// What became of a proxied call: the words of the header `Idempotency-Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Decision {
    Executed,
    Replayed,
    Coalesced,
    InProgress,
    InDoubt,
    NotExecuted,
    KeyReuse,
    Bypassed,
}

impl Decision {
    const ALL: [Self; 8] = [
        Self::Executed,
        Self::Replayed,
        Self::Coalesced,
        Self::InProgress,
        Self::InDoubt,
        Self::NotExecuted,
        Self::KeyReuse,
        Self::Bypassed,
    ];

    /// The label's value.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Replayed => "replayed",
            Self::Coalesced => "coalesced",
            Self::InProgress => "in-progress",
            Self::InDoubt => "in-doubt",
            Self::NotExecuted => "not-executed",
            Self::KeyReuse => "key-reuse",
            Self::Bypassed => "bypassed",
        }
    }

    /// The decision that a word of `Idempotency-Status` names.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.as_str() == word)
    }
}

/// Counts what happens; cheap to clone and to count into.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    calls: [(Counter, Histogram); Decision::ALL.len()],
    proxied: Family<ProxiedLabels, Counter>,
    upstream: Histogram,
    requests: Family<RequestLabels, Counter>,
    refused: Family<RefusalLabels, Counter>,
    activity: Arc<Activity>,
    store: Option<Store>,
}

/// How a call of a method ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodResult {
    Ok,
    Error,
}

impl MethodResult {
    /// The label's value.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    code: &'static str,
}

/// Wider than [`Decision`]: what was passed or refused is no call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProxiedLabels {
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DecisionLabel(Decision);

impl EncodeLabelSet for DecisionLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("decision", self.0.as_str())].encode(encoder)
    }
}

/// 250 µs to 524 s, each twice the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 22))
}

impl Metrics {
    /// Registers all metrics; what the store knows is read from it when they are asked for.
    pub(crate) fn new(store: Option<Store>) -> (Self, Registry) {
        let mut registry = Registry::with_prefix("state_engine");
        let calls = Family::<DecisionLabel, Counter>::default();
        let durations = Family::<DecisionLabel, Histogram>::new_with_constructor(seconds);
        let metrics = Self {
            calls: Decision::ALL.map(|decision| {
                let label = DecisionLabel(decision);
                (calls.get_or_create(&label).clone(), durations.get_or_create(&label).clone())
            }),
            proxied: Family::default(),
            upstream: seconds(),
            requests: Family::default(),
            refused: Family::default(),
            activity: Arc::default(),
            store: store.clone(),
        };
        registry.register("calls", "Proxied calls, by what became of them", calls);
        registry.register(
            "call_duration_seconds",
            "From the head of a proxied call to the end of its answer",
            durations,
        );
        registry.register(
            "proxy_requests",
            "Requests to the proxy: calls by what became of them, passed ones, tunnels, problems",
            metrics.proxied.clone(),
        );
        registry.register(
            "upstream_duration_seconds",
            "From the first byte sent to an upstream to the end of its answer",
            metrics.upstream.clone(),
        );
        registry.register("api_requests", "Calls of API methods", metrics.requests.clone());
        registry.register(
            "api_refused",
            "Requests refused before they were read as JSON-RPC",
            metrics.refused.clone(),
        );
        let commit = option_env!("STATE_ENGINE_COMMIT").unwrap_or("unknown");
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION")), ("commit", commit)]),
        );
        if let Some(store) = store {
            registry.register_collector(Box::new(StoreCollector(store)));
        }
        (metrics, registry)
    }

    /// Counts a request that the proxy answered, and the upstream's part of it where it was asked.
    /// `decision` is a word of `Idempotency-Status`, or what else the proxy calls its answers.
    pub(crate) fn proxied(
        &self,
        decision: &'static str,
        took: Duration,
        upstream: Option<Duration>,
    ) {
        self.proxied.get_or_create(&ProxiedLabels { decision }).inc();
        if let Some(decision) = Decision::from_word(decision) {
            let (count, duration) = &self.calls[decision as usize];
            count.inc();
            duration.observe(took.as_secs_f64());
            if decision != Decision::Bypassed {
                self.tool_call(upstream.map(|upstream| took.saturating_sub(upstream)));
            }
        }
        if let Some(upstream) = upstream {
            self.upstream.observe(upstream.as_secs_f64());
        }
    }

    /// Proxied calls since the start, by what became of them.
    pub(crate) fn decisions(&self) -> impl Iterator<Item = (Decision, u64)> {
        let count = |decision| self.calls[decision as usize].0.get();
        Decision::ALL.into_iter().map(move |decision| (decision, count(decision)))
    }

    /// Counts a tool call of either door for the last hour's figures; `overhead` is its time without
    /// the tool's part, where the tool was asked.
    pub(crate) fn tool_call(&self, overhead: Option<Duration>) {
        let duplicates = self.store.as_ref().map_or(0, Store::duplicates);
        self.activity.call(duplicates, overhead);
    }

    /// What happened in the last hour.
    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(crate) fn api_request(&self, method: &'static str, result: MethodResult) {
        self.requests.get_or_create(&RequestLabels { method, result: result.as_str() }).inc();
    }

    pub(crate) fn api_refused(&self, code: Code) {
        self.refused.get_or_create(&RefusalLabels { code: code.as_str() }).inc();
    }
}

#[derive(Debug)]
struct StoreCollector(Store);

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let health = self.0.health();
        let gauges = [
            ("claims_in_flight", "Proxied calls under a lease", health.in_flight),
            ("calls_unresolved", "Executions in doubt", health.in_doubt),
            ("store_queue_depth", "Jobs that wait for the writer", health.queue_depth),
            ("store_size_bytes", "Size of the database file", health.database_bytes),
            ("wal_size_bytes", "Size of the write-ahead log", health.wal_bytes),
            ("store_full", "1 while new claims are refused", u64::from(health.full)),
            ("clock_jumped", "1 while keys do not expire", u64::from(health.clock_jumped)),
            ("ready", "1 while the engine takes calls", u64::from(health.ready)),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, value)?;
        }
        let events = ConstCounter::new(health.events);
        let help = "Events appended to the audit log";
        events.encode(encoder.encode_descriptor("events", help, None, MetricType::Counter)?)?;
        let name = "store_commit_seconds";
        let help = "Commits of the writer, with their fsync";
        let commits = &health.commit_seconds;
        encoder.encode_descriptor(name, help, None, MetricType::Histogram)?.encode_histogram(
            commits.sum,
            commits.count,
            &per_bucket(&commits.buckets, commits.count),
            None::<
                &std::collections::HashMap<
                    usize,
                    prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>,
                >,
            >,
        )
    }
}

/// What the proxy knows, once there is one. Not of [`Metrics`], which the proxy itself holds.
#[derive(Debug)]
pub(crate) struct ProxyCollector(pub(crate) Arc<OnceLock<proxy::Proxy>>);

impl Collector for ProxyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let waiting = self.0.get().map_or(0, proxy::Proxy::waiting);
        let help = "Duplicates that wait for the answer to a running call";
        gauge(&mut encoder, "duplicates_waiting", help, waiting as u64)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// The store counts cumulatively; the encoder wants each bucket's own share, and the last one.
fn per_bucket(cumulative: &[(f64, u64)], count: u64) -> Vec<(f64, u64)> {
    let mut before = 0;
    let mut buckets: Vec<_> = cumulative
        .iter()
        .filter(|(bound, _)| bound.is_finite())
        .map(|&(bound, up_to)| {
            let own = up_to.saturating_sub(before);
            before = up_to;
            (bound, own)
        })
        .collect();
    buckets.push((f64::INFINITY, count.saturating_sub(before)));
    buckets
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn decisions_have_their_own_series() {
        let (metrics, registry) = Metrics::new(None);
        for (n, decision) in Decision::ALL.into_iter().enumerate() {
            assert_eq!(Decision::from_word(decision.as_str()), Some(decision));
            for _ in 0..=n {
                metrics.proxied(decision.as_str(), Duration::from_millis(1), None);
            }
        }
        metrics.proxied("tunnel", Duration::ZERO, Some(Duration::from_secs(1)));
        metrics.api_request("get_user", MethodResult::Error);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for (n, decision) in Decision::ALL.into_iter().enumerate() {
            let line = format!(
                "state_engine_calls_total{{decision=\"{}\"}} {}\n",
                decision.as_str(),
                n + 1
            );
            assert!(text.contains(&line), "{line}{text}");
        }
        let lines = [
            "state_engine_upstream_duration_seconds_count 1\n",
            "state_engine_proxy_requests_total{decision=\"tunnel\"} 1\n",
            "state_engine_proxy_requests_total{decision=\"replayed\"} 2\n",
            "state_engine_call_duration_seconds_count{decision=\"replayed\"} 2\n",
            "state_engine_api_requests_total{method=\"get_user\",result=\"error\"} 1\n",
            "state_engine_build_info{version=",
        ];
        for line in lines {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn cumulative_counts_are_taken_apart() {
        let expected = vec![(0.1, 2), (0.2, 3), (0.4, 0), (f64::INFINITY, 4)];
        assert_eq!(per_bucket(&[(0.1, 2), (0.2, 5), (0.4, 5)], 9), expected);
    }
}
