//! JPEG pixels in pure Rust by `zune-jpeg`: close to PIL's, not equal.

use image::RgbImage;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Decodes to RGB; the EXIF orientation is not applied.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    if !is_whole(bytes) {
        return Err("the file is truncated".into());
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder
        .decode()
        .map_err(|error| format!("not a valid JPEG: {error:?}"))?;
    let (width, height) = decoder.dimensions().ok_or("not a valid JPEG: no size")?;
    RgbImage::from_raw(width as u32, height as u32, pixels)
        .ok_or_else(|| "the JPEG decoder gave too few pixels".into())
}

/// Whether an end-of-image marker follows the last start of scan. Without it the decoder fills the rest
/// with gray and reports no error. Inside a scan's data neither marker can occur.
fn is_whole(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9) > last(0xda)
}
