//! `--target aws`: the same router in this process, over the stores of a deployment in somebody's account.
//!
//! In: `aws`, or `aws:NAME` for a stack of another name. Out: a router for whoever holds the account's credentials: they
//! may do everything. What it asks for is worked off by the deployment's functions, not by this process.

use crate::failure::Failure;

/// The stack `target` names, if it names one.
pub fn stack_of(target: &str) -> Option<&str> {
    match target.split_once(':') {
        None => (target == "aws").then_some("tidemill"),
        Some((kind, stack)) => (kind == "aws").then_some(stack),
    }
}

/// A router over a stack's stores.
#[cfg(feature = "aws")]
pub async fn router(stack: &str) -> Result<axum::Router, Failure> {
    use std::sync::Arc;

    use tidemill_aws::stack::Cloud;
    use tidemill_aws::{Connection, Settings};

    use crate::cloud::failure;

    let cloud = Cloud::connect(None).await.map_err(failure)?;
    let found = cloud.stack(stack).await.map_err(failure)?.ok_or_else(|| {
        Failure::input("TM0941", format!("there is no stack `{stack}` in {}", cloud.region))
            .help("check --target aws:NAME and AWS_REGION; `tidemill deploy` makes one")
    })?;
    let settings = Settings::of_outputs(&found.outputs).map_err(|why| {
        Failure::failed("TM0935", format!("stack `{stack}` is {}: {why}", found.status))
            .help("wait until it is made, or run `tidemill deploy` again")
    })?;
    let stores = Connection::of(&cloud).stores(&settings);
    let stores = stores.map_err(|why| Failure::failed("TM0913", why.to_string()))?;
    Ok(tidemill_api::router(Arc::new(stores.context), true))
}

/// Says how to build what can.
#[cfg(not(feature = "aws"))]
pub async fn router(_stack: &str) -> Result<axum::Router, Failure> {
    Err(crate::commands::deploy::not_built("ask a deployment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_name_stacks() {
        assert_eq!(stack_of("aws"), Some("tidemill"));
        assert_eq!(stack_of("aws:orders"), Some("orders"));
        assert_eq!(stack_of("http://127.0.0.1:8080"), None);
        assert_eq!(stack_of("local"), None);
    }
}
