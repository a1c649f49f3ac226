//! The C library: open a model, classify files and frames, read errors. `include/classifold.h` is written from here.
//!
//! Every function may be called from any thread, and none lets a panic out. A function that can fail returns a
//! [`Status`]; [`classifold_error_message`] then says more.
#![expect(unsafe_code, reason = "pointers of C")]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

mod arguments;
mod classifier;
mod frame;
mod options;
mod prediction;
mod status;

pub use classifier::*;
pub use frame::*;
pub use options::*;
pub use prediction::*;
pub use status::*;
