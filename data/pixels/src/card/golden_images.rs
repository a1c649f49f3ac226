//! Golden images: drawn reference images on every model card.
//!
//! They are not square and larger than 256 pixels, and EXIF rotates one of them, so that a wrong resize,
//! crop or orientation shows. Written by `scripts/reference/golden.py`.

/// Name and file of each image.
///
/// ```
/// for (name, bytes) in classifold_pixels::card::golden_images::images() {
///     let image = classifold_pixels::decode::decode(&bytes, &Default::default())?;
///     assert_ne!(image.width(), image.height(), "{name}");
/// }
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
#[must_use]
pub fn images() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("turned.jpg", include_bytes!("golden/turned.jpg").to_vec()),
        ("shapes.png", include_bytes!("golden/shapes.png").to_vec()),
    ]
}
