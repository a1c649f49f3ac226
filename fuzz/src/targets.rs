//! The targets, by what they read.

#[cfg(feature = "trainer")]
pub mod feature_table;
pub mod image;
pub mod model;
#[cfg(feature = "trainer")]
pub mod pytorch;
#[cfg(feature = "trainer")]
pub mod run;
pub mod text;
