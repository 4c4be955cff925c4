//! What a mapping does with the messages of a queue once their handler has answered: SQS with a report of batch item
//! failures.

use tidemill_ports::{Message, Outcome};

/// What becomes of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Receipts to delete.
    pub done: Vec<String>,
    /// Messages that come again when they are visible again.
    pub again: usize,
    /// Messages their handler can never do, with the reason. They too come again until they are dead letters: a report
    /// knows only items that failed.
    pub parked: Vec<String>,
}

/// Sorts messages by their outcomes. `None`: the handler gave no answer, and everything comes again.
///
/// # Panics
/// When there is not an outcome for each message.
pub fn settle(messages: &[Message], outcomes: Option<Vec<Outcome>>) -> Settled {
    let mut settled = Settled::default();
    let Some(outcomes) = outcomes else {
        settled.again = messages.len();
        return settled;
    };
    assert_eq!(outcomes.len(), messages.len(), "an outcome for each message");
    for (message, outcome) in messages.iter().zip(outcomes) {
        match outcome {
            Outcome::Done => settled.done.push(message.receipt.clone()),
            Outcome::RetryFrom(_) => settled.again += 1,
            Outcome::Park(why) => settled.parked.push(why),
        }
    }
    settled
}
