//! `throughput`: see [`tidemill_benches::throughput`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tidemill_benches::throughput::main()
}
