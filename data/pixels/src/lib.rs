//! Images to a network's input, equal to PIL's and torchvision's, and the card that says how.
//!
//! - [`decode`]: bytes to RGB pixels;
//! - [`preprocess`]: the one implementation of resize, crop and normalisation, and its text and JSON;
//! - [`card`]: the model card that a `.onnx` file carries.
//!
//! All that a program with a classifier inside needs. Knows no labels, no data sets and no training.

pub mod card;
pub mod decode;
pub mod error;
pub mod preprocess;

pub use card::Card;
pub use decode::{Limits, Unreadable};
pub use error::{Error, Result};
pub use preprocess::Preprocess;

/// The decoded image type that this crate hands around (RGB, 8 bits).
pub use image::RgbImage;
