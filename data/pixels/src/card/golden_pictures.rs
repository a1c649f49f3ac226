//! Drawn pictures that travel with every model: not square, larger than 256 pixels, one turned by
//! EXIF. `scripts/reference/golden.py` drew them.

/// Name and file of each picture.
///
/// ```
/// for (name, bytes) in pixels::card::golden_pictures::pictures() {
///     let picture = pixels::decode::decode(&bytes, &Default::default())?;
///     assert_ne!(picture.width(), picture.height(), "{name}");
/// }
/// # Ok::<(), pixels::Error>(())
/// ```
#[must_use]
pub fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("turned.jpg", include_bytes!("golden/turned.jpg").to_vec()),
        ("shapes.png", include_bytes!("golden/shapes.png").to_vec()),
    ]
}
