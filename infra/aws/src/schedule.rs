//! `Schedule` on EventBridge Scheduler: a group of schedules, each of which calls a function with a [`Fired`].
//!
//! Names of entries may have any characters and any length; the service's may not, so an entry is known there by the
//! readable part of its name and a hash of all of it, and its input holds the name itself. A firing at an instant
//! bears that instant in its input; a rate's is filled in by the service.

use async_trait::async_trait;
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::types::{ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_ports::{Entry, Error, Schedule, When};
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

use crate::error::{Call, mapped};

/// What the service puts in place of this is when it meant to fire.
const SCHEDULED_TIME: &str = "<aws.scheduler.scheduled-time>";
/// Characters of an entry's name that are kept readable.
const READABLE_MAX: usize = 40;

/// Where firings go.
#[derive(Clone, Debug)]
pub struct Targets {
    /// The function for firings.
    pub dispatcher_arn: String,
    /// The function for firings whose names end as in [`UPKEEP`].
    pub upkeep_arn: String,
    /// The role that may call both.
    pub role_arn: String,
}

/// How the names of entries end whose work takes long.
const UPKEEP: &str = ".upkeep";

/// What a function is called with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The entry's name.
    pub name: String,
    /// When it was meant to fire: RFC 3339.
    pub scheduled: String,
    /// The entry's payload, as Base64.
    payload: String,
    /// What the entry was put with.
    when: When,
}

impl Fired {
    /// What an entry's schedule hands to its function.
    fn of(entry: &Entry) -> Fired {
        let scheduled = match entry.when {
            When::At(at) => at.to_string(),
            When::EveryMinutes(_) => SCHEDULED_TIME.to_owned(),
        };
        Fired { name: entry.name.clone(), scheduled, payload: BASE64.encode(&entry.payload), when: entry.when }
    }

    /// The entry's payload.
    ///
    /// # Errors
    /// [`Error::Invalid`] when somebody else made the input.
    pub fn payload(&self) -> Result<Bytes, Error> {
        let bytes = BASE64.decode(&self.payload).map(Bytes::from);
        bytes.map_err(|why| Error::Invalid(format!("the input of schedule `{}` is not tidemill's: {why}", self.name)))
    }

    /// Whether its schedule is gone now.
    pub fn is_once(&self) -> bool {
        matches!(self.when, When::At(_))
    }

    /// When it was meant to fire; `None` when the service did not say.
    pub fn scheduled_at(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.scheduled)
    }
}

/// A group of schedules.
pub struct SchedulerGroup {
    client: Client,
    group: String,
    targets: Targets,
}

impl SchedulerGroup {
    /// The group called `group`, its firings going to `targets`.
    pub fn new(client: Client, group: String, targets: Targets) -> SchedulerGroup {
        SchedulerGroup { client, group, targets }
    }

    fn target(&self, entry: &Entry) -> Result<Target, Error> {
        let arn = if entry.name.ends_with(UPKEEP) { &self.targets.upkeep_arn } else { &self.targets.dispatcher_arn };
        let input = serde_json::to_string(&Fired::of(entry)).map_err(|why| Error::Invalid(why.to_string()))?;
        let target = Target::builder().arn(arn).role_arn(&self.targets.role_arn).input(input);
        target.build().map_err(|why| Error::Invalid(why.to_string()))
    }

    /// The entry kept under a name of the service; `None`: there is none, or it fired just now.
    async fn get(&self, name: &str) -> Result<Option<Entry>, Error> {
        let answer = match self.client.get_schedule().group_name(&self.group).name(name).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                return Ok(None);
            }
            Err(error) => return Err(mapped("GetSchedule", Call::Repeatable, error)),
        };
        let input = answer.target().and_then(Target::input).unwrap_or_default();
        let fired: Fired = serde_json::from_str(input)
            .map_err(|why| Error::Invalid(format!("the input of schedule `{name}` is not tidemill's: {why}")))?;
        Ok(Some(Entry { payload: fired.payload()?, name: fired.name, when: fired.when }))
    }

    async fn create(&self, entry: &Entry) -> Result<bool, Error> {
        let create = self.client.create_schedule().group_name(&self.group).name(name_of(&entry.name));
        let create = create.schedule_expression(expression(entry.when)).flexible_time_window(exactly()?);
        let create = create.set_action_after_completion(after(entry.when)).target(self.target(entry)?);
        match create.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_conflict_exception()) => Ok(false),
            Err(error) => Err(mapped("CreateSchedule", Call::Repeatable, error)),
        }
    }

    async fn update(&self, entry: &Entry) -> Result<bool, Error> {
        let update = self.client.update_schedule().group_name(&self.group).name(name_of(&entry.name));
        let update = update.schedule_expression(expression(entry.when)).flexible_time_window(exactly()?);
        let update = update.set_action_after_completion(after(entry.when)).target(self.target(entry)?);
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                Ok(false)
            }
            Err(error) => Err(mapped("UpdateSchedule", Call::Repeatable, error)),
        }
    }
}

#[async_trait]
impl Schedule for SchedulerGroup {
    async fn put(&self, entry: Entry) -> Result<(), Error> {
        entry.when.check()?;
        loop {
            if self.create(&entry).await? {
                return Ok(());
            }
            // Putting again what is there would begin its beat anew.
            if self.get(&name_of(&entry.name)).await?.as_ref() == Some(&entry) || self.update(&entry).await? {
                return Ok(());
            }
        }
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        match self.client.delete_schedule().group_name(&self.group).name(name_of(name)).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                Ok(())
            }
            Err(error) => Err(mapped("DeleteSchedule", Call::Repeatable, error)),
        }
    }

    async fn list(&self) -> Result<Vec<Entry>, Error> {
        let (mut entries, mut next) = (Vec::new(), None);
        loop {
            let ask = self.client.list_schedules().group_name(&self.group).set_next_token(next);
            let answer = ask.send().await.map_err(|error| mapped("ListSchedules", Call::Repeatable, error))?;
            for schedule in answer.schedules() {
                entries.extend(self.get(schedule.name().unwrap_or_default()).await?);
            }
            next = answer.next_token;
            if next.is_none() {
                entries.sort_by(|left: &Entry, right| left.name.cmp(&right.name));
                return Ok(entries);
            }
        }
    }
}

/// An entry's name in the service: of `[0-9a-zA-Z-_.]`, at most 64 long, and another one for every other entry.
fn name_of(name: &str) -> String {
    let readable = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let readable: String = name.chars().map(readable).take(READABLE_MAX).collect();
    format!("{readable}-{:016x}", xxhash_rust::xxh3::xxh3_64(name.as_bytes()))
}

/// When, in the service's words. It knows whole seconds: a part of one is waited for.
fn expression(when: When) -> String {
    match when {
        When::At(at) => {
            let second =
                at.micros().div_euclid(MICROS_PER_SECOND) + i64::from(at.micros().rem_euclid(MICROS_PER_SECOND) > 0);
            let text = Timestamp::from_micros(second.saturating_mul(MICROS_PER_SECOND)).to_string();
            format!("at({})", text.trim_end_matches('Z'))
        }
        When::EveryMinutes(1) => "rate(1 minute)".to_owned(),
        When::EveryMinutes(minutes) => format!("rate({minutes} minutes)"),
    }
}

fn after(when: When) -> Option<ActionAfterCompletion> {
    matches!(when, When::At(_)).then_some(ActionAfterCompletion::Delete)
}

fn exactly() -> Result<FlexibleTimeWindow, Error> {
    let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
    window.map_err(|why| Error::Invalid(why.to_string()))
}

#[cfg(test)]
mod tests;
