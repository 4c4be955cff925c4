//! A function: its role, its stores, and one call of it.

use serde_json::Value;
use tidemill_aws::Stores;
use tidemill_ports::Context;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

use crate::{firing, records, requests, stream};

/// Before a function's time is up it stops work that takes long, this many seconds.
const SPARE_SECONDS: i64 = 10;

/// What a function is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The HTTP interface behind a function URL.
    Api,
    /// Kinesis records to the event store.
    Events,
    /// The change feed to running totals.
    Changes,
    /// The change feed to pages.
    Seal,
    /// Firings of the schedule.
    Dispatcher,
    /// Requests of the queue.
    Engine,
    /// Firings whose work takes long.
    Upkeep,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 7] =
        [Role::Api, Role::Events, Role::Changes, Role::Seal, Role::Dispatcher, Role::Engine, Role::Upkeep];

    /// Its word in `TIDEMILL_ROLE`.
    pub fn word(self) -> &'static str {
        match self {
            Role::Api => "api",
            Role::Events => "events",
            Role::Changes => "changes",
            Role::Seal => "seal",
            Role::Dispatcher => "dispatcher",
            Role::Engine => "engine",
            Role::Upkeep => "upkeep",
        }
    }

    /// The role a word names.
    ///
    /// # Errors
    /// In words, with the roles there are.
    pub fn read(word: &str) -> Result<Role, String> {
        let known = || Role::ALL.map(Role::word).join(", ");
        let role = Role::ALL.into_iter().find(|role| role.word() == word);
        role.ok_or_else(|| format!("TIDEMILL_ROLE is `{word}`: it must be one of {}", known()))
    }
}

/// Why a call is to come again, or cannot succeed; the event source decides by its own settings what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What was handed over is not what this role takes.
    #[error("the {role} function cannot read its event: {why}")]
    Unreadable {
        /// The function's role.
        role: &'static str,
        /// What the reader found.
        why: String,
    },
    /// Nothing of it could be done now.
    #[error("{0}")]
    Again(String),
    /// It can never be done.
    #[error("it can never be done: {0}")]
    Never(String),
}

/// A function over its stores.
pub struct Function {
    /// What it is for.
    pub role: Role,
    /// What it works on.
    pub stores: Stores,
    /// How often a period asks for its missing days.
    pub repair_attempts: u32,
    /// The source of Kinesis events that name none.
    pub source_default: String,
}

impl Function {
    /// One call: the event's JSON, and when the function's time is up.
    ///
    /// # Errors
    /// [`Failure`]; the event source calls again.
    pub async fn call(&self, event: &str, deadline: Timestamp) -> Result<Value, Failure> {
        let context = self.context(deadline);
        match self.role {
            Role::Events => records::on_event(&context, &self.source_default, event).await,
            Role::Changes => stream::on_event(&context, &self.stores.feed, stream::Consumer::Changes, event).await,
            Role::Seal => stream::on_event(&context, &self.stores.feed, stream::Consumer::Seal, event).await,
            Role::Engine => requests::on_event(&context, &self.stores.requests, self.repair_attempts, event).await,
            Role::Dispatcher | Role::Upkeep => firing::on_event(&context, event).await,
            Role::Api => Err(Failure::Never("the api function takes HTTP".to_owned())),
        }
    }

    /// The ports for one call.
    fn context(&self, deadline: Timestamp) -> Context {
        let stop = deadline.plus_seconds(-SPARE_SECONDS);
        // What has less time than the spare from the start keeps half of what it has.
        let now = self.stores.context.clock.now();
        let half = Timestamp::from_micros(now.micros() / 2 + deadline.micros() / 2);
        Context { deadline: Some(stop.max(half)), ..self.stores.context.clone() }
    }
}

/// An instant of the runtime's, in milliseconds since 1970.
pub fn instant(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX / (MICROS_PER_SECOND / 1000)))
}

#[cfg(test)]
mod tests;
