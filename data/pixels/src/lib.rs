//! Image preprocessing, bit for bit as PIL and torchvision do it, and the model card that records it.
//!
//! - [`decode`]: bytes to RGB pixels;
//! - [`preprocess`]: resize, crop, normalise and lay out; the same steps as text and as JSON;
//! - [`card`]: the model card in a `.onnx` file.
//!
//! This is what an application that embeds a classifier needs. Knows no labels, data sets or training.

pub mod card;
pub mod decode;
mod decoded_image;
pub mod error;
pub mod preprocess;

pub use card::Card;
pub use decode::{Limits, Unreadable};
pub use decoded_image::{DecodedImage, ImageRef};
pub use error::{Error, Kind, Result};
pub use preprocess::{Frame, Nv12, PixelFormat, Pixels, Preprocess, YuvMatrix, YuvRange};

/// Pixels of an image without alpha, RGB with 8 bits per channel.
pub use image::RgbImage;
