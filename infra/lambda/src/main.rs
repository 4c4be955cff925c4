//! The handlers as AWS Lambda functions.

fn main() {}
