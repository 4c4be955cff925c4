//! The one integration binary: every behaviour at its boundary.

mod oracle;
mod tidy;
