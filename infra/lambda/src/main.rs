//! `bootstrap`: what Lambda starts. Reads its role and its stores' names, and takes calls.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use serde_json::value::RawValue;
use tidemill_aws::{Connection, Settings};
use tidemill_lambda::function::instant;
use tidemill_lambda::{Failure, Function, Role};
use tidemill_rollups::merge::REPAIR_ATTEMPTS_DEFAULT;
use tidemill_schemas::event::SOURCE_DEFAULT;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // Lambda stamps every line itself.
    tracing_subscriber::fmt().json().flatten_event(true).without_time().with_env_filter(filter).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!(why, "the function does not start");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let role = Role::read(&variable("TIDEMILL_ROLE").unwrap_or_default())?;
    let settings = Settings::read(std::env::vars())?;
    let repair_attempts = match variable("TIDEMILL_REPAIR_ATTEMPTS") {
        Some(text) => text.parse().map_err(|_| format!("TIDEMILL_REPAIR_ATTEMPTS is `{text}`: a whole number"))?,
        None => REPAIR_ATTEMPTS_DEFAULT,
    };
    let source_default = variable("TIDEMILL_SOURCE").unwrap_or_else(|| SOURCE_DEFAULT.to_owned());
    let stores = Connection::open(None).await.stores(&settings).map_err(|why| why.to_string())?;
    let metrics = metrics_cloudwatch_embedded::Builder::new()
        .cloudwatch_namespace("tidemill")
        .with_dimension("function", role.word())
        .init()
        .map_err(|why| why.to_string())?;
    if role == Role::Api {
        // Whoever can reach the URL is a stranger until a key says otherwise.
        let router = tidemill_api::router(Arc::new(stores.context), false);
        return lambda_http::run(router).await.map_err(|why| why.to_string());
    }
    let function = Arc::new(Function { role, stores, repair_attempts, source_default });
    let call = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let function = Arc::clone(&function);
        // Boxed: all handlers in one future are more than the compiler looks through.
        Box::pin(async move {
            let LambdaEvent { payload, context } = event;
            let answer: Result<Value, Failure> = function.call(payload.get(), instant(context.deadline)).await;
            metrics::counter!("calls").increment(1);
            if let Err(why) = &answer {
                metrics::counter!("failed_calls").increment(1);
                tracing::warn!(%why, "a call failed");
            }
            // Numbers that cannot be written are not worth a call.
            let _written = metrics.flush(std::io::stdout());
            answer.map_err(lambda_runtime::Error::from)
        })
    });
    lambda_runtime::run(call).await.map_err(|why| why.to_string())
}
