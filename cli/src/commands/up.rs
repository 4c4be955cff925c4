//! `tidemill up`: the project's API on this machine, until it is told to stop.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

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
        let local = Local::open_to(&project, address.ip().is_loopback()).await?;
        may_serve(address, local.has_keys)?;
        let listener = bind(address).await?;
        serve(&session.terminal, &project, local, listener).await
    }
}

/// Reads an address.
pub fn address(text: &str) -> Result<SocketAddr, Failure> {
    let text = text.strip_prefix("localhost:").map_or(text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let Ok(address) = text.parse::<SocketAddr>() else {
        return Err(Failure::input("TM0921", format!("`{text}` is no address with a port"))
            .help("write it like 127.0.0.1:7600"));
    };
    Ok(address)
}

/// Refuses an address that others can reach while there is no key to ask them for.
pub fn may_serve(address: SocketAddr, has_keys: bool) -> Result<(), Failure> {
    if address.ip().is_loopback() || has_keys {
        return Ok(());
    }
    let why = format!("{address} can be reached from other machines, and there are no keys to ask them for");
    let help = "make one first: tidemill keys add NAME --right admin; or listen on 127.0.0.1";
    Err(Failure::input("TM0922", why).help(help))
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
    let url = format!("http://{}", reachable(address));
    let announced = server_file::announce(project, &url)?;
    terminal.say(&format!("{} {}", terminal.mark(Mark::Green, "serving"), terminal.mark(Mark::Bold, &url)));
    terminal.say(&format!("  curl -s {url}/v1/insights"));
    terminal.say("  tidemill send, query, backfill … in this project find it by themselves");
    terminal.say("  ctrl-c stops it");
    let served = local.serve(listener, stopped(terminal.clone())).await;
    drop(announced);
    served
}

/// The address to find a server by that listens on it: of every address, this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(at) if at.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, at.port()).into(),
        SocketAddr::V6(at) if at.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, at.port()).into(),
        other => other,
    }
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
    fn without_keys_only_this_machine_is_served() {
        for open in ["0.0.0.0:7600", "192.168.1.4:80", "[::]:7600"] {
            let open = address(open).expect("an address");
            assert_eq!(may_serve(open, false).expect_err("open").code, "TM0922");
            assert_eq!(may_serve(open, true), Ok(()));
            assert!(!reachable(open).ip().is_unspecified());
        }
        assert_eq!(may_serve(address("[::1]:7600").expect("loopback"), false), Ok(()));
        assert_eq!(address("7600").expect_err("no address").code, "TM0921");
    }
}
