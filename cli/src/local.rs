//! The stores, the router and the runner of a project, in this process.

use std::future::Future;

use crate::failure::Failure;
use crate::project::Project;

/// How far a drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units there are, as far as known.
    pub total: u64,
    /// What is counted.
    pub what: &'static str,
}

/// A project opened in this process.
pub struct Local {
    router: axum::Router,
}

impl Local {
    /// Opens the project's stores; fails when another process has them open.
    pub async fn open(_project: &Project) -> Result<Local, Failure> {
        Ok(Local { router: axum::Router::new() })
    }

    /// The same router a server serves.
    pub fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// Brings running totals and pages up to date with the events.
    pub async fn drain_feed(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Does everything that is due, requests included.
    pub async fn drain(&self, _on: &mut dyn FnMut(Progress)) -> Result<(), Failure> {
        Ok(())
    }

    /// Serves until `shutdown`, doing what is due meanwhile.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Failure> {
        let served = axum::serve(listener, self.router).with_graceful_shutdown(shutdown).await;
        served.map_err(|error| Failure::failed("TM0911", format!("the server stopped: {error}")))
    }
}
