use std::sync::Arc;

use serde::Deserialize;
use store::model::{NewSession, Session, SessionUpdate, Timestamp};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;
use crate::api::params::Name;

pub(super) fn register(to: &mut Registrar) {
    to.write("create_session", create_session);
    to.read("get_session", get_session);
    to.read("get_active_session", get_active_session);
    to.read("list_sessions", list_sessions);
    to.write("update_session", update_session);
}

#[derive(Deserialize)]
struct CreateSession {
    user_id: Uuid,
    channel_id: Option<Uuid>,
    name: Option<Name>,
}

async fn create_session(context: Arc<Context>, params: CreateSession) -> Result<Session, Error> {
    let CreateSession { user_id, channel_id, name } = params;
    let new = NewSession { user_id, channel_id, name: name.map(|name| name.0) };
    Ok(context.store.create_session(new).await?)
}

#[derive(Deserialize)]
struct GetSession {
    id: Uuid,
}

async fn get_session(context: Arc<Context>, params: GetSession) -> Result<Session, Error> {
    Ok(context.store.reader().session(params.id)?)
}

#[derive(Deserialize)]
struct GetActiveSession {
    user_id: Uuid,
}

async fn get_active_session(
    context: Arc<Context>,
    params: GetActiveSession,
) -> Result<Option<Session>, Error> {
    Ok(context.store.reader().active_session(params.user_id)?)
}

#[derive(Deserialize)]
struct ListSessions {
    user_id: Option<Uuid>,
}

async fn list_sessions(context: Arc<Context>, params: ListSessions) -> Result<Vec<Session>, Error> {
    context.read_list(move |reader| reader.sessions(params.user_id)).await
}

#[derive(Deserialize)]
struct UpdateSession {
    session: SessionUpdate,
    if_updated_at: Option<Timestamp>,
}

async fn update_session(context: Arc<Context>, params: UpdateSession) -> Result<(), Error> {
    Ok(context.store.update_session(params.session, params.if_updated_at).await?)
}
