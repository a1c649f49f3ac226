//! The flags of `trainer find-lr`.

use std::path::PathBuf;

use clap::{Arg, Args};

use crate::recipe::{Flags, is_unused_in_range_test};

/// The flags of `trainer find-lr`.
#[derive(Debug, Args)]
pub struct FindLrArgs {
    /// Settings of `trainer fit` that were typed.
    #[command(flatten)]
    pub settings: Flags,
    /// Read settings from a TOML file, as for `trainer fit`; those that have no use here are passed over
    #[arg(long, value_name = "FILE", help_heading = "Range test")]
    pub config: Option<PathBuf>,
    /// Steps of the optimiser from the lowest to the highest learning rate
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=10_000), help_heading = "Range test")]
    pub steps: u32,
    /// Folder for find-lr.svg and find-lr.png
    #[arg(
        long,
        value_name = "DIR",
        default_value = "plots",
        help_heading = "Range test"
    )]
    pub out: PathBuf,
    /// Write the result as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Range test")]
    pub json: Option<PathBuf>,
}

/// Leaves flags of `trainer fit` that have no use here out of the help; they are refused when they are typed.
pub(super) fn hide_unused(arg: Arg) -> Arg {
    let is_unused = arg.get_long().is_some_and(is_unused_in_range_test);
    arg.hide(is_unused)
}
