//! What a deployment is called: names of tables, buckets, queues and schedules.
//!
//! In: the environment of a function, or the outputs of a stack. Out: [`Settings`], or every name that is missing.

use std::collections::BTreeMap;

/// Names of a deployment's resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The event table, with a stream of old and new images.
    pub events_table: String,
    /// The table of everything else.
    pub items_table: String,
    /// The bucket that holds every blob.
    pub bucket: String,
    /// The directory bucket (S3 Express One Zone) that holds copies; `None`: there is none.
    pub fast_bucket: Option<String>,
    /// URL of the queue of requests.
    pub requests_url: String,
    /// URL of the queue of requests that were delivered too often.
    pub dead_letters_url: String,
    /// The group the schedules are in.
    pub schedule_group: String,
    /// The role Scheduler takes on to call the functions.
    pub schedule_role_arn: String,
    /// The function called for firings.
    pub dispatcher_arn: String,
    /// The function called for firings of the upkeep, which take long.
    pub upkeep_arn: String,
}

impl Settings {
    /// Reads the outputs of a stack.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn of_outputs(outputs: &[(String, String)]) -> Result<Settings, String> {
        Settings::read(outputs.iter().map(|(name, value)| (variable(name), value.clone())))
    }

    /// Reads `TIDEMILL_…` variables.
    ///
    /// # Errors
    /// In words: every variable that is missing.
    pub fn read(variables: impl IntoIterator<Item = (String, String)>) -> Result<Settings, String> {
        let mut held: BTreeMap<String, String> = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut missing = Vec::new();
        let mut take = |name: &'static str| {
            held.remove(name).unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        };
        let mut settings = Settings {
            events_table: take("TIDEMILL_EVENTS_TABLE"),
            items_table: take("TIDEMILL_ITEMS_TABLE"),
            bucket: take("TIDEMILL_BUCKET"),
            fast_bucket: None,
            requests_url: take("TIDEMILL_REQUESTS_URL"),
            dead_letters_url: take("TIDEMILL_DEAD_LETTERS_URL"),
            schedule_group: take("TIDEMILL_SCHEDULE_GROUP"),
            schedule_role_arn: take("TIDEMILL_SCHEDULE_ROLE_ARN"),
            dispatcher_arn: take("TIDEMILL_DISPATCHER_ARN"),
            upkeep_arn: take("TIDEMILL_UPKEEP_ARN"),
        };
        if !missing.is_empty() {
            return Err(format!("{} not set: the stack sets them for its functions", missing.join(", ")));
        }
        settings.fast_bucket = held.remove("TIDEMILL_FAST_BUCKET");
        Ok(settings)
    }
}

/// The variable that says the same as an output: `TIDEMILL_EVENTS_TABLE` for `EventsTable`.
fn variable(output: &str) -> String {
    let mut name = "TIDEMILL".to_owned();
    for c in output.chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests;
