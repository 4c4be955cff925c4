//! The schedule: a firing → `on_firing`.
//!
//! A schedule that fires once is gone then, so a firing that could not be done now is put again for a little later; a
//! rate fires again by itself.

use serde_json::{Value, json};
use tidemill_aws::schedule::Fired;
use tidemill_ports::{Context, Entry, Outcome, When};
use tidemill_rollups::on_firing::on_firing;

use crate::Failure;

/// Seconds until a firing that could not be done comes again.
const AGAIN_SECONDS: i64 = 60;

/// One call.
///
/// # Errors
/// See [`Failure`].
pub async fn on_event(context: &Context, event: &str) -> Result<Value, Failure> {
    let unreadable = |why: String| Failure::Unreadable { role: "dispatcher", why };
    let fired: Fired = serde_json::from_str(event).map_err(|why| unreadable(why.to_string()))?;
    let payload = fired.payload().map_err(|why| unreadable(why.to_string()))?;
    let now = context.clock.now();
    let scheduled = fired.scheduled_at().unwrap_or(now);
    metrics::gauge!("lag_milliseconds").set(((now.micros() - scheduled.micros()).max(0) / 1000) as f64);
    match on_firing(context, &fired.name, &payload, scheduled).await {
        Outcome::Done => Ok(json!({})),
        Outcome::RetryFrom(_) => {
            let why = format!("firing {} will be tried again; the log says why", fired.name);
            if !fired.is_once() {
                return Err(Failure::Again(why));
            }
            tracing::warn!("{why}");
            let when = When::At(now.plus_seconds(AGAIN_SECONDS));
            let put = context.schedule.put(Entry { name: fired.name, when, payload }).await;
            put.map(|()| json!({})).map_err(|why| Failure::Again(why.to_string()))
        }
        Outcome::Park(why) => {
            metrics::counter!("parked").increment(1);
            tracing::error!(firing = fired.name, why, "a firing can never be done; it is dropped");
            Ok(json!({}))
        }
    }
}
