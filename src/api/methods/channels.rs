use std::sync::Arc;

use serde::Deserialize;
use store::model::{Channel, ChannelType, ChannelUpdate, NewChannel, Timestamp};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;
use crate::api::params::{Name, NameOrEmpty, check_name};

pub(super) fn register(to: &mut Registrar) {
    to.write("create_channel", create_channel);
    to.read("get_channel", get_channel);
    to.write("update_channel", update_channel);
    to.read("list_channels", list_channels);
}

#[derive(Deserialize)]
struct CreateChannel {
    user_id: Uuid,
    channel_type: ChannelType,
    channel_name: Name,
    channel_identifier: NameOrEmpty,
}

async fn create_channel(context: Arc<Context>, params: CreateChannel) -> Result<Channel, Error> {
    let new = NewChannel {
        user_id: params.user_id,
        channel_type: params.channel_type,
        channel_name: params.channel_name.0,
        channel_identifier: params.channel_identifier.0,
    };
    Ok(context.store.create_channel(new).await?)
}

#[derive(Deserialize)]
struct GetChannel {
    id: Uuid,
}

async fn get_channel(context: Arc<Context>, params: GetChannel) -> Result<Channel, Error> {
    Ok(context.store.reader().channel(params.id)?)
}

#[derive(Deserialize)]
struct UpdateChannel {
    channel: ChannelUpdate,
    if_updated_at: Option<Timestamp>,
}

async fn update_channel(context: Arc<Context>, params: UpdateChannel) -> Result<(), Error> {
    let UpdateChannel { channel, if_updated_at } = params;
    check_name("channel.channel_name", channel.channel_name.as_ref())?;
    check_name("channel.channel_identifier", channel.channel_identifier.as_ref())?;
    Ok(context.store.update_channel(channel, if_updated_at).await?)
}

#[derive(Deserialize)]
struct ListChannels {
    user_id: Uuid,
}

async fn list_channels(context: Arc<Context>, params: ListChannels) -> Result<Vec<Channel>, Error> {
    context.read_list(move |reader| reader.channels(params.user_id)).await
}
