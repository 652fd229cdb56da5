//! A request whose head was read.

use std::sync::Arc;

use http::request::Parts;

use crate::http::head::RequestHead;
use crate::http::target::Target;
use crate::identity::connection_auth::Login;
use crate::identity::metadata::RequestMetadata;
use crate::policy::decide::Policy;

/// A request whose head was read, and the policy that holds for it.
#[derive(Debug)]
pub struct ReceivedRequest {
    /// Where it goes.
    pub target: Target,
    /// The client's head.
    pub parts: Parts,
    /// What it says about itself.
    pub metadata: RequestMetadata,
    /// Who its connection speaks as.
    pub login: Login,
    /// As it was when the request came. A reload does not change it.
    pub policy: Arc<Policy>,
}

impl ReceivedRequest {
    /// The head, as policy and keys read it.
    pub fn head(&self) -> RequestHead<'_> {
        RequestHead::new(&self.parts, &self.target)
    }
}
