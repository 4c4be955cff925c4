//! `tidemill up`: the project's API on this machine, until it is told to stop.

use std::net::SocketAddr;

use clap::Args;
use tokio::net::TcpListener;

use crate::client::server_file;
use crate::failure::Failure;
use crate::local::Local;
use crate::project::Project;
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Serve the project's API on this machine
#[derive(Debug, Args)]
pub struct Up {
    /// Where to listen [default: `listen` of tidemill.toml, else 127.0.0.1:7600]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl Up {
    /// Serves until ctrl-c or SIGTERM.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let project = session.project()?;
        let address = address(self.listen.as_deref().unwrap_or(&project.settings.listen))?;
        if let Some(url) = server_file::alive(&project).await {
            return Err(Failure::failed("TM0911", format!("this project is being served already, at {url}"))
                .help("every command finds it there; stop it with ctrl-c where it runs"));
        }
        let listener = bind(address).await?;
        let local = Local::open(&project).await?;
        serve(&session.terminal, &project, local, listener).await
    }
}

/// Reads an address; refuses one that others can reach, because this version has no keys to ask them for.
pub fn address(text: &str) -> Result<SocketAddr, Failure> {
    let text = text.strip_prefix("localhost:").map_or(text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let Ok(address) = text.parse::<SocketAddr>() else {
        return Err(Failure::input("TM0921", format!("`{text}` is no address with a port"))
            .help("write it like 127.0.0.1:7600"));
    };
    if !address.ip().is_loopback() {
        return Err(Failure::input(
            "TM0922",
            format!("{address} can be reached from other machines, and there are no keys"),
        )
        .help("listen on 127.0.0.1 and put a proxy that asks for credentials in front"));
    }
    Ok(address)
}

/// Takes the port.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let next = address.port().checked_add(1).unwrap_or(0);
            Failure::failed("TM0923", format!("port {} is taken by another program", address.port()))
                .help(format!("use another one: --listen {}:{next}", address.ip()))
        }
        std::io::ErrorKind::PermissionDenied => {
            Failure::failed("TM0923", format!("no permission to listen on {address}")).help("use a port above 1023")
        }
        _ => Failure::failed("TM0923", format!("cannot listen on {address}: {error}")),
    })
}

/// Serves, announced in `.tidemill/server.json`, until ctrl-c or SIGTERM.
pub async fn serve(terminal: &Terminal, project: &Project, local: Local, listener: TcpListener) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(|error| Failure::failed("TM0923", error.to_string()))?;
    let url = format!("http://{address}");
    let announced = server_file::announce(project, &url)?;
    terminal.say(&format!("{} {}", terminal.mark(Mark::Green, "serving"), terminal.mark(Mark::Bold, &url)));
    terminal.say(&format!("  curl -s {url}/v1/insights"));
    terminal.say("  tidemill send, query, backfill … in this project find it by themselves");
    terminal.say("  ctrl-c stops it");
    let served = local.serve(listener, stopped(terminal.clone())).await;
    drop(announced);
    served
}

/// Until ctrl-c or SIGTERM.
async fn stopped(terminal: Terminal) {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<Option<()>>();
    tokio::select! {
        _ = interrupt => {}
        _ = terminate => {}
    }
    terminal.say("stopping");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_says_so() {
        let first = bind(address("127.0.0.1:0").expect("loopback")).await.expect("a port");
        let port = first.local_addr().expect("an address").port();
        let failure = bind(address(&format!("localhost:{port}")).expect("loopback")).await.expect_err("taken");
        assert_eq!(failure.message, format!("port {port} is taken by another program"));
    }

    #[test]
    fn only_this_machine_is_served() {
        for open in ["0.0.0.0:7600", "192.168.1.4:80", "[::]:7600"] {
            assert_eq!(address(open).expect_err(open).code, "TM0922");
        }
        assert!(address("[::1]:7600").is_ok());
        assert_eq!(address("7600").expect_err("no address").code, "TM0921");
    }
}
