//! A call as it goes out, if it may.

use hyper::header::{ACCEPT_ENCODING, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request};
use proxy_core::http::next_hop;
use proxy_core::http::target::Target;
use proxy_core::identity::upstream_key;
use proxy_core::policy::keyed::KeyPlace;
use store::model::EffectClass;
use uuid::Uuid;

use crate::body::outgoing::Outgoing;
use crate::body::spool::Stored;
use crate::context::ProxyContext;
use crate::steps::label::Label;

/// A call as it goes out, if it may.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) target: Target,
    pub(crate) class: EffectClass,
    /// The client's; [`Self::for_next_hop`] makes it the next hop's.
    pub(crate) head: Parts,
    pub(crate) body: Stored,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) label: Label,
    /// Where the engine's own key is to go.
    pub(crate) adds_key: Option<KeyPlace>,
}

impl Prepared {
    /// Gives the upstream a key where the client gave none: the execution's id, which is the same
    /// for all its attempts.
    pub(crate) fn add_key(&mut self, execution: Uuid) {
        let key = execution.to_string();
        match &self.adds_key {
            None => {}
            Some(KeyPlace::Header(name)) => {
                if let Ok(value) = HeaderValue::try_from(key) {
                    self.head.headers.insert(name, value);
                }
            }
            Some(KeyPlace::Member(pointer)) => {
                let body = self.body.in_memory().and_then(|body| {
                    upstream_key::with_member(pointer, &self.head.headers, body, &key)
                });
                if let Some(body) = body {
                    self.body = Stored::of(body);
                }
            }
        }
    }

    /// Makes the head that of the next hop; what is only a duplicate does not need it.
    pub(crate) fn for_next_hop(&mut self, context: &ProxyContext) {
        next_hop::prepare(&context.via, &self.target, &mut self.head);
        next_hop::set_framing(&mut self.head, self.body.len(), self.trailers.as_ref());
        if self.label.mcp.is_some() {
            // The response is looked for in the answer.
            self.head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }

    /// The request, anew.
    pub(crate) fn request(&self) -> Request<Outgoing> {
        let body = Outgoing::stored(&self.body, self.trailers.as_ref());
        Request::from_parts(self.head.clone(), body)
    }
}
