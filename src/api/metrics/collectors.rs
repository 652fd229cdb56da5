//! Metrics that are read from the store and the proxy when they are requested.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use store::Store;

#[derive(Debug)]
pub(super) struct StoreCollector(pub(super) Store);

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let health = self.0.health();
        let gauges = [
            ("claims_in_flight", "Proxied calls under a lease", health.in_flight),
            ("calls_unresolved", "Executions in doubt", health.in_doubt),
            ("store_queue_depth", "Jobs waiting for the writer", health.queue_depth),
            ("store_size_bytes", "Size of the database file", health.database_bytes),
            ("wal_size_bytes", "Size of the write-ahead log", health.wal_bytes),
            ("store_full", "1 while new claims are refused", u64::from(health.full)),
            (
                "clock_jumped",
                "1 after the wall clock jumped forward by a minute or more",
                u64::from(health.clock_jumped),
            ),
            ("ready", "1 while the engine accepts calls", u64::from(health.ready)),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, value)?;
        }
        let events = ConstCounter::new(health.events);
        let help = "Events appended to the audit log";
        events.encode(encoder.encode_descriptor("events", help, None, MetricType::Counter)?)?;
        let name = "store_commit_seconds";
        let help = "Commits of the writer, including fsync";
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

/// Metrics of the proxy, once there is one. Not in [`super::Metrics`], which the proxy itself holds.
#[derive(Debug)]
pub(crate) struct ProxyCollector(pub(crate) Arc<OnceLock<proxy::Proxy>>);

impl Collector for ProxyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let waiting = self.0.get().map_or(0, proxy::Proxy::waiting);
        let help = "Duplicates waiting for the answer of a running call";
        gauge(&mut encoder, "duplicates_waiting", help, waiting as u64)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// The store counts cumulatively; the encoder needs the share of each bucket, and the last one.
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
    use super::*;

    #[test]
    fn each_bucket_gets_its_own_share() {
        let expected = vec![(0.1, 2), (0.2, 3), (0.4, 0), (f64::INFINITY, 4)];
        assert_eq!(per_bucket(&[(0.1, 2), (0.2, 5), (0.4, 5)], 9), expected);
    }
}
