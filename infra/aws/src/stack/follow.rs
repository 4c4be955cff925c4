//! Following an operation: its steps as they happen, and how it ends.
//!
//! In: a stack under way. Out: each step once, in order, and the stack as it ends; or every resource that failed, with
//! AWS's reason. It waits with a bound, and asks less often the longer it takes.

use std::time::Duration;

use super::status::{Phase, came_through, phase};
use super::{Cloud, Stack, Trouble};

/// First pause between two looks, in milliseconds.
const PAUSE_FIRST_MILLIS: u64 = 200;
/// Longest pause between two looks, in milliseconds.
const PAUSE_MILLIS_MAX: u64 = 3_000;
/// How long one operation is followed: a stack takes minutes.
const FOLLOWED_SECONDS_MAX: u64 = 3_600;
/// The type of a stack itself among its resources.
const STACK_KIND: &str = "AWS::CloudFormation::Stack";

/// Something that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The event's id.
    pub event: String,
    /// What the template calls the resource.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its status now.
    pub status: String,
    /// Why, where there is a reason.
    pub reason: String,
}

impl Step {
    /// Whether this is the stack's own.
    pub fn is_of_stack(&self) -> bool {
        self.kind == STACK_KIND
    }

    /// Whether a resource failed by itself, rather than because another did.
    fn is_cause(&self) -> bool {
        let cancelled =
            self.reason.contains("cancelled") || self.reason.starts_with("The following resource(s) failed");
        self.status.ends_with("_FAILED") && !cancelled && !(self.is_of_stack() && self.reason.is_empty())
    }
}

/// Pauses that grow, with an end.
#[derive(Debug)]
pub struct Pause {
    millis: u64,
    waited_millis: u64,
}

impl Default for Pause {
    fn default() -> Pause {
        Pause { millis: PAUSE_FIRST_MILLIS, waited_millis: 0 }
    }
}

impl Pause {
    /// Waits a little longer than the last time.
    ///
    /// # Errors
    /// When that was long enough.
    pub async fn wait(&mut self, stack: &str) -> Result<(), Trouble> {
        if self.waited_millis > FOLLOWED_SECONDS_MAX * 1000 {
            return Err(Trouble::Busy { stack: stack.to_owned(), status: "for an hour".to_owned() });
        }
        tokio::time::sleep(Duration::from_millis(self.millis)).await;
        self.waited_millis += self.millis;
        self.millis = (self.millis * 3 / 2).min(PAUSE_MILLIS_MAX);
        Ok(())
    }
}

/// Where a stack's events end now; steps after it belong to what begins next.
///
/// # Errors
/// What CloudFormation says.
pub async fn mark(cloud: &Cloud, stack: &str) -> Result<Option<String>, Trouble> {
    cloud.newest_event(stack).await
}

/// Follows what began after `mark` to its end, and tells each step. `stack`: its id.
///
/// # Errors
/// [`Trouble::Failed`] when it did not come through, and what CloudFormation says.
pub async fn to_end(
    cloud: &Cloud,
    stack: &str,
    mark: Option<String>,
    tell: &mut (dyn FnMut(&Step) + Send),
) -> Result<Stack, Trouble> {
    let mut pause = Pause::default();
    let mut last = mark;
    let mut causes = Vec::new();
    // What the stack itself was last said to be: its status alone may still be the one of before.
    let mut said = None;
    loop {
        // The status first: whatever happened before it is among the events that are read after it.
        let now = cloud.stack(stack).await?.ok_or_else(|| Trouble::Absent { stack: stack.to_owned() })?;
        let steps = cloud.events(stack, last.as_deref()).await?;
        last = steps.first().map(|step| step.event.clone()).or(last);
        for step in steps.iter().rev() {
            tell(step);
            if step.is_of_stack() {
                said = Some(step.status.clone());
            }
            if step.is_cause() {
                causes.push(format!("{} ({}): {}", step.id, step.kind, step.reason));
            }
        }
        let is_under_way = matches!(phase(&now.status), Phase::Busy | Phase::Planned);
        if is_under_way || said.as_ref() != Some(&now.status) {
            pause.wait(&now.name).await?;
            continue;
        }
        if came_through(&now.status) {
            return Ok(now);
        }
        let what = format!("it did not come through ({})", now.status);
        return Err(Trouble::Failed { stack: now.name, what, reasons: causes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_failed_by_itself_is_a_cause() {
        let step = |kind: &str, status: &str, reason: &str| Step {
            event: "1".to_owned(),
            id: "A".to_owned(),
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        };
        assert!(step("AWS::SQS::Queue", "CREATE_FAILED", "not authorized to perform: sqs:CreateQueue").is_cause());
        assert!(!step("AWS::SQS::Queue", "CREATE_FAILED", "Resource creation cancelled").is_cause());
        assert!(!step("AWS::SQS::Queue", "CREATE_COMPLETE", "").is_cause());
        assert!(!step(STACK_KIND, "DELETE_FAILED", "The following resource(s) failed to delete: [Bucket].").is_cause());
    }
}
