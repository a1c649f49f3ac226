//! User interface that the programs `trainer` and `deploy` share: printer, progress bars, exit codes, Ctrl-C,
//! tables, charts and pages. It knows no model, no command line and no error of either program.
//!
//! Only [`Printer`] and [`ProgressBar`] print. [`exit_code`] says how a command ended, [`Interrupt`]
//! asks it to stop. [`table`] and [`numbers`] make text; [`chart`] and [`page`] make SVG and HTML
//! files that need nothing but themselves.

#![allow(
    missing_docs,
    reason = "only our programs use it: a doc comment says what a name does not"
)]

pub mod chart;
mod exit;
mod flags;
mod interrupt;
pub mod numbers;
pub mod page;
pub mod printer;
pub mod table;

pub use exit::{ExitStatus, Interrupted, error_text, exit_code, usage_exit_code};
pub use flags::in_flags;
pub use interrupt::Interrupt;
pub use printer::{Printer, ProgressBar, Verbosity};
