//! `cargo bench --bench throughput`: the same as the binary of that name.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidemill_benches::throughput::main()
}
