//! Wall time, for the command line alone: `--last 7d` counts back from it. Nothing below the commands asks.

use tidemill_schemas::time::Timestamp;

/// The time now.
#[allow(clippy::disallowed_methods, reason = "the outermost edge: the person at the keyboard has this clock")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(0))
}
