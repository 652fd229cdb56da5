//! Certificates for intercepted hosts, created when they are first needed, and kept.

use std::sync::Arc;

use quick_cache::sync::Cache;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use store::model::Timestamp;
use store::{Clock as _, SystemClock};

use crate::error::SetupError;
use crate::front::tls_intercept::ca::{Ca, LEAF_VALIDITY};
use crate::tls::{self, HTTP1, HTTP2};

/// How many hosts' certificates are kept.
const KEPT: usize = 1_024;

/// The TLS configurations that clients are served with, by host.
#[derive(Debug)]
pub(super) struct Leaves {
    ca: Ca,
    configs: Cache<String, Leaf>,
    /// For all hosts. No state of a session is kept, so that a client may resume for as long as it
    /// likes.
    tickets: Arc<dyn ProducesTickets>,
}

#[derive(Debug, Clone)]
struct Leaf {
    config: Arc<ServerConfig>,
    created: Timestamp,
}

impl Leaves {
    pub(super) fn new(ca: Ca) -> Result<Self, SetupError> {
        let tickets = rustls::crypto::ring::Ticketer::new()
            .map_err(|error| SetupError(format!("TLS cannot be set up: {error}")))?;
        Ok(Self { ca, configs: Cache::new(KEPT), tickets })
    }

    pub(super) fn ca(&self) -> &Ca {
        &self.ca
    }

    /// The configuration for `host`. It is the same for each connection, so that sessions resume,
    /// until half of its certificate's validity is over.
    pub(super) fn config(&self, host: &str) -> Result<Arc<ServerConfig>, SetupError> {
        let now = SystemClock.now();
        if let Some(leaf) = self.configs.get(host)
            && is_fresh(leaf.created, now)
        {
            return Ok(leaf.config);
        }
        let config = self.create(host)?;
        let leaf = Leaf { config: Arc::clone(&config), created: now };
        self.configs.insert(host.to_owned(), leaf);
        Ok(config)
    }

    fn create(&self, host: &str) -> Result<Arc<ServerConfig>, SetupError> {
        let (leaf, key) = self
            .ca
            .issue(host)
            .map_err(|error| SetupError(format!("no certificate for {host}: {error}")))?;
        let mut config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![leaf], key))
            .map_err(|error| SetupError(format!("no TLS for {host}: {error}")))?;
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        config.ticketer = Arc::clone(&self.tickets);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

/// Whether a certificate is still used. It is not, also, if the clock was set back.
fn is_fresh(created: Timestamp, now: Timestamp) -> bool {
    let age = now.as_micros().saturating_sub(created.as_micros()).unsigned_abs();
    u128::from(age) < LEAF_VALIDITY.whole_microseconds().unsigned_abs() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_kept_for_its_host_until_half_of_its_time_is_over() {
        let hosts = ["a.example", "b.example"].map(|host| host.parse().unwrap());
        let leaves = Leaves::new(Ca::generate(&hosts).unwrap()).unwrap();
        let first = leaves.config("a.example").unwrap();
        let same =
            |config: &Arc<ServerConfig>| Arc::ptr_eq(config, &leaves.config("a.example").unwrap());
        assert!(same(&first));
        assert!(!same(&leaves.config("b.example").unwrap()));
        let aged = |days: i64| {
            let age = days * 86_400_000_000;
            let created = Timestamp::from_micros(SystemClock.now().as_micros() - age);
            let config = Arc::clone(&first);
            leaves.configs.insert("a.example".to_owned(), Leaf { config, created });
        };
        aged(3);
        assert!(same(&first));
        aged(4);
        let second = leaves.config("a.example").unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(same(&second));
        // The clock was set back.
        aged(-4);
        assert!(!same(&first));
    }
}
