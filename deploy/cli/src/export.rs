//! Findings of a benchmark as files, one format per file. Measures nothing and prints nothing.

pub(crate) mod csv;
pub(crate) mod html;
pub(crate) mod table;
