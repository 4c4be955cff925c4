//! The one integration binary: every behaviour at its boundary.

mod tidy;
