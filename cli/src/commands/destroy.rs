//! `tidemill destroy`: shows what would be removed, has the stack's name typed, removes it.
//!
//! With `--keep-data` the stack stays with its tables and buckets and nothing else; `deploy` brings the rest back. Data
//! is removed by no other way than without that option. What was begun is gone on with when it is run again.

use clap::Args;

use crate::failure::Failure;
use crate::session::Session;

/// Remove tidemill's stack from an AWS account
#[derive(Debug, Args)]
pub struct Destroy {
    /// The stack's name
    #[arg(long, value_name = "NAME", default_value = "tidemill")]
    stack: String,
    /// The AWS region [default: that of the environment or profile]
    #[arg(long)]
    region: Option<String>,
    /// Keep tables and buckets with all that is in them
    #[arg(long)]
    keep_data: bool,
    /// Don't ask: the stack's name once more
    #[arg(short, long, value_name = "NAME")]
    yes: Option<String>,
}

impl Destroy {
    /// Shows, asks, removes.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        on::run(self, session).await
    }
}

#[cfg(not(feature = "aws"))]
mod on {
    use super::{Destroy, Failure, Session};

    pub async fn run(_: Destroy, _: &Session) -> Result<(), Failure> {
        Err(crate::commands::deploy::not_built("destroy"))
    }
}

#[cfg(feature = "aws")]
mod on {
    use tidemill_aws::stack::choices::check_name;
    use tidemill_aws::stack::status::{Phase, phase, removable};
    use tidemill_aws::stack::{Cloud, Resource, Stack, Trouble, artifacts_name, bucket, template};

    use super::{Destroy, Failure, Session};
    use crate::cloud;
    use crate::render::table;
    use crate::terminal::Terminal;

    /// Types of buckets, which are emptied before they are removed.
    const BUCKETS: [&str; 2] = ["AWS::S3::Bucket", "AWS::S3Express::DirectoryBucket"];

    pub async fn run(destroy: Destroy, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        check_name(&destroy.stack).map_err(cloud::failure)?;
        destroy.check(terminal)?;
        let cloud = cloud::connect(session, destroy.region.as_deref()).await?;
        let stack = there(&cloud, &destroy.stack).await?;
        let artifacts = there(&cloud, &artifacts_name(&destroy.stack)).await?;
        if stack.is_none() && artifacts.is_none() {
            return Err(cloud::failure(Trouble::Absent { stack: destroy.stack }));
        }
        show(&cloud, terminal, [stack.as_ref(), artifacts.as_ref()], destroy.keep_data).await?;
        destroy.agree(terminal)?;
        if let Some(stack) = &stack {
            if destroy.keep_data {
                reduce(&cloud, terminal, stack).await?
            } else {
                take_away(&cloud, terminal, stack).await?
            }
        }
        if let Some(artifacts) = &artifacts {
            empty(&cloud, terminal, artifacts).await?;
            cloud::remove(&cloud, terminal, artifacts).await?;
        }
        let word = if destroy.keep_data { "removed all but the data" } else { "removed" };
        terminal.say(&format!("{word}: stack {}", destroy.stack));
        Ok(())
    }

    impl Destroy {
        /// Whether somebody can agree, before anything is called.
        fn check(&self, terminal: &Terminal) -> Result<(), Failure> {
            match &self.yes {
                Some(name) if *name != self.stack => Err(other_name(name, &self.stack)),
                None if !terminal.can_ask() => {
                    let why = "destroy asks before it removes anything, and there is nobody to ask";
                    Err(Failure::input("TM0943", why).help(format!("add --yes {}", self.stack)))
                }
                _ => Ok(()),
            }
        }

        fn agree(&self, terminal: &Terminal) -> Result<(), Failure> {
            if self.yes.is_some() {
                return Ok(());
            }
            let typed = terminal.ask_text(&format!("Type the stack's name ({}) to go on:", self.stack));
            if typed == self.stack { Ok(()) } else { Err(other_name(&typed, &self.stack)) }
        }
    }

    fn other_name(typed: &str, stack: &str) -> Failure {
        let message = format!("`{typed}` is not the stack's name: nothing was removed");
        Failure::input("TM0945", message).help(format!("the stack is called {stack}; --stack chooses another"))
    }

    /// A stack that can be removed, if there is one.
    async fn there(cloud: &Cloud, name: &str) -> Result<Option<Stack>, Failure> {
        let Some(stack) = cloud.stack(name).await.map_err(cloud::failure)? else { return Ok(None) };
        let phase = removable(&stack).map_err(cloud::failure)?;
        Ok((phase != Phase::Gone).then_some(stack))
    }

    /// Shows what goes and what stays.
    async fn show(
        cloud: &Cloud,
        terminal: &Terminal,
        stacks: [Option<&Stack>; 2],
        keep_data: bool,
    ) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for stack in stacks.into_iter().flatten() {
            let kept = if keep_data { kept_ids(cloud, stack).await? } else { Vec::new() };
            for resource in live(cloud, stack).await? {
                let sign = if kept.contains(&resource.id) { "kept" } else { "-" };
                lines.push(vec![sign.to_owned(), resource.id, resource.kind, resource.physical]);
            }
        }
        let header = ["", "resource", "type", "name"].map(str::to_owned);
        let text = table::of_texts(&header, &lines, &[], terminal.columns());
        if terminal.json {
            terminal.say(&text);
            return Ok(());
        }
        terminal.print(&text)
    }

    /// The resources that are there.
    async fn live(cloud: &Cloud, stack: &Stack) -> Result<Vec<Resource>, Failure> {
        let resources = cloud.resources(&stack.id).await.map_err(cloud::failure)?;
        Ok(resources.into_iter().filter(|resource| resource.status != "DELETE_COMPLETE").collect())
    }

    /// What the stack's own template keeps; of one that was never made, nothing.
    async fn kept_ids(cloud: &Cloud, stack: &Stack) -> Result<Vec<String>, Failure> {
        if phase(&stack.status) != Phase::Ready {
            return Ok(Vec::new());
        }
        let deployed = cloud.template(&stack.id).await.map_err(cloud::failure)?;
        template::kept_ids(&deployed).map_err(cloud::failure)
    }

    /// Leaves of a stack only what holds data. One that was never made holds none.
    async fn reduce(cloud: &Cloud, terminal: &Terminal, stack: &Stack) -> Result<(), Failure> {
        match phase(&stack.status) {
            Phase::Ready => {
                let deployed = cloud.template(&stack.id).await.map_err(cloud::failure)?;
                let template = template::kept(&deployed).map_err(cloud::failure)?;
                update(cloud, terminal, stack, &template).await
            }
            // Its template lets go of the data already.
            _ if stack.status.starts_with("DELETE") => {
                let message = format!("stack `{}` was being removed with its data, and that did not end", stack.name);
                Err(Failure::failed("TM0948", message).help("leave --keep-data out to go on with it"))
            }
            _ => cloud::remove(cloud, terminal, stack).await,
        }
    }

    /// Removes a stack with its data: the functions first, so that nobody writes any more, then what buckets hold, then
    /// the rest.
    async fn take_away(cloud: &Cloud, terminal: &Terminal, stack: &Stack) -> Result<(), Failure> {
        // One whose removal was begun holds nothing back any more; one that was never made has nothing.
        if phase(&stack.status) == Phase::Ready {
            let deployed = cloud.template(&stack.id).await.map_err(cloud::failure)?;
            if !template::kept_ids(&deployed).map_err(cloud::failure)?.is_empty() {
                let template = template::released(&deployed).map_err(cloud::failure)?;
                update(cloud, terminal, stack, &template).await?;
            }
        }
        empty(cloud, terminal, stack).await?;
        cloud::remove(cloud, terminal, stack).await
    }

    /// Brings a stack to a template that is less than its own.
    async fn update(cloud: &Cloud, terminal: &Terminal, stack: &Stack, template: &str) -> Result<(), Failure> {
        let plan = cloud.plan(&stack.name, Some(stack), template, &stack.parameters).await.map_err(cloud::failure)?;
        match plan {
            Some(plan) => cloud::execute(cloud, terminal, &plan).await.map(drop),
            None => Ok(()),
        }
    }

    /// Empties a stack's buckets.
    async fn empty(cloud: &Cloud, terminal: &Terminal, stack: &Stack) -> Result<(), Failure> {
        for resource in live(cloud, stack).await?.iter().filter(|resource| BUCKETS.contains(&resource.kind.as_str())) {
            let spinner = terminal.spinner(&format!("emptying {}", resource.physical));
            let objects = bucket::empty(cloud, &resource.physical).await;
            spinner.finish_and_clear();
            let objects = objects.map_err(cloud::failure)?;
            terminal.say(&format!("  {} objects removed from {}", objects, resource.physical));
        }
        Ok(())
    }
}
