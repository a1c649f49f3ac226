//! The real binary, from its arguments to its exit code.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests and helpers"
)]

mod bench;
mod convert;
mod cut;
mod doctor;
mod foreign;
mod help;
mod openvino;
mod refuse;
mod run;
mod score;
mod support;
mod tune;
