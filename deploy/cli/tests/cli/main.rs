//! The real binary, from its arguments to its exit code.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests and their helpers"
)]

mod help;
mod refuse;
mod run;
mod support;
