//! Fuzz targets: every reader of files that strangers may have made, called with hostile bytes.
//!
//! A target panics where a reader is wrong. It checks more than that the reader returns: what was read, written and
//! read again must be the same. [`run`] feeds the targets with mutated seeds on any compiler, `libfuzzer/` by
//! libFuzzer on a nightly one.

pub mod mutate;
pub mod run;
mod scratch;
pub mod targets;

/// Bytes that the process may allocate at once, whatever the input: larger requests end it.
pub const MEMORY: usize = 1 << 30;

/// A reader to feed with bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, for files and for the command line.
    pub name: &'static str,
    /// Reads the bytes. Panics when the reader is wrong.
    pub run: fn(&[u8]),
    /// Well-formed inputs, from which hostile ones are made.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format, which mutation inserts.
    pub words: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    targets::image::DECODE,
    targets::model::HEADER,
    targets::model::DOCUMENT,
    targets::model::CONVERT,
    targets::model::EXTERNAL_DATA,
    targets::text::PREPROCESS,
    targets::text::PREPROCESSOR_CONFIG,
    targets::text::AUGMENT,
    targets::text::CARD,
    targets::text::CLASS_NAMES,
    targets::text::SPLIT_TABLE,
    targets::text::PAIR_TABLE,
    #[cfg(feature = "trainer")]
    targets::pytorch::CHECKPOINT,
    #[cfg(feature = "trainer")]
    targets::run::PREDICTIONS,
    #[cfg(feature = "trainer")]
    targets::run::SETTINGS,
    #[cfg(feature = "trainer")]
    targets::run::CHECKPOINT,
    #[cfg(feature = "trainer")]
    targets::run::FEATURES,
    #[cfg(feature = "trainer")]
    targets::feature_table::FEATURE_TABLE,
];

/// The target of this name.
///
/// # Panics
/// There is none.
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("there is no target `{name}`"))
}
