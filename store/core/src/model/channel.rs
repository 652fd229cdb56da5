use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// What kind of place a channel is.
    ChannelType {
        /// A chat.
        Chat = 0 "chat",
        /// A mailbox.
        Email = 1 "email",
        /// A calendar.
        Calendar = 2 "calendar",
        /// A telephone number or a voice assistant.
        Voice = 3 "voice",
        /// A webhook.
        Webhook = 4 "webhook",
        /// Anything else.
        Custom = 5 "custom",
    }
}

words! {
    /// Whether a channel is in use.
    ChannelStatus {
        /// In use.
        Active = 0 "active",
        /// Not in use for now.
        Paused = 1 "paused",
        /// No longer in use.
        Inactive = 2 "inactive",
    }
}

/// A place where a user talks to an agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Channel {
    /// Its id.
    pub id: Uuid,
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// What kind of place it is.
    pub channel_type: ChannelType,
    /// Its name, as people know it.
    pub channel_name: String,
    /// Its address, such as a telephone number or a chat id.
    pub channel_identifier: String,
    /// Whether it is in use.
    pub status: ChannelStatus,
    /// An object of the client's own.
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub metadata: Json,
    /// Settings of the client's own.
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub config: Json,
    /// When the last message passed.
    pub last_message_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A channel to be created.
#[derive(Debug, Clone)]
pub struct NewChannel {
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// What kind of place it is.
    pub channel_type: ChannelType,
    /// 1 to 255 characters.
    pub channel_name: String,
    /// Its address.
    pub channel_identifier: String,
}

/// What `update_channel` may change; absent members stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct ChannelUpdate {
    /// Which channel.
    pub id: Uuid,
    /// What kind of place it is.
    pub channel_type: Option<ChannelType>,
    /// Its name.
    pub channel_name: Option<String>,
    /// Its address.
    pub channel_identifier: Option<String>,
    /// Whether it is in use.
    pub status: Option<ChannelStatus>,
    /// Replaces all of the metadata.
    pub metadata: Option<Json>,
    /// Replaces all of the settings.
    pub config: Option<Json>,
    /// When the last message passed; null for never.
    #[serde(default, deserialize_with = "nullable")]
    pub last_message_at: Option<Option<Timestamp>>,
}
