//! Every metric: its name, its help, its labels. A key, URL or id is never a label.

mod collectors;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use proxy::Outcome;
use store::Store;
use store::decision::Decision;

pub(super) use self::collectors::ProxyCollector;
use self::collectors::StoreCollector;
use super::activity::Activity;
use super::error::Code;

/// The decisions about calls, in the order of the activity. Each has its own series.
const CALLS: [Decision; 8] = [
    Decision::Executed,
    Decision::Replayed,
    Decision::Coalesced,
    Decision::InProgress,
    Decision::InDoubt,
    Decision::NotExecuted,
    Decision::KeyReuse,
    Decision::Bypassed,
];

/// The counters; cheap to clone and to use.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    calls: [(Counter, Histogram); CALLS.len()],
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
    /// The value of the label.
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

/// Wider than [`Decision`]: a request that was passed or refused is not a call.
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

/// Buckets from 250 µs to 524 s, each twice the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 22))
}

impl Metrics {
    /// Registers all metrics; those of the store are read when they are requested.
    pub(crate) fn new(store: Option<Store>) -> (Self, Registry) {
        let mut registry = Registry::with_prefix("state_engine");
        let calls = Family::<DecisionLabel, Counter>::default();
        let durations = Family::<DecisionLabel, Histogram>::new_with_constructor(seconds);
        let metrics = Self {
            calls: CALLS.map(|decision| {
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
        registry.register("calls", "Proxied calls, by decision", calls);
        registry.register(
            "call_duration_seconds",
            "From the head of a proxied call to the end of its answer",
            durations,
        );
        registry.register(
            "proxy_requests",
            "Requests to the proxy: calls by decision, passed requests, tunnels, problems",
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
            "Running version",
            Info::new([("version", env!("CARGO_PKG_VERSION")), ("commit", commit)]),
        );
        if let Some(store) = store {
            registry.register_collector(Box::new(StoreCollector(store)));
        }
        (metrics, registry)
    }

    /// Counts a request that the proxy answered, and the time of the upstream if it was called.
    pub(crate) fn record_proxied(
        &self,
        outcome: Outcome,
        took: Duration,
        upstream: Option<Duration>,
    ) {
        self.proxied.get_or_create(&ProxiedLabels { decision: outcome.as_str() }).inc();
        let call = CALLS.iter().position(|decision| outcome == Outcome::Decided(*decision));
        if let Some(call) = call {
            let (count, duration) = &self.calls[call];
            count.inc();
            duration.observe(took.as_secs_f64());
            if CALLS[call] != Decision::Bypassed {
                self.record_tool_call(upstream.map(|upstream| took.saturating_sub(upstream)));
            }
        }
        if let Some(upstream) = upstream {
            self.upstream.observe(upstream.as_secs_f64());
        }
    }

    /// Proxied calls since the start, by decision.
    pub(crate) fn decisions(&self) -> impl Iterator<Item = (Decision, u64)> {
        CALLS.into_iter().zip(&self.calls).map(|(decision, (count, _))| (decision, count.get()))
    }

    /// Counts a tool call through the API or the proxy for the figures of the last hour; `overhead`
    /// is its time without the tool, if the tool was called.
    pub(crate) fn record_tool_call(&self, overhead: Option<Duration>) {
        let duplicates = self.store.as_ref().map_or(0, Store::duplicates);
        self.activity.call(duplicates, overhead);
    }

    /// The activity of the last hour.
    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(crate) fn record_api_request(&self, method: &'static str, result: MethodResult) {
        self.requests.get_or_create(&RequestLabels { method, result: result.as_str() }).inc();
    }

    pub(crate) fn record_api_refusal(&self, code: Code) {
        self.refused.get_or_create(&RefusalLabels { code: code.as_str() }).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn decisions_have_their_own_series() {
        let (metrics, registry) = Metrics::new(None);
        for (n, decision) in CALLS.into_iter().enumerate() {
            for _ in 0..=n {
                metrics.record_proxied(Outcome::Decided(decision), Duration::from_millis(1), None);
            }
        }
        metrics.record_proxied(
            Outcome::Decided(Decision::Tunnel),
            Duration::ZERO,
            Some(Duration::from_secs(1)),
        );
        metrics.record_api_request("get_user", MethodResult::Error);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for (n, decision) in CALLS.into_iter().enumerate() {
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
}
