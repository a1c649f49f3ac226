//! JPEG. Baseline files have a decoder of our own, which is faster; libjpeg or `zune-jpeg` reads the others.

mod baseline;
mod header;
#[cfg(feature = "libjpeg")]
mod libjpeg;
#[cfg(any(not(feature = "libjpeg"), test))]
mod zune;

pub(super) use header::header;
#[cfg(feature = "libjpeg")]
use libjpeg as general;
#[cfg(not(feature = "libjpeg"))]
use zune as general;

use image::RgbImage;

/// Decoder of JPEG files in this build. Cached features name it: decoders differ in single bits.
pub const JPEG_DECODER: &str = if cfg!(feature = "libjpeg") {
    // The decoder of baseline files gives the same pixels.
    "mozjpeg 0.10"
} else {
    "baseline as mozjpeg, zune-jpeg 0.5"
};

/// Decodes to RGB; the EXIF orientation is not applied.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    // Without code for this processor's vectors ours is the slower one.
    let is_faster = baseline::has_vectors() || !cfg!(feature = "libjpeg");
    let image = is_faster.then(|| baseline::decode(bytes)).flatten();
    image.map_or_else(|| general::decode(bytes), Ok)
}

/// The samples of a JPEG within a TIFF, which says itself what they mean. Only YCbCr becomes RGB.
pub(super) fn decode_samples(bytes: &[u8], ycbcr: bool) -> Result<Vec<u8>, String> {
    general::decode_samples(bytes, ycbcr)
}

#[cfg(all(test, feature = "libjpeg"))]
mod tests;
