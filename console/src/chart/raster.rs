//! Rasterising: charts as PNG files, with the one font that comes along, so that text looks the same
//! on every computer.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Options, Tree};

/// The name of the font inside its file.
const FAMILY: &str = "Ubuntu";

/// A chart that could not be drawn as a picture.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the chart cannot be drawn: {reason}")]
pub struct RasterError {
    /// What the renderer says.
    reason: String,
}

/// Draws the text of an SVG file `width` pixels wide, as PNG.
///
/// # Errors
/// When the text is no SVG, or the size is none that can be drawn.
pub fn png(svg: &str, width: u32) -> Result<Vec<u8>, RasterError> {
    let refused = |reason: String| RasterError { reason };
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    let options = Options {
        fontdb: Arc::new(fonts),
        font_family: FAMILY.into(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|error| refused(error.to_string()))?;
    let scale = width as f32 / tree.size().width();
    let height = (tree.size().height() * scale).ceil() as u32;
    let mut pixels = Pixmap::new(width, height)
        .ok_or_else(|| refused(format!("{width} by {height} pixels are no size")))?;
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixels.as_mut(),
    );
    pixels
        .encode_png()
        .map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{Axis, Chart, Plot};

    #[test]
    fn text_is_drawn_without_any_font_of_the_system() {
        let plot = |label: &str| {
            let (x, y) = (
                Axis::new(label).over(0.0, 1.0),
                Axis::new("").over(0.0, 1.0),
            );
            let plot = Plot {
                x,
                y,
                ..Plot::default()
            };
            png(&Chart::from(plot).file(), 640).unwrap()
        };
        let [without, with] = ["", "epoch"].map(|label| {
            let picture = image::load_from_memory(&plot(label)).unwrap().into_rgb8();
            assert_eq!(picture.width(), 640);
            picture.pixels().filter(|pixel| pixel[0] < 160).count()
        });
        assert!(with > without + 100, "{with} {without}");
    }

    #[test]
    fn what_is_no_drawing_is_refused() {
        assert!(png("<html></html>", 100).is_err());
        let chart = Chart::from(Plot::default()).file();
        assert!(png(&chart, 0).is_err());
    }
}
