use std::sync::Arc;

use serde::Deserialize;
use store::model::{NewUser, User};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;
use crate::api::params::{Name, NameOrEmpty};

pub(super) fn register(to: &mut Registrar) {
    to.write("create_user", create_user);
    to.read("get_user", get_user);
    to.read("find_user", find_user);
}

#[derive(Deserialize)]
struct CreateUser {
    username: Name,
    display_name: Option<NameOrEmpty>,
    email: Option<NameOrEmpty>,
}

async fn create_user(context: Arc<Context>, params: CreateUser) -> Result<User, Error> {
    let new = NewUser {
        username: params.username.0,
        display_name: params.display_name.map(|name| name.0),
        email: params.email.map(|email| email.0),
    };
    Ok(context.store.create_user(new).await?)
}

#[derive(Deserialize)]
struct GetUser {
    id: Uuid,
}

async fn get_user(context: Arc<Context>, params: GetUser) -> Result<User, Error> {
    Ok(context.store.reader().user(params.id)?)
}

#[derive(Deserialize)]
struct FindUser {
    username: Name,
}

async fn find_user(context: Arc<Context>, params: FindUser) -> Result<Option<User>, Error> {
    match context.store.reader().user_by_name(&params.username.0) {
        Ok(user) => Ok(Some(user)),
        Err(store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
