use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::Json;
use super::time::Timestamp;
use super::words::{nullable, words};

words! {
    /// What kind of place a channel is.
    ChannelType {
        Chat = 0 "chat",
        Email = 1 "email",
        Calendar = 2 "calendar",
        Voice = 3 "voice",
        Webhook = 4 "webhook",
        Custom = 5 "custom",
    }
}

words! {
    /// Whether a channel is in use.
    ChannelStatus {
        Active = 0 "active",
        Paused = 1 "paused",
        Inactive = 2 "inactive",
    }
}

/// Where a user talks to an agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Channel {
    pub id: Uuid,
    pub user_id: Uuid,
    pub channel_type: ChannelType,
    pub channel_name: String,
    pub channel_identifier: String,
    pub status: ChannelStatus,
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub metadata: Json,
    #[cfg_attr(feature = "typescript", ts(type = "JsonObject"))]
    pub config: Json,
    pub last_message_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A channel to be made.
#[derive(Debug, Clone)]
pub struct NewChannel {
    pub user_id: Uuid,
    pub channel_type: ChannelType,
    pub channel_name: String,
    pub channel_identifier: String,
}

/// What `update_channel` may change; absent members stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct ChannelUpdate {
    pub id: Uuid,
    pub channel_type: Option<ChannelType>,
    pub channel_name: Option<String>,
    pub channel_identifier: Option<String>,
    pub status: Option<ChannelStatus>,
    pub metadata: Option<Json>,
    pub config: Option<Json>,
    #[serde(default, deserialize_with = "nullable")]
    pub last_message_at: Option<Option<Timestamp>>,
}
