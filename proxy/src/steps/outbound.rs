//! A call as it goes out.

use hyper::header::{ACCEPT_ENCODING, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request};
use proxy_core::http::next_hop;
use proxy_core::http::target::Target;
use proxy_core::identity::upstream_key;
use proxy_core::policy::keyed::KeyPlace;
use store::model::EffectClass;
use uuid::Uuid;

use crate::body::request::RequestBody;
use crate::body::spool::SpooledBody;

/// A call as it goes out, if it may run.
#[derive(Debug)]
pub(crate) struct OutboundCall {
    pub(crate) target: Target,
    pub(crate) class: EffectClass,
    /// The client's head. [`Self::prepare`] makes it the next hop's.
    pub(crate) head: Parts,
    pub(super) body: SpooledBody,
    pub(super) trailers: Option<HeaderMap>,
    /// Where the engine puts its own key.
    pub(crate) adds_key: Option<KeyPlace>,
}

impl OutboundCall {
    /// Gives the upstream the engine's own key where the client gave none.
    pub(crate) fn add_key(&mut self, key: Uuid) {
        let key = key.to_string();
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
                    self.body = SpooledBody::of(body);
                }
            }
        }
    }

    /// Makes the head that of the next hop. Only a call that runs needs it.
    pub(crate) fn prepare(&mut self, via: &HeaderValue) {
        next_hop::prepare(via, &self.target, &mut self.head);
        next_hop::set_framing(&mut self.head, self.body.len(), self.trailers.as_ref());
    }

    /// Asks for an answer without content coding, in which a response can be found.
    pub(crate) fn ask_for_plain_answer(&mut self) {
        self.head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }

    /// The request, for one try.
    pub(crate) fn request(&self) -> Request<RequestBody> {
        let body = RequestBody::spooled(&self.body, self.trailers.as_ref());
        Request::from_parts(self.head.clone(), body)
    }
}
