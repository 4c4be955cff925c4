//! What the tests stand on: an oracle, worlds from a seed, the laws of the ports, and ports in memory and with faults.
//!
//! Nothing here is shipped. The oracle imports `tidemill_schemas` alone and shares no code with the engine.

pub mod conformance;
pub mod emulator;
pub mod express;
pub mod fault;
pub mod generator;
pub mod history;
pub mod interleave;
pub mod memory;
pub mod oracle;
pub mod pump;
pub mod reference;
pub mod simulation;
pub mod tables;
pub mod world;
