//! Lease, retry and session tokens: HMACs under the store's secret. None of them is stored.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use store_core::key::{Digest, Encoder};
use store_core::model::Timestamp;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// How long a retry token is valid.
pub(crate) const RETRY_TOKEN_LIFE: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// The secret of a store: created once, kept in the database, never shown.
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Secret {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A keyed digest: without the secret nobody can compute it, or guess its input.
    pub(crate) fn digest(&self, label: &str, bytes: &[u8]) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("an HMAC takes a key of any length"));
        mac.update(Encoder::new(label).field(bytes).finish().as_bytes());
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }

    fn mac_of(&self, label: &str, id: Uuid, attempt: u32, expires: u64) -> String {
        let mut bytes = id.as_bytes().to_vec();
        bytes.extend(attempt.to_be_bytes());
        bytes.extend(expires.to_be_bytes());
        self.digest(label, &bytes).hex(16)
    }

    /// The token by which a caller finishes or extends a lease.
    pub(crate) fn lease_token(&self, id: Uuid, attempt: u32) -> String {
        format!("{}.{attempt}.{}", id.simple(), self.mac_of("lease/v1", id, attempt, 0))
    }

    /// The execution and attempt of a lease token that this store issued.
    pub(crate) fn read_lease_token(&self, token: &str) -> Option<(Uuid, u32)> {
        let (id, rest) = token.split_once('.')?;
        let (attempt, mac) = rest.split_once('.')?;
        let (id, attempt) = (Uuid::try_parse(id).ok()?, attempt.parse().ok()?);
        same(mac, &self.mac_of("lease/v1", id, attempt, 0)).then_some((id, attempt))
    }

    /// The token that allows one more attempt of an execution in doubt at `attempt`, until it expires.
    pub(crate) fn retry_token(&self, id: Uuid, attempt: u32, now: Timestamp) -> String {
        let expires = now.plus(RETRY_TOKEN_LIFE).as_micros() as u64;
        let mac = self.mac_of("retry/v1", id, attempt, expires);
        format!("{}.{attempt}.{expires:x}.{mac}", id.simple())
    }

    /// The execution and attempt of a retry token that this store issued and that has not expired.
    pub(crate) fn read_retry_token(&self, token: &str, now: Timestamp) -> Option<(Uuid, u32)> {
        let mut parts = token.splitn(4, '.');
        let id = Uuid::try_parse(parts.next()?).ok()?;
        let attempt = parts.next()?.parse().ok()?;
        let expires = u64::from_str_radix(parts.next()?, 16).ok()?;
        let genuine = same(parts.next()?, &self.mac_of("retry/v1", id, attempt, expires));
        (genuine && (now.as_micros() as u64) < expires).then_some((id, attempt))
    }

    /// The proxy token of a session name.
    pub(crate) fn session_token(&self, session: &str) -> String {
        self.digest("session/v1", session.as_bytes()).hex(32)
    }

    pub(crate) fn check_session_token(&self, session: &str, token: &str) -> bool {
        same(token, &self.session_token(session))
    }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_open_only_what_they_name() {
        let secret = Secret::from_bytes([7; 32]);
        let (id, now) = (Uuid::from_u128(5), Timestamp::from_micros(1_000));
        let lease = secret.lease_token(id, 2);
        assert_eq!(secret.read_lease_token(&lease), Some((id, 2)));
        assert_eq!(secret.read_lease_token(&lease.replacen(".2.", ".3.", 1)), None);
        assert_eq!(Secret::from_bytes([8; 32]).read_lease_token(&lease), None);
        for garbage in ["", ".", "..", "a.b.c", "a.b.c.d"] {
            assert_eq!(secret.read_lease_token(garbage), None);
            assert_eq!(secret.read_retry_token(garbage, now), None);
        }
        let retry = secret.retry_token(id, 2, now);
        assert_eq!(secret.read_retry_token(&retry, now), Some((id, 2)));
        assert_eq!(secret.read_retry_token(&retry, now.plus(RETRY_TOKEN_LIFE)), None);
        assert!(secret.check_session_token("s", &secret.session_token("s")));
        assert!(!secret.check_session_token("t", &secret.session_token("s")));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secret::from_bytes([1; 32])), "[redacted]");
    }
}
