//! Connections that nobody but their client may use: what they carry next is answered as the one who
//! has signed them in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, VIA};
use proxy_core::http::target::Target;
use proxy_core::identity::connection_auth::Login;
use proxy_core::identity::metadata::RequestMetadata;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::connection::PooledConnection;

/// How many connections one client's connection may keep. Past it the oldest is closed.
const PER_CLIENT: usize = 16;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The connections that belong to one connection of a client. They are closed with it.
#[derive(Debug)]
pub(crate) struct PrivateConnections {
    /// Names the client's connection.
    id: Uuid,
    kept: Mutex<Vec<Kept>>,
}

impl Default for PrivateConnections {
    fn default() -> Self {
        Self { id: Uuid::now_v7(), kept: Mutex::default() }
    }
}

#[derive(Debug)]
struct Kept {
    session: Session,
    connection: PooledConnection,
    /// One of those that may be kept for all clients together.
    _place: OwnedSemaphorePermit,
}

/// Who speaks on a client's connection. A front proxy may send for several on one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    user: Option<String>,
    name: Option<String>,
    run: Option<String>,
    /// The request came through another proxy, which may send for others who name no session.
    relayed: bool,
}

/// Whose a connection becomes if the request on it signs it in.
#[derive(Debug, Clone)]
pub(crate) struct Owner(Arc<OwnerParts>);

#[derive(Debug)]
struct OwnerParts {
    connections: Weak<PrivateConnections>,
    session: Session,
}

impl Owner {
    pub(crate) fn new(
        connections: &Arc<PrivateConnections>,
        metadata: &RequestMetadata,
        headers: &HeaderMap,
    ) -> Self {
        let through = [VIA, FORWARDED, FORWARDED_FOR];
        let session = Session {
            user: metadata.scope.user.clone(),
            name: metadata.scope.session.clone(),
            run: metadata.run.clone(),
            relayed: through.iter().any(|name| headers.contains_key(name)),
        };
        Self(Arc::new(OwnerParts { connections: Arc::downgrade(connections), session }))
    }

    /// The newest of this owner's connections to the target. `signs_in`: the request has credentials
    /// that sign it in. One that came through another proxy needs them.
    pub(super) fn take(&self, target: &Target, signs_in: bool) -> Option<PooledConnection> {
        let connections = self.0.connections.upgrade()?;
        if self.0.session.relayed && !signs_in {
            return None;
        }
        let mut kept = connections.lock();
        kept.retain(|one| one.connection.is_open());
        let place = kept.iter().rposition(|one| self.owns(one, target))?;
        Some(kept.remove(place).connection)
    }

    /// Who a request to the target speaks as, if it has no credentials.
    pub(crate) fn login(&self, target: &Target) -> Login {
        let Some(connections) = self.0.connections.upgrade() else { return Login::default() };
        let kept = connections.lock();
        let own = kept.iter().rfind(|one| !self.0.session.relayed && self.owns(one, target));
        let credentials = own.and_then(|one| one.connection.login().cloned());
        Login { connection: connections.id, credentials }
    }

    fn owns(&self, kept: &Kept, target: &Target) -> bool {
        kept.session == self.0.session
            && kept.connection.is_open()
            && kept.connection.leads_to(target)
    }

    /// Keeps a connection for this owner's next request, unless the client has left.
    pub(super) fn keep(&self, connection: PooledConnection, place: OwnedSemaphorePermit) {
        let Some(connections) = self.0.connections.upgrade() else { return };
        let session = self.0.session.clone();
        let mut kept = connections.lock();
        if kept.len() >= PER_CLIENT {
            kept.remove(0);
        }
        kept.push(Kept { session, connection, _place: place });
    }
}

impl PrivateConnections {
    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
