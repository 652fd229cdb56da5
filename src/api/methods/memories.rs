use std::sync::Arc;

use serde::Deserialize;
use store::model::{Importance, Memory, MemoryUpdate, NewMemory, Timestamp};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;

/// How many memories a list has by default, as in v0.1.
const DEFAULT_LIMIT: usize = 50;

pub(super) fn register(to: &mut Registrar) {
    to.write("create_memory", create_memory);
    to.read("get_memory", get_memory);
    to.write("update_memory", update_memory);
    to.read("list_memories", list_memories);
}

#[derive(Deserialize)]
struct CreateMemory {
    user_id: Uuid,
    content: String,
    importance: Option<Importance>,
    tags: Option<Vec<String>>,
}

async fn create_memory(context: Arc<Context>, params: CreateMemory) -> Result<Memory, Error> {
    let CreateMemory { user_id, content, importance, tags } = params;
    let new = NewMemory { user_id, content, importance, tags: tags.unwrap_or_default() };
    Ok(context.store.create_memory(new).await?)
}

#[derive(Deserialize)]
struct GetMemory {
    id: Uuid,
}

async fn get_memory(context: Arc<Context>, params: GetMemory) -> Result<Memory, Error> {
    Ok(context.store.reader().memory(params.id)?)
}

#[derive(Deserialize)]
struct UpdateMemory {
    memory: MemoryUpdate,
    if_updated_at: Option<Timestamp>,
}

async fn update_memory(context: Arc<Context>, params: UpdateMemory) -> Result<(), Error> {
    Ok(context.store.update_memory(params.memory, params.if_updated_at).await?)
}

#[derive(Deserialize)]
struct ListMemories {
    user_id: Uuid,
    limit: Option<usize>,
}

async fn list_memories(context: Arc<Context>, params: ListMemories) -> Result<Vec<Memory>, Error> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    context.read_list(move |reader| reader.memories(params.user_id, limit)).await
}
