//! Benchmark of classifiers: `Plan ▸ cold costs ▸ warm-up ▸ Measurements ▸ Stats ▸ warnings ▸ comparison`.
//!
//! [`run`] takes measurements, [`stats`] never sees a clock, [`warnings`] never sees a measurement. Knows no
//! command line and prints nothing. Figures leave as [`BenchResult`]s, in the units of the files that hold
//! them.
#![expect(missing_docs, reason = "made for the program `deploy` alone")]

pub mod accuracy;
mod bootstrap;
pub mod clock;
pub mod cold;
pub mod compare;
pub mod error;
pub mod example;
pub mod findings;
pub mod key;
pub mod matrix;
pub mod measurements;
pub mod mixed;
mod outliers;
pub mod percentiles;
pub mod plan;
pub mod run;
pub mod scenario;
pub mod sparkline;
pub mod speed;
pub mod stages;
pub mod stats;
pub mod system;
pub mod tune;
pub mod verification;
pub mod warnings;
pub mod worker;

pub use error::{Error, Result};
pub use findings::{BenchResult, Findings};
pub use key::{Key, Skipped};
