//! Settings: what `tidemill.toml` may say, each with its default, unit and limit. Components are not settings.
//!
//! In: the file's text and the environment (`TIDEMILL_<KEY>` wins). Out: checked [`Settings`], or a failure that names
//! file, line, key and fix.

use serde::Deserialize;
use tidemill_ports::FOLD_BYTES_DEFAULT;
use tidemill_rollups::merge::{REPAIR_ATTEMPTS_DEFAULT, REPAIR_ATTEMPTS_MAX};

use crate::failure::Failure;

/// What `tidemill.toml` says. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where `tidemill up` listens: `address:port`. Default `127.0.0.1:7600`; others than loopback take a key.
    pub listen: String,
    /// Folder of the definitions, relative to the project. Default `insights`.
    pub insights: String,
    /// Folder of the embedded stores, relative to the project. Default `.tidemill`.
    pub store: String,
    /// Source of events that name none: 1 to 128 bytes. Default: that of the server's key, else `default`.
    pub source: Option<String>,
    /// Requests `send` and `import` keep in flight: 1 to 16. Default 4.
    pub send_in_flight: u32,
    /// How often a week, month, quarter or year asks for its missing days before it is published as partial: 0 to 10.
    /// Default 3.
    pub repair_attempts: u32,
    /// Memory one pass over pages may fill before it uses scratch disk: 16 to 65,536 MiB. Default 256.
    pub fold_memory_mib: u32,
}

/// Every key, for hints and for the environment.
const KEYS: [&str; 7] =
    ["listen", "insights", "store", "source", "send_in_flight", "repair_attempts", "fold_memory_mib"];
/// Mebibytes of [`Settings::fold_memory_mib`].
const FOLD_MEMORY_MIB: std::ops::RangeInclusive<u32> = 16..=65_536;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: "127.0.0.1:7600".to_owned(),
            insights: "insights".to_owned(),
            store: ".tidemill".to_owned(),
            source: None,
            send_in_flight: 4,
            repair_attempts: REPAIR_ATTEMPTS_DEFAULT,
            fold_memory_mib: (FOLD_BYTES_DEFAULT >> 20) as u32,
        }
    }
}

impl Settings {
    /// Reads the file's text, then what the environment overrides. `file` is only for messages.
    pub fn read(file: &str, text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Failure> {
        let mut table: toml::Table = text.parse().map_err(|error| unreadable(file, &error))?;
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(unknown(file, text, key));
        }
        for key in KEYS {
            let variable = format!("TIDEMILL_{}", key.to_uppercase());
            if let Some(value) = environment(&variable) {
                table.insert(key.to_owned(), typed(key, &variable, value)?);
            }
        }
        let mut settings = Settings::default();
        settings.take(file, table)?;
        settings.check(file)?;
        Ok(settings)
    }

    fn take(&mut self, file: &str, table: toml::Table) -> Result<(), Failure> {
        *self = table.try_into().map_err(|error: toml::de::Error| {
            Failure::input("TM0907", format!("{file}: {}", error.message())).help("`tidemill init` shows every key")
        })?;
        Ok(())
    }

    fn check(&self, file: &str) -> Result<(), Failure> {
        let refuse = |key: &str, must: &str| Err(Failure::input("TM0907", format!("{file}: `{key}` must be {must}")));
        if self.listen.parse::<std::net::SocketAddr>().is_err() {
            return refuse("listen", "an address and a port, like \"127.0.0.1:7600\"");
        }
        if self.insights.is_empty() || self.store.is_empty() {
            return refuse(if self.store.is_empty() { "store" } else { "insights" }, "a folder's name");
        }
        let is_source = |source: &String| (1..=tidemill_schemas::event::EVENT_KEY_BYTES_MAX).contains(&source.len());
        if !self.source.iter().all(is_source) {
            return refuse("source", "text of 1 to 128 bytes");
        }
        if !(1..=16).contains(&self.send_in_flight) {
            return refuse("send_in_flight", "1 to 16 (requests)");
        }
        if self.repair_attempts > REPAIR_ATTEMPTS_MAX {
            return refuse("repair_attempts", "0 to 10 (attempts)");
        }
        if !FOLD_MEMORY_MIB.contains(&self.fold_memory_mib) {
            return refuse("fold_memory_mib", "16 to 65536 (MiB)");
        }
        Ok(())
    }
}

/// A value from the environment, typed as the file would have it.
fn typed(key: &str, variable: &str, value: String) -> Result<toml::Value, Failure> {
    if !["send_in_flight", "repair_attempts", "fold_memory_mib"].contains(&key) {
        return Ok(toml::Value::String(value));
    }
    let number = value.trim().parse::<i64>().map(toml::Value::Integer);
    number.map_err(|_| Failure::input("TM0907", format!("{variable} must be a whole number")))
}

fn unreadable(file: &str, error: &toml::de::Error) -> Failure {
    let mut failure = Failure::input("TM0906", format!("{file} is not readable TOML"));
    failure.detail = error.to_string().lines().map(|line| format!("  {line}")).collect();
    failure
}

fn unknown(file: &str, text: &str, key: &str) -> Failure {
    let line = text.lines().position(|line| line.trim_start().trim_matches(['[', '"']).starts_with(key));
    let at = line.map_or_else(String::new, |line| format!(":{}", line + 1));
    let failure = Failure::input("TM0905", format!("{file}{at}: unknown key `{key}`"));
    match nearest(key, KEYS) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help(format!("the keys are {}", KEYS.join(", "))),
    }
}

/// The known word nearest to what was typed, when it is near enough to be meant.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|word| (strsim::damerau_levenshtein(typed, word), word));
    scored.filter(|(distance, word)| *distance <= 1 + word.len() / 4).min().map(|(_, word)| word)
}

#[cfg(test)]
mod tests;
