//! The ports on AWS, one file each: types are mapped, errors are mapped, nothing else happens here.

pub mod stack;
