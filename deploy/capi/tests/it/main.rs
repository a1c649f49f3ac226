//! The C library as C calls it: what it refuses, and its header.
#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(unsafe_code, reason = "functions of C")]

mod header;
mod refuse;
