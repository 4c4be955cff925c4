//! Answers of insights over actors against a few dull lines.
