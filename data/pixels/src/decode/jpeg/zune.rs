//! JPEG pixels in pure Rust by `zune-jpeg`: close to PIL's, not equal.

use image::RgbImage;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Decodes to RGB; the EXIF orientation is not applied.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    let (pixels, width, height) = pixels(bytes, Some(ColorSpace::RGB))?;
    RgbImage::from_raw(width as u32, height as u32, pixels)
        .ok_or_else(|| "the JPEG decoder gave too few pixels".into())
}

/// The samples of a JPEG within a TIFF, which says itself what they mean. Only YCbCr becomes RGB.
pub(super) fn decode_samples(bytes: &[u8], ycbcr: bool) -> Result<Vec<u8>, String> {
    Ok(pixels(bytes, ycbcr.then_some(ColorSpace::RGB))?.0)
}

/// Pixels, width and height, converted to `colours`, if they are given.
fn pixels(bytes: &[u8], colours: Option<ColorSpace>) -> Result<(Vec<u8>, usize, usize), String> {
    if !is_whole(bytes) {
        return Err("the file is truncated".into());
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        // The caller has checked the limits; a JPEG side has 16 bits.
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let invalid = |error| format!("not a valid JPEG: {error:?}");
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(invalid)?;
    let colours = colours.or(decoder.input_colorspace());
    let colours = colours.ok_or("not a valid JPEG: no colours")?;
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let pixels = decoder.decode().map_err(invalid)?;
    let (width, height) = decoder.dimensions().ok_or("not a valid JPEG: no size")?;
    Ok((pixels, width, height))
}

/// Whether an end-of-image marker follows the last start of scan. Without it the decoder fills the rest
/// with gray and reports no error. Inside a scan's data neither marker can occur.
fn is_whole(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9) > last(0xda)
}
