//! Tuning: which provider, precision, sessions, threads and batch run a model fastest on this machine and keep its
//! accuracy. `Variants ▸ race ▸ scores on validation images ▸ shapes ▸ race ▸ choice ▸ scores on test images`.
//!
//! [`space`] says what is tried, [`race`] measures in turns and drops what is shown to be slower, [`choice`] chooses,
//! [`tuner`] joins them.
//! Knows no command line and prints nothing.

pub mod choice;
pub mod race;
pub mod report;
pub mod space;
pub mod tuner;

pub use choice::Limits;
pub use report::{Tried, Tuning};
pub use space::{Goal, Space, Variant};
pub use tuner::{Tuner, variants};
