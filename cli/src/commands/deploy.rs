//! `tidemill deploy`: plans the stack's changes, shows them, asks, makes them, and says how to go on.
//!
//! What is wrong with options and files is told before anything is called. Only builds with the feature `aws` deploy;
//! the others say so.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::session::Session;

/// Make or change tidemill's stack in an AWS account
#[derive(Debug, Args)]
pub struct Deploy {
    /// The stack's name; tables, queues and buckets are named after it
    #[arg(long, value_name = "NAME", default_value = "tidemill")]
    stack: String,
    /// The AWS region [default: that of the environment or profile]
    #[arg(long)]
    region: Option<String>,
    /// The functions' program `bootstrap`, or a zip that holds it [default: beside this program]
    #[arg(long, value_name = "FILE")]
    function: Option<PathBuf>,
    /// Id of an availability zone for a fast copy of pages in S3 Express One Zone, like use1-az4; '' for none
    #[arg(long, value_name = "ZONE")]
    express_zone: Option<String>,
    /// Days that logs are kept [default at first: 30]
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<String>,
    /// US dollars a month that the account is to cost at most; 0 for no budget [default at first: 0]
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    budget_usd: Option<String>,
    /// Who is told when the budget is nearly spent
    #[arg(long, value_name = "ADDRESS")]
    budget_email: Option<String>,
    /// A Kinesis stream for producers, paid by the hour: off, on-demand or a number of shards [default at first: off]
    #[arg(long, value_name = "off|on-demand|SHARDS", allow_hyphen_values = true)]
    kinesis: Option<String>,
    /// How often a period asks for its missing days before it is published as partial [default at first: 3]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    repair_attempts: Option<String>,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

impl Deploy {
    /// Plans, asks, makes.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        on::run(self, session).await
    }
}

#[cfg(not(feature = "aws"))]
mod on {
    use super::{Deploy, Failure, Session};

    pub async fn run(_: Deploy, _: &Session) -> Result<(), Failure> {
        Err(super::not_built("deploy"))
    }
}

/// Says that this build cannot.
#[cfg(not(feature = "aws"))]
pub fn not_built(command: &str) -> Failure {
    Failure::input("TM0946", format!("this build cannot {command}: it knows nothing of AWS"))
        .help("build it with `cargo install --path cli --features aws`")
}

#[cfg(feature = "aws")]
mod on {
    use std::path::Path;

    use tidemill_aws::stack::choices::{Code, check_name};
    use tidemill_aws::stack::status::changeable;
    use tidemill_aws::stack::{Archive, Choices, Cloud, Plan, Stack, Trouble, artifacts_name, bucket, template};

    use super::{Deploy, Failure, Session};
    use crate::cloud;
    use crate::json::quoted;
    use crate::terminal::Terminal;

    pub async fn run(deploy: Deploy, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        check_name(&deploy.stack).map_err(cloud::failure)?;
        let choices = deploy.choices();
        choices.check().map_err(cloud::failure)?;
        if !deploy.yes && !terminal.can_ask() {
            let why = "deploy asks before it changes anything, and there is nobody to ask";
            return Err(Failure::input("TM0943", why).help("add --yes"));
        }
        let archive = deploy.archive(terminal)?;
        let cloud = cloud::connect(session, deploy.region.as_deref()).await?;
        let before = ready(&cloud, &deploy.stack).await?;
        let code = code(&cloud, terminal, &deploy.stack, &archive).await?;
        let had: &[(String, String)] = before.as_ref().map_or(&[], |stack| &stack.parameters);
        let parameters = choices.parameters(had, &code).map_err(cloud::failure)?;
        let template = template::main().map_err(cloud::failure)?;
        let plan = cloud.plan(&deploy.stack, before.as_ref(), &template, &parameters).await.map_err(cloud::failure)?;
        match (plan, before) {
            (Some(plan), _) => {
                agree(&cloud, terminal, &plan, deploy.yes).await?;
                let stack = cloud::execute(&cloud, terminal, &plan).await?;
                done(terminal, &stack, if plan.creates { "created" } else { "updated" })
            }
            (None, Some(stack)) => {
                terminal.say("nothing to change");
                done(terminal, &stack, "unchanged")
            }
            (None, None) => Err(cloud::failure(Trouble::Absent { stack: deploy.stack })),
        }
    }

    impl Deploy {
        fn choices(&self) -> Choices {
            Choices {
                express_zone: self.express_zone.clone(),
                retention_days: self.retention_days.clone(),
                budget_usd: self.budget_usd.clone(),
                budget_email: self.budget_email.clone(),
                kinesis: self.kinesis.clone(),
                repair_attempts: self.repair_attempts.clone(),
            }
        }

        /// The functions' archive.
        fn archive(&self, terminal: &Terminal) -> Result<Archive, Failure> {
            let path = match &self.function {
                Some(path) => path.clone(),
                None => beside().ok_or_else(|| {
                    Failure::input("TM0933", "there is no program for the functions beside this one")
                        .help("give it with --function: the program `bootstrap`, or a zip that holds it")
                })?,
            };
            let bytes = std::fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
            let archive = Archive::of(&path.display().to_string(), bytes).map_err(cloud::failure)?;
            let size = archive.bytes.len() as f64 / 1e6;
            terminal.say(&format!("functions: {} for {}, {size:.1} MB", path.display(), archive.architecture));
            Ok(archive)
        }
    }

    /// The functions' program, where releases put it.
    fn beside() -> Option<std::path::PathBuf> {
        let own = std::env::current_exe().ok()?;
        let folder = own.parent().unwrap_or(Path::new("."));
        ["bootstrap", "bootstrap.zip"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
    }

    /// The stack as it is, if there is one, once it is known that it can be changed.
    async fn ready(cloud: &Cloud, name: &str) -> Result<Option<Stack>, Failure> {
        let stack = cloud.stack(name).await.map_err(cloud::failure)?;
        if let Some(stack) = &stack {
            changeable(stack).map_err(cloud::failure)?;
        }
        Ok(stack)
    }

    /// Has the archive where functions are made from. A bucket for it comes first, as a stack of its own.
    async fn code(cloud: &Cloud, terminal: &Terminal, stack: &str, archive: &Archive) -> Result<Code, Failure> {
        let name = artifacts_name(stack);
        let before = ready(cloud, &name).await?;
        let template = template::artifacts().map_err(cloud::failure)?;
        let plan = cloud.plan(&name, before.as_ref(), &template, &[]).await.map_err(cloud::failure)?;
        let made = match (plan, before) {
            (Some(plan), _) => cloud::execute(cloud, terminal, &plan).await?,
            (None, Some(stack)) => stack,
            (None, None) => return Err(cloud::failure(Trouble::Absent { stack: name })),
        };
        let bucket = made.output("Bucket").unwrap_or_default().to_owned();
        let spinner = terminal.spinner("uploading the functions");
        let uploaded = bucket::upload(cloud, &bucket, archive).await;
        spinner.finish_and_clear();
        let word = if uploaded.map_err(cloud::failure)? { "uploaded" } else { "uploaded before" };
        terminal.say(&format!("functions: {word}, {bucket}/{}", archive.key));
        Ok(Code { bucket, key: archive.key.clone(), architecture: archive.architecture.to_owned() })
    }

    /// Shows a plan and asks; one that is not wanted is taken away.
    async fn agree(cloud: &Cloud, terminal: &Terminal, plan: &Plan, yes: bool) -> Result<(), Failure> {
        let shown = cloud::planned(&plan.changes, terminal);
        if terminal.json {
            terminal.say(&shown)
        } else {
            terminal.print(&shown)?
        }
        if yes || terminal.ask(&format!("Make {} to stack {}?", cloud::changes(plan), plan.name)) {
            return Ok(());
        }
        cloud.discard(plan).await.map_err(cloud::failure)?;
        Err(Failure::failed("TM0944", "nothing was changed"))
    }

    /// Says what there is now, and how to go on.
    fn done(terminal: &Terminal, stack: &Stack, word: &str) -> Result<(), Failure> {
        if terminal.json {
            let pair = |(name, value): &(String, String)| format!("{}:{}", quoted(name), quoted(value));
            let outputs: Vec<String> = stack.outputs.iter().map(pair).collect();
            let (name, outputs) = (quoted(&stack.name), outputs.join(","));
            return terminal.print(&format!("{{\"stack\":{name},\"change\":\"{word}\",\"outputs\":{{{outputs}}}}}"));
        }
        let width = stack.outputs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &stack.outputs {
            terminal.print(&format!("{name:width$}  {value}"))?;
        }
        if let Some(url) = stack.output("Url").map(|url| url.trim_end_matches('/')) {
            terminal.say("next");
            let target = if stack.name == "tidemill" { "aws".to_owned() } else { format!("aws:{}", stack.name) };
            terminal.say(&format!("  tidemill --target {target} apply"));
            terminal.say(&format!("  tidemill --target {target} keys add --right write producers"));
            terminal
                .say(&format!("  curl -H 'Authorization: Bearer KEY' --data-binary @events.ndjson {url}/v1/events"));
        }
        Ok(())
    }
}
