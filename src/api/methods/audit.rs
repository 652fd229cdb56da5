use std::sync::Arc;

use serde::Deserialize;
use store::model::{Event, Json, Stats};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;
use crate::api::openrpc;
use crate::api::params::{self, NoParams};

pub(super) fn register(to: &mut Registrar) {
    to.read("list_events", list_events);
    to.read("get_stats", get_stats);
    to.read("rpc.discover", discover);
}

#[derive(Deserialize)]
struct ListEvents {
    execution_id: Option<Uuid>,
    session_id: Option<Uuid>,
    after: Option<i64>,
    limit: Option<usize>,
}

async fn list_events(context: Arc<Context>, params: ListEvents) -> Result<Vec<Event>, Error> {
    let ListEvents { execution_id, session_id, after, limit } = params;
    let limit = params::page(limit, 200)?;
    context.read_list(move |reader| reader.events(execution_id, session_id, after, limit)).await
}

async fn get_stats(context: Arc<Context>, _: NoParams) -> Result<Stats, Error> {
    context.read_list(store::Reader::stats).await
}

async fn discover(_: Arc<Context>, _: NoParams) -> Result<Json, Error> {
    Ok(openrpc::document())
}
