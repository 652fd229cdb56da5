//! Users, sessions, goals, memories and channels.

use store_core::Error;
use store_core::model::{
    Channel, ChannelUpdate, Goal, GoalUpdate, Memory, MemoryUpdate, NewChannel, NewGoal, NewMemory,
    NewSession, NewUser, Session, SessionUpdate, Timestamp, User,
};

use crate::sqlite::entities;
use crate::store::Store;

impl Store {
    /// Creates a user. Refused with `Conflict` if the name is taken.
    pub async fn create_user(&self, new: NewUser) -> Result<User, Error> {
        let id = self.write(move |tx| entities::create_user(tx, &new)).await?;
        self.reader().user(id)
    }

    /// Creates a session of a user.
    pub async fn create_session(&self, new: NewSession) -> Result<Session, Error> {
        let id = self.write(move |tx| entities::create_session(tx, &new)).await?;
        self.reader().session(id)
    }

    /// Changes a session. Refused with `Conflict` if it was changed after `if_updated_at`.
    pub async fn update_session(
        &self,
        update: SessionUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |tx| entities::update_session(tx, &update, if_updated_at)).await
    }

    /// Creates a goal. Refused with `Foreign` if the session belongs to another user.
    pub async fn create_goal(&self, new: NewGoal) -> Result<Goal, Error> {
        let id = self.write(move |tx| entities::create_goal(tx, &new)).await?;
        self.reader().goal(id)
    }

    /// Changes a goal. Refused with `Conflict` if it was changed after `if_updated_at`.
    pub async fn update_goal(
        &self,
        update: GoalUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |tx| entities::update_goal(tx, &update, if_updated_at)).await
    }

    /// Creates a memory of a user.
    pub async fn create_memory(&self, new: NewMemory) -> Result<Memory, Error> {
        let id = self.write(move |tx| entities::create_memory(tx, &new)).await?;
        self.reader().memory(id)
    }

    /// Changes a memory. Refused with `Conflict` if it was changed after `if_updated_at`.
    pub async fn update_memory(
        &self,
        update: MemoryUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |tx| entities::update_memory(tx, &update, if_updated_at)).await
    }

    /// Creates a channel of a user.
    pub async fn create_channel(&self, new: NewChannel) -> Result<Channel, Error> {
        let id = self.write(move |tx| entities::create_channel(tx, &new)).await?;
        self.reader().channel(id)
    }

    /// Changes a channel. Refused with `Conflict` if it was changed after `if_updated_at`.
    pub async fn update_channel(
        &self,
        update: ChannelUpdate,
        if_updated_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.write(move |tx| entities::update_channel(tx, &update, if_updated_at)).await
    }
}
