//! Findings of a benchmark as files, one format per file. Measures nothing and prints nothing.

pub(crate) mod csv;
pub(crate) mod html;
mod svg;
pub(crate) mod table;
