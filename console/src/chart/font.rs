//! Outlines of text in the font that is built in, Ubuntu Light (Ubuntu font licence 1.0): no computer
//! need have a font.

use std::sync::LazyLock;

use tiny_skia::{FillRule, Mask, Path, PathBuilder, Transform};
use ttf_parser::{Face, OutlineBuilder};

static FACE: LazyLock<Face<'static>> = LazyLock::new(|| {
    Face::parse(epaint_default_fonts::UBUNTU_LIGHT, 0).expect("the built-in font is a whole file")
});

/// The letters of a text as one path, and its width. The path begins at (0, 0), the left end of the
/// base line; `size` is that of an em. `None` where nothing is to be drawn.
pub(super) fn outline(text: &str, size: f32) -> (Option<Path>, f32) {
    let scale = size / f32::from(FACE.units_per_em());
    let mut pen = Pen {
        path: PathBuilder::new(),
        x: 0.0,
        scale,
    };
    for letter in text.chars() {
        // Glyph 0 is the box of a letter that the font lacks.
        let glyph = FACE.glyph_index(letter).unwrap_or_default();
        FACE.outline_glyph(glyph, &mut pen);
        pen.x += scale * f32::from(FACE.glyph_hor_advance(glyph).unwrap_or_default());
    }
    (pen.path.finish(), pen.x)
}

/// How much of each pixel a text covers, 0 to 255.
#[derive(Clone, Debug)]
pub struct TextMask {
    /// In pixels.
    pub width: u32,
    /// In pixels, from the highest letter's top to the lowest one's bottom.
    pub height: u32,
    /// Row by row.
    pub coverage: Vec<u8>,
}

/// Draws a line of text `height` pixels high. `None` where there is nothing to draw.
pub fn text_mask(text: &str, height: u32) -> Option<TextMask> {
    let (ascender, descender) = (f32::from(FACE.ascender()), f32::from(FACE.descender()));
    let size = height as f32 * f32::from(FACE.units_per_em()) / (ascender - descender);
    let (path, width) = outline(text, size);
    let width = width.ceil() as u32;
    let mut mask = Mask::new(width, height)?;
    let base_line = height as f32 * ascender / (ascender - descender);
    let transform = Transform::from_translate(0.0, base_line);
    mask.fill_path(&path?, FillRule::Winding, true, transform);
    Some(TextMask {
        width,
        height,
        coverage: mask.data().to_vec(),
    })
}

/// Takes a glyph's outline, in units of the font and upwards, into a path downwards.
struct Pen {
    path: PathBuilder,
    x: f32,
    scale: f32,
}

impl Pen {
    fn point(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + self.scale * x, -self.scale * y)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.point(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.point(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.point(x1, y1), self.point(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) =
            (self.point(x1, y1), self.point(x2, y2), self.point(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_wide_as_its_letters() {
        let width = |text: &str| outline(text, 12.0).1;
        assert!((width("ants") - width("an") - width("ts")).abs() < 1e-3);
        assert!(width("m") > 2.0 * width("i"));
        let (path, _) = outline("x−é", 12.0);
        let bounds = path.unwrap().bounds();
        assert!(bounds.top() < -5.0 && bounds.bottom() <= 0.5, "{bounds:?}");
    }

    #[test]
    fn a_mask_holds_the_letters_from_top_to_bottom() {
        let mask = text_mask("(gy)", 20).unwrap();
        assert_eq!(mask.coverage.len(), (mask.width * mask.height) as usize);
        assert!(mask.coverage.contains(&255));
        let row = |y: u32| {
            let start = (y * mask.width) as usize;
            &mask.coverage[start..start + mask.width as usize]
        };
        assert!(row(17).iter().any(|cover| *cover > 0));
        assert!(text_mask("", 20).is_none());
    }
}
