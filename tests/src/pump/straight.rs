//! The pump driven straight: one delivery after the other, over any source, for tests of real adapters.

use std::collections::BTreeMap;

use tidemill_ports::{Error, Outcome};
use tidemill_schemas::time::Timestamp;

use super::mapping::{Answer, Delivery, Mapping};
use super::source::Source;
use crate::generator::Random;

/// Deliveries in a row without progress before a test is told so.
const STUCK_MAX: u32 = 1_000;

/// What driving a mapping until its source is empty came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Straight {
    /// Deliveries made.
    pub deliveries: u64,
    /// Of them, how many were made although they had been answered: answers get lost.
    pub lost_answers: u64,
    /// Reasons of outcomes that can never be done.
    pub parked: Vec<String>,
}

/// Delivers until nothing is left. `answers_lost_percent` of the answers never reach the mapping, which then delivers
/// again, cut anew. `now` is the time at every look: the pause after a failure is not waited for.
///
/// # Errors
/// The source's.
///
/// # Panics
/// When nothing moves any more.
pub async fn deliver_all<S: Source>(
    mapping: &mut Mapping,
    source: &S,
    mut now: Timestamp,
    random: &mut Random,
    answers_lost_percent: u64,
    mut handler: impl AsyncFnMut(Delivery) -> Outcome,
) -> Result<Straight, Error> {
    let mut told = Straight::default();
    let mut stuck: BTreeMap<String, u32> = BTreeMap::new();
    loop {
        let mut due = mapping.due(source, now, random).await?;
        if due.is_empty() {
            match mapping.next_time() {
                Some(time) if time > now => now = time,
                _ if mapping.is_idle(source).await? => return Ok(told),
                // A shard has just been found to be over: its children are due now.
                _ => {}
            }
        }
        random.shuffle(&mut due);
        for delivery in due {
            let (range, count) = (delivery.range.clone(), delivery.records.len());
            told.deliveries += 1;
            let answer = match handler(delivery).await {
                _ if random.chance(answers_lost_percent) => {
                    told.lost_answers += 1;
                    Answer::Failed
                }
                Outcome::Done => Answer::Done,
                Outcome::RetryFrom(from) => Answer::FailedFrom(from),
                Outcome::Park(why) => {
                    told.parked.push(why);
                    Answer::Failed
                }
            };
            let attempts = stuck.entry(range.shard.clone()).or_default();
            *attempts = if answer == Answer::Done { 0 } else { *attempts + 1 };
            assert!(*attempts < STUCK_MAX, "{} makes no progress", range.shard);
            mapping.ended(&range, count, answer, now, random);
        }
    }
}
