//! What `deploy` and `destroy` share: connecting, showing what is planned, following it, and saying what went wrong.
//!
//! In: what infra/aws says of a stack. Out: tables, lines of progress, and a [`Failure`] with a code and a next step for
//! every kind of trouble. Nothing is decided here but how it is told.

use indicatif::ProgressBar;
use tidemill_aws::stack::{Change, Cloud, Plan, Stack, Step, Trouble, follow};

use crate::failure::Failure;
use crate::render::number::counted;
use crate::render::table;
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Connects, and says whose account it is.
pub async fn connect(session: &Session, region: Option<&str>) -> Result<Cloud, Failure> {
    let cloud = Cloud::connect(region).await.map_err(failure)?;
    let caller = cloud.caller().await.map_err(failure)?;
    session.terminal.say(&format!("account {}, region {}, as {}", caller.account, cloud.region, caller.arn));
    Ok(cloud)
}

/// What a plan does, as a table.
pub fn planned(changes: &[Change], terminal: &Terminal) -> String {
    let header = ["", "resource", "type", "replaced"].map(str::to_owned);
    let line = |change: &Change| {
        let sign = match change.action.as_str() {
            "Add" => "+",
            "Remove" => "-",
            "Modify" => "~",
            other => other,
        };
        let replaced = match change.replacement.as_str() {
            "True" => "yes",
            "Conditional" => "perhaps",
            _ => "",
        };
        vec![sign.to_owned(), change.id.clone(), change.kind.clone(), replaced.to_owned()]
    };
    let mut lines: Vec<Vec<String>> = changes.iter().map(line).collect();
    lines.sort();
    table::of_texts(&header, &lines, &[], terminal.columns())
}

/// Makes a plan's changes and follows them to their end.
pub async fn execute(cloud: &Cloud, terminal: &Terminal, plan: &Plan) -> Result<Stack, Failure> {
    let mark = follow::mark(cloud, &plan.stack).await.map_err(failure)?;
    cloud.execute(plan).await.map_err(failure)?;
    to_end(cloud, terminal, &plan.stack, mark).await
}

/// Removes a stack and follows that to its end.
pub async fn remove(cloud: &Cloud, terminal: &Terminal, stack: &Stack) -> Result<(), Failure> {
    let mark = follow::mark(cloud, &stack.id).await.map_err(failure)?;
    cloud.delete(&stack.id).await.map_err(failure)?;
    to_end(cloud, terminal, &stack.id, mark).await.map(drop)
}

async fn to_end(cloud: &Cloud, terminal: &Terminal, stack: &str, mark: Option<String>) -> Result<Stack, Failure> {
    let bar = terminal.spinner("waiting for CloudFormation");
    let done = follow::to_end(cloud, stack, mark, &mut |step| tell(terminal, &bar, step)).await;
    bar.finish_and_clear();
    done.map_err(failure)
}

/// Tells a step: a line for what is done or failed, the spinner for what is under way.
fn tell(terminal: &Terminal, bar: &ProgressBar, step: &Step) {
    let what = format!("{} ({})", step.id, step.kind);
    if step.status.ends_with("_IN_PROGRESS") {
        bar.set_message(format!("{} {what}", verb(&step.status)));
        return;
    }
    let failed = step.status.ends_with("_FAILED");
    let mark = if failed { terminal.mark(Mark::Red, "✗") } else { terminal.mark(Mark::Green, "✓") };
    let why = if failed && !step.reason.is_empty() { format!(": {}", step.reason) } else { String::new() };
    bar.suspend(|| terminal.say(&format!("  {mark} {} {what}{why}", verb(&step.status))));
}

/// `create` of `CREATE_IN_PROGRESS`.
fn verb(status: &str) -> String {
    let word = ["_IN_PROGRESS", "_COMPLETE", "_FAILED"].iter().find_map(|end| status.strip_suffix(end));
    word.unwrap_or(status).replace('_', " ").to_lowercase()
}

/// Says how many changes there are, as part of a question.
pub fn changes(plan: &Plan) -> String {
    counted(plan.changes.len() as u64, "change")
}

/// What a person reads of a trouble, with its code and the next step.
pub fn failure(trouble: Trouble) -> Failure {
    let message = trouble.to_string();
    match trouble {
        Trouble::Choice { fix, .. } => Failure::input("TM0930", message).help(fix),
        Trouble::NoCredentials { why } => Failure::input("TM0931", message).detail(why).help(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE after `aws configure` or `aws sso login`",
        ),
        Trouble::NoRegion => Failure::input("TM0932", message).help("add --region, or set AWS_REGION"),
        Trouble::Archive { fix, .. } => Failure::input("TM0933", message).help(fix),
        Trouble::Busy { .. } => Failure::failed("TM0934", message)
            .help("another deployment is under way: wait until it is done, then run this again"),
        Trouble::HalfMade { stack, .. } => Failure::failed("TM0935", message).help(format!(
            "`tidemill destroy --stack {stack}` clears it away (a plan that somebody is still asked about, too); then \
             run this again"
        )),
        Trouble::Denied { action, why } => Failure::failed("TM0936", message)
            .detail(why)
            .help(format!("the credentials need {action}: ask whoever looks after the account, or use others")),
        Trouble::Failed { reasons, .. } => failed(message, reasons),
        Trouble::Unreachable { why, .. } => Failure::failed("TM0938", message_of(&message, &why))
            .help("check the network, --region and, for a service that is not AWS, AWS_ENDPOINT_URL"),
        Trouble::Service { .. } => Failure::failed("TM0939", message).help("the CloudFormation console shows the stack"),
        Trouble::Stuck { stack, .. } => Failure::failed("TM0940", message).help(format!(
            "`aws cloudformation continue-update-rollback --stack-name {stack}` takes the update back; then run this again"
        )),
        Trouble::Absent { .. } => Failure::input("TM0941", message)
            .help("check --stack and --region; `tidemill deploy` makes one"),
        Trouble::Foreign { .. } => Failure::input("TM0947", message)
            .help("it was made from another template, and tidemill leaves it alone: choose another --stack"),
        Trouble::Bucket { .. } => Failure::failed("TM0942", message).help("run this again; it goes on where it ended"),
    }
}

fn message_of(message: &str, why: &str) -> String {
    if message.contains(why) { message.to_owned() } else { format!("{message}: {why}") }
}

/// Resources that failed, and what helps with the first.
fn failed(message: String, reasons: Vec<String>) -> Failure {
    let text = reasons.join("\n");
    let help = if let Some(action) = reasons.iter().find_map(|reason| tidemill_aws::stack::trouble::action(reason)) {
        format!("the credentials need {action}: ask whoever looks after the account, or use others")
    } else if text.contains("already exists") {
        "something of that name is there already, perhaps kept from an earlier stack: choose another --stack, or remove \
         it by hand if nobody needs it"
            .to_owned()
    } else if text.contains("not empty") {
        "somebody wrote to the bucket meanwhile: run this again".to_owned()
    } else {
        "what failed was taken back; fix what it says and run this again".to_owned()
    };
    let mut failure = Failure::failed("TM0937", message).help(help);
    failure.detail = reasons.into_iter().map(|reason| format!("  {reason}")).collect();
    failure
}

#[cfg(test)]
mod tests;
