//! Any target with libFuzzer: `FUZZ_TARGET` names it.
#![no_main]

use std::sync::LazyLock;

use fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    target(&name)
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
