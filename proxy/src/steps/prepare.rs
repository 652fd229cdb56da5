//! A call as it is recorded, and as it goes out.

use proxy_core::masking::input::{BodyToKeep, input_json};
use proxy_core::masking::shown;
use proxy_core::received::ReceivedRequest;
use store::call::{Call, CallKey, UpstreamKey};
use store::key::Encoder;
use store::model::EffectClass;

use super::outbound::OutboundCall;
use super::states::Identified;
use crate::body::buffer::BufferedBody;

impl Identified {
    /// The call as it is recorded, and as it goes out.
    pub(crate) fn prepare(self) -> (Call, OutboundCall) {
        let Self { request, body, scope, guarded, identity, adds_key, .. } = self;
        let (tool_name, recorded_tool) = (self.tool_name, self.recorded_tool);
        let keeps = guarded.rule.as_ref().is_none_or(|rule| rule.answer.store_body);
        let kept = BodyToKeep {
            bytes: body.in_memory().filter(|_| keeps),
            sha256: body.sha256,
            size: body.bytes.len(),
        };
        let input = input_json(request.head(), &|name| guarded.counts(name), kept);
        let upstream = guarded.upstream.filter(|_| guarded.class == EffectClass::Keyed);
        let upstream_key = upstream.map(|key| UpstreamKey {
            source: match &identity.key {
                // A token may have let two keys of the client name one execution.
                Some(own) if adds_key.is_none() => {
                    let text = Encoder::new("upstream-key/v1").field(&own.text).finish();
                    format!("client {} {}", key.place, text.hex(8))
                }
                _ => format!("engine {}", key.place),
            },
            lifetime: key.lifetime,
        });
        let ReceivedRequest { target, parts: head, metadata, .. } = request;
        let BufferedBody { bytes: body, trailers, .. } = body;
        let class = guarded.class;
        let undelivered = guarded.rule.as_ref().map(|rule| rule.keys.undelivered);
        let undelivered = undelivered.unwrap_or_default();
        let call = Call {
            scope,
            key: identity.key.map(|key| if recorded_tool == tool_name { key } else { hidden(key) }),
            tool_name: recorded_tool,
            input,
            class,
            digests: identity.digests,
            run: metadata.run,
            upstream_key,
            retry_token: metadata.retry_token,
            undelivered,
            rule: shown::text(&guarded.why).into_owned(),
        };
        (call, OutboundCall { target, class, head, body, trailers, adds_key })
    }
}

/// A derived key without the name of the tool in its text, for records: that has a secret. Which
/// execution the key names stays as it is.
fn hidden(key: CallKey) -> CallKey {
    match key.text.splitn(3, ':').nth(2) {
        Some(rest) if !key.explicit => CallKey { text: format!("auto:[masked]:{rest}"), ..key },
        _ => key,
    }
}
