//! Upstreams that honour idempotency keys: where the key stands, and how long they remember it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use store_core::canonical::Pointer;

use super::glob::path_matches;
use crate::http::head::RequestHead;
use crate::http::own_fields::OURS_IN_REQUESTS;

/// How long an upstream remembers a key, unless the table or a rule says otherwise.
pub(crate) const LIFETIME: Duration = Duration::from_hours(12);

/// Where a key is in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a header field.
    Header(HeaderName),
    /// In a JSON body or, by the name of a field, in a form.
    Member(Pointer),
}

impl FromStr for KeyPlace {
    type Err = String;

    /// A text that begins with a slash is a JSON pointer, any other a header.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return text.parse().map(Self::Member);
        }
        text.parse().map(Self::Header).map_err(|_| {
            format!("{text:?} is not a header name; write one, or a pointer such as /id")
        })
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "{name}"),
            Self::Member(pointer) => write!(f, "{pointer}"),
        }
    }
}

/// The key that the upstream of a call of the class `keyed` gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamKey {
    /// Where it stands.
    pub place: KeyPlace,
    /// How long the upstream remembers it, from the first send.
    pub lifetime: Duration,
}

/// One service, or a part of one, whose POSTs honour a key.
#[derive(Debug)]
pub(super) struct KeyedUpstream {
    /// Its name in the audit.
    pub(super) name: &'static str,
    /// In lower case. `*.` in front stands for one or more labels.
    pub(super) hosts: &'static [&'static str],
    /// Patterns as in a rule.
    pub(super) paths: &'static [&'static str],
    place: Location,
    lifetime: Duration,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    pub(super) source: &'static str,
}

#[derive(Debug)]
enum Location {
    /// In lower case.
    Header(&'static str),
    /// A member of the JSON body.
    Member(&'static str),
}

impl KeyedUpstream {
    pub(super) fn matches(&self, head: RequestHead<'_>) -> bool {
        head.method == Method::POST
            && self.hosts.iter().any(|host| is_host(host, &head.target.authority.host))
            && self.paths.iter().any(|path| path_matches(path, head.target.path()))
    }

    pub(super) fn key(&self) -> Option<UpstreamKey> {
        let place = match self.place {
            Location::Header(name) => KeyPlace::Header(HeaderName::from_static(name)),
            Location::Member(pointer) => KeyPlace::Member(pointer.parse().ok()?),
        };
        Some(UpstreamKey { place, lifetime: self.lifetime })
    }
}

fn is_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(end) => host.len() > end.len() && host.ends_with(end),
        None => host == pattern,
    }
}

/// Fields that hold a client's own key by their documents, beside those of [`KEYED_UPSTREAMS`] and
/// those that say so by name.
const KEY_FIELDS: &[&str] = &[
    // https://docs.oasis-open.org/odata/repeatable-requests/v1.0/repeatable-requests-v1.0.html
    "repeatability-request-id",
    // https://docs.oracle.com/en-us/iaas/Content/API/Concepts/usingapi.htm
    "opc-retry-token",
];

/// The last words of fields that hold a key, such as `X-Idempotency-Key`. `Idempotency-Expires` is
/// none.
const KEY_WORDS: &[&str] = &[
    "idempotency",
    "idempotence",
    "idempotent",
    "key",
    "keys",
    "id",
    "token",
    "uuid",
    "guid",
    "nonce",
    "value",
    "reference",
];

/// Whether a field holds a client's own key, whatever the host. `name` is in lower case. The field
/// `Idempotency-Key` is not among them.
pub(crate) fn is_key_field(name: &str) -> bool {
    let is_of_upstream =
        |row: &KeyedUpstream| matches!(row.place, Location::Header(header) if header == name);
    let is_named = || {
        let mut words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
        let says_so = words.clone().any(|word| word.starts_with("idempoten"));
        let last = words.next_back().unwrap_or_default();
        says_so && (KEY_WORDS.contains(&last) || last.starts_with("idempotencyk"))
    };
    name != "idempotency-key"
        && !OURS_IN_REQUESTS.contains(&name)
        && (KEY_FIELDS.contains(&name) || is_named() || KEYED_UPSTREAMS.iter().any(is_of_upstream))
}

/// Whether the value of such a field is the key of a call. A switch is none.
pub(crate) fn is_key_value(value: &[u8]) -> bool {
    const SWITCHES: &[&[u8]] = &[b"true", b"false", b"yes", b"no", b"on", b"off", b"1", b"0"];
    !SWITCHES.iter().any(|switch| value.trim_ascii().eq_ignore_ascii_case(switch))
}

const IDEMPOTENCY_KEY: Location = Location::Header("idempotency-key");
const PAYPAL: &[&str] =
    &["api-m.paypal.com", "api.paypal.com", "api-m.sandbox.paypal.com", "api.sandbox.paypal.com"];
const PAYPAL_KEY: Location = Location::Header("paypal-request-id");

/// Only what the services' own documentation says, and only parts of a service for which all of it
/// holds.
pub(super) const KEYED_UPSTREAMS: &[KeyedUpstream] = &[
    KeyedUpstream {
        name: "stripe",
        hosts: &["api.stripe.com"],
        paths: &["/v1/**"],
        place: IDEMPOTENCY_KEY,
        lifetime: Duration::from_hours(24),
        source: "https://docs.stripe.com/api/idempotent_requests",
    },
    KeyedUpstream {
        name: "adyen",
        hosts: &["checkout-test.adyen.com", "pal-test.adyen.com", "*.adyenpayments.com"],
        paths: &["/**"],
        place: IDEMPOTENCY_KEY,
        lifetime: Duration::from_hours(7 * 24),
        source: "https://docs.adyen.com/development-resources/api-idempotency",
    },
    KeyedUpstream {
        name: "paypal-payments",
        hosts: PAYPAL,
        paths: &["/v2/payments/**"],
        place: PAYPAL_KEY,
        lifetime: Duration::from_hours(45 * 24),
        source: "https://developer.paypal.com/docs/api/payments/v2/",
    },
    KeyedUpstream {
        name: "paypal-orders",
        hosts: PAYPAL,
        paths: &["/v2/checkout/orders", "/v2/checkout/orders/**"],
        place: PAYPAL_KEY,
        lifetime: Duration::from_hours(6),
        source: "https://developer.paypal.com/docs/api/orders/v2/",
    },
    KeyedUpstream {
        name: "paypal-vault",
        hosts: PAYPAL,
        paths: &["/v3/vault/payment-tokens", "/v3/vault/setup-tokens"],
        place: PAYPAL_KEY,
        lifetime: Duration::from_hours(3),
        source: "https://developer.paypal.com/docs/api/payment-tokens/v3/",
    },
    KeyedUpstream {
        name: "paypal-plans",
        hosts: PAYPAL,
        paths: &["/v1/catalogs/products", "/v1/billing/plans"],
        place: PAYPAL_KEY,
        lifetime: Duration::from_hours(72),
        source: "https://developer.paypal.com/docs/api/subscriptions/v1/",
    },
    KeyedUpstream {
        name: "square",
        hosts: &["connect.squareup.com", "connect.squareupsandbox.com"],
        paths: &["/v2/payments", "/v2/refunds", "/v2/orders", "/v2/customers", "/v2/cards"],
        place: Location::Member("/idempotency_key"),
        // It publishes no lifetime. This is far below what its users rely on.
        lifetime: Duration::from_hours(1),
        source: "https://developer.squareup.com/docs/build-basics/common-api-patterns/idempotency",
    },
    KeyedUpstream {
        name: "checkout.com",
        hosts: &[
            "api.checkout.com",
            "*.api.checkout.com",
            "*.api.sandbox.checkout.com",
            "api.sandbox.checkout.com",
        ],
        paths: &[
            "/payments",
            "/payments/*/authorizations",
            "/payments/*/cancellations",
            "/payments/*/captures",
            "/payments/*/refunds",
            "/payments/*/voids",
            "/payment-contexts",
        ],
        place: Location::Header("cko-idempotency-key"),
        lifetime: Duration::from_hours(24),
        source: "https://www.checkout.com/docs/payments/manage-payments/idempotency",
    },
    KeyedUpstream {
        name: "resend",
        hosts: &["api.resend.com"],
        paths: &["/emails", "/emails/batch"],
        place: IDEMPOTENCY_KEY,
        lifetime: Duration::from_hours(24),
        source: "https://resend.com/docs/dashboard/emails/idempotency-keys",
    },
    KeyedUpstream {
        name: "emailit",
        hosts: &["api.emailit.com"],
        paths: &["/v2/emails", "/v2/emails/*/forward"],
        place: IDEMPOTENCY_KEY,
        lifetime: Duration::from_hours(24),
        source: "https://emailit.com/docs/api-reference/idempotency/",
    },
    KeyedUpstream {
        name: "truelayer",
        hosts: &["api.truelayer.com", "api.truelayer-sandbox.com"],
        paths: &["/v3/payments"],
        place: IDEMPOTENCY_KEY,
        lifetime: Duration::from_hours(30 * 24),
        source: "https://docs.truelayer.com/docs/idempotency-for-payment-requests",
    },
    KeyedUpstream {
        name: "fintoc",
        hosts: &["api.fintoc.com"],
        paths: &["/v1/**", "/v2/**"],
        place: IDEMPOTENCY_KEY,
        lifetime: Duration::from_hours(24),
        source: "https://docs.fintoc.com/api/fintoc-api/idempotent-requests",
    },
];
