use std::sync::Arc;

use serde::Deserialize;
use store::model::{Goal, GoalUpdate, NewGoal, Timestamp};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;

pub(super) fn register(to: &mut Registrar) {
    to.write("create_goal", create_goal);
    to.read("get_goal", get_goal);
    to.write("update_goal", update_goal);
    to.read("list_pending_goals", list_pending_goals);
    to.read("list_goals", list_goals);
}

#[derive(Deserialize)]
struct CreateGoal {
    user_id: Uuid,
    session_id: Uuid,
    title: String,
    description: Option<String>,
}

async fn create_goal(context: Arc<Context>, params: CreateGoal) -> Result<Goal, Error> {
    let CreateGoal { user_id, session_id, title, description } = params;
    Ok(context.store.create_goal(NewGoal { user_id, session_id, title, description }).await?)
}

#[derive(Deserialize)]
struct GetGoal {
    id: Uuid,
}

async fn get_goal(context: Arc<Context>, params: GetGoal) -> Result<Goal, Error> {
    Ok(context.store.reader().goal(params.id)?)
}

#[derive(Deserialize)]
struct UpdateGoal {
    goal: GoalUpdate,
    if_updated_at: Option<Timestamp>,
}

async fn update_goal(context: Arc<Context>, params: UpdateGoal) -> Result<(), Error> {
    Ok(context.store.update_goal(params.goal, params.if_updated_at).await?)
}

#[derive(Deserialize)]
struct OfSession {
    session_id: Uuid,
}

async fn list_pending_goals(context: Arc<Context>, params: OfSession) -> Result<Vec<Goal>, Error> {
    context.read_list(move |reader| reader.pending_goals(params.session_id)).await
}

async fn list_goals(context: Arc<Context>, params: OfSession) -> Result<Vec<Goal>, Error> {
    context.read_list(move |reader| reader.goals(params.session_id)).await
}
