//! A request as it came.

use std::sync::Arc;

use http::request::Parts;

use crate::http::target::Target;
use crate::identity::metadata::Asked;
use crate::policy::decide::Policy;

/// A request whose body has not been looked at.
#[derive(Debug)]
pub struct Received {
    pub target: Target,
    pub head: Parts,
    pub asked: Asked,
    /// As it was when the request came.
    pub policy: Arc<Policy>,
}
