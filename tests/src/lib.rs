//! What tidemill is tested with: second implementations of the ports, faults, laws every adapter keeps.

pub mod conformance;
pub mod fault;
pub mod memory;
