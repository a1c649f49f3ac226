//! Rasteriser of the charts: their SVG as PNG, with the one font that is built in, so that text looks
//! the same on every computer.
//!
//! It draws the elements and attributes that this crate writes, and refuses others. A renderer of any
//! SVG, `resvg`, is 27 crates more to compile.

use roxmltree::{Document, Node};
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash,
    Transform,
};

use super::font;

/// A chart that could not be drawn as an image.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the chart cannot be drawn: {reason}")]
pub struct RasterError {
    /// What is wrong with it.
    reason: String,
}

type Result<T> = std::result::Result<T, RasterError>;

fn refused(reason: impl ToString) -> RasterError {
    RasterError {
        reason: reason.to_string(),
    }
}

/// Draws the text of a chart's SVG file `width` pixels wide, as PNG.
///
/// # Errors
/// When the text is no SVG of [`Chart::file`](super::Chart::file), or the size is none that can be drawn.
pub fn png(svg: &str, width: u32) -> Result<Vec<u8>> {
    let document = Document::parse(svg).map_err(refused)?;
    let root = document.root_element();
    let [left, top, view_width, view_height] = numbers(root, "viewBox")?[..] else {
        return Err(refused("its `viewBox` does not have four numbers"));
    };
    let scale = width as f32 / view_width;
    let height = (view_height * scale).ceil() as u32;
    let pixels = Pixmap::new(width, height)
        .ok_or_else(|| refused(format!("{width} by {height} pixels are no size")))?;
    let mut canvas = Canvas {
        pixels,
        font_size: number(root, "font-size")?,
        transform: Transform::from_translate(-left, -top).post_scale(scale, scale),
    };
    for node in root.children().filter(Node::is_element) {
        canvas.draw(node)?;
    }
    canvas.pixels.encode_png().map_err(refused)
}

struct Canvas {
    pixels: Pixmap,
    font_size: f32,
    /// From the chart's units to pixels.
    transform: Transform,
}

impl Canvas {
    fn draw(&mut self, node: Node<'_, '_>) -> Result<()> {
        let value = |name: &str| number(node, name);
        let path = match node.tag_name().name() {
            "g" => {
                return node
                    .children()
                    .filter(Node::is_element)
                    .try_for_each(|child| self.draw(child));
            }
            // The name that a browser shows.
            "title" => return Ok(()),
            // Corners are sharp here: `rx` is at most 3 units.
            "rect" => Rect::from_xywh(value("x")?, value("y")?, value("width")?, value("height")?)
                .map(PathBuilder::from_rect),
            "circle" => PathBuilder::from_circle(value("cx")?, value("cy")?, value("r")?),
            "line" => polyline(&[value("x1")?, value("y1")?, value("x2")?, value("y2")?]),
            "polyline" => polyline(&numbers(node, "points")?),
            "text" => self.text_path(node)?,
            other => return Err(refused(format!("`{other}` is no element of a chart"))),
        };
        // A line of no points, a rectangle of no height and an empty word have nothing to draw.
        let Some(path) = path else { return Ok(()) };
        let transform = transform(node)?.post_concat(self.transform);
        if let Some(paint) = paint(node, "fill")? {
            self.pixels
                .fill_path(&path, &paint, FillRule::Winding, transform, None);
        }
        if let Some(paint) = paint(node, "stroke")? {
            self.pixels
                .stroke_path(&path, &paint, &stroke(node)?, transform, None);
        }
        Ok(())
    }

    /// The letters of a `text` element, from its `x`, `y` and `text-anchor`.
    fn text_path(&self, node: Node<'_, '_>) -> Result<Option<Path>> {
        let (path, width) = font::outline(node.text().unwrap_or_default(), self.font_size);
        let shift = match node.attribute("text-anchor") {
            Some("middle") => width / 2.0,
            Some("end") => width,
            _ => 0.0,
        };
        let (x, y) = (optional(node, "x", 0.0)?, optional(node, "y", 0.0)?);
        Ok(path.and_then(|path| path.transform(Transform::from_translate(x - shift, y))))
    }
}

/// Lines through points, given as x, y, x, y and so on.
fn polyline(coordinates: &[f32]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (index, point) in coordinates.chunks_exact(2).enumerate() {
        match index {
            0 => builder.move_to(point[0], point[1]),
            _ => builder.line_to(point[0], point[1]),
        }
    }
    builder.finish()
}

/// The colour of `fill` or `stroke`; `None` where there is none.
fn paint(node: Node<'_, '_>, attribute: &str) -> Result<Option<Paint<'static>>> {
    let Some(text) = node.attribute(attribute).filter(|text| *text != "none") else {
        return Ok(None);
    };
    let rgb = text
        .strip_prefix('#')
        .filter(|digits| digits.len() == 6)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or_else(|| refused(format!("`{text}` is no colour of a chart")))?;
    let [_, red, green, blue] = rgb.to_be_bytes();
    let mut color = Color::from_rgba8(red, green, blue, 255);
    if attribute == "fill" {
        color.set_alpha(optional(node, "fill-opacity", 1.0)?);
    }
    let mut paint = Paint::default();
    paint.set_color(color);
    Ok(Some(paint))
}

fn stroke(node: Node<'_, '_>) -> Result<Stroke> {
    let dashes = match node.attribute("stroke-dasharray") {
        None | Some("none") => None,
        Some(_) => StrokeDash::new(numbers(node, "stroke-dasharray")?, 0.0),
    };
    Ok(Stroke {
        width: optional(node, "stroke-width", 1.0)?,
        line_join: match node.attribute("stroke-linejoin") {
            Some("round") => LineJoin::Round,
            _ => LineJoin::Miter,
        },
        dash: dashes,
        ..Stroke::default()
    })
}

/// `rotate(degrees x y)`, `rotate(degrees)` and `translate(x y)`, the last one first.
fn transform(node: Node<'_, '_>) -> Result<Transform> {
    let text = node.attribute("transform").unwrap_or_default();
    let mut whole = Transform::identity();
    for step in text.split_terminator(')') {
        let (name, list) = step.split_once('(').unwrap_or_default();
        whole = whole.pre_concat(match (name.trim(), &parse(list)?[..]) {
            ("translate", [x, y]) => Transform::from_translate(*x, *y),
            ("rotate", [degrees]) => Transform::from_rotate(*degrees),
            ("rotate", [degrees, x, y]) => Transform::from_rotate_at(*degrees, *x, *y),
            _ => return Err(refused(format!("`{text}` is no transform of a chart"))),
        });
    }
    Ok(whole)
}

fn number(node: Node<'_, '_>, name: &str) -> Result<f32> {
    match numbers(node, name)?[..] {
        [number] => Ok(number),
        _ => Err(refused(format!(
            "`{}` needs a number `{name}`",
            node.tag_name().name()
        ))),
    }
}

fn optional(node: Node<'_, '_>, name: &str, default: f32) -> Result<f32> {
    match node.has_attribute(name) {
        true => number(node, name),
        false => Ok(default),
    }
}

fn numbers(node: Node<'_, '_>, name: &str) -> Result<Vec<f32>> {
    parse(node.attribute(name).unwrap_or_default())
}

fn parse(list: &str) -> Result<Vec<f32>> {
    list.split([' ', ','])
        .filter(|number| !number.is_empty())
        .map(|number| {
            number
                .parse()
                .map_err(|_| refused(format!("`{number}` is no number")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{Axis, Chart, Mark, Matrix, Plot};

    fn drawn(chart: impl Into<Chart>) -> image::RgbImage {
        let png = png(&chart.into().file(), 640).unwrap();
        image::load_from_memory(&png).unwrap().into_rgb8()
    }

    #[test]
    fn text_is_drawn_without_any_font_of_the_system() {
        let plot = |label: &str| Plot {
            x: Axis::new(label).over(0.0, 1.0),
            y: Axis::new("").over(0.0, 1.0),
            ..Plot::default()
        };
        let [without, with] = ["", "epoch"].map(|label| {
            let image = drawn(plot(label));
            assert_eq!(image.width(), 640);
            image.pixels().filter(|pixel| pixel[0] < 160).count()
        });
        assert!(with > without + 100, "{with} {without}");
    }

    #[test]
    fn every_kind_of_mark_is_drawn() {
        let points = vec![[0.1, 0.2], [0.9, 0.8]];
        let name = String::new();
        // Series 13 has diamonds, which are rotated.
        let marks = [
            Mark::Line {
                name: name.clone(),
                series: 13,
                is_dashed: true,
                points: points.clone(),
            },
            Mark::Curve {
                name: name.clone(),
                series: 0,
                is_dashed: false,
                points: points.clone(),
            },
            Mark::Dots {
                label: String::new(),
                name: name.clone(),
                series: 6,
                points: points.clone(),
                is_ringed: true,
            },
            Mark::Bars {
                name: name.clone(),
                series: 1,
                bars: vec![[0.2, 0.6, 0.5]],
            },
            Mark::Points {
                name: name.clone(),
                series: 2,
                points: vec![([0.5, 0.5], [0.2, 0.8])],
            },
            Mark::Guide {
                name: name.clone(),
                from: [0.0, 0.0],
                to: [1.0, 1.0],
            },
            Mark::Vertical { name, x: 0.3 },
        ];
        let plot = |marks: Vec<Mark>| Plot {
            x: Axis::new("").over(0.0, 1.0),
            y: Axis::new("").over(0.0, 1.0),
            marks,
            ..Plot::default()
        };
        let empty = drawn(plot(vec![]));
        for mark in marks {
            let image = drawn(plot(vec![mark.clone()]));
            let pairs = image.pixels().zip(empty.pixels());
            let changed = pairs.filter(|(with, without)| with != without).count();
            assert!(changed > 200, "{mark:?} {changed}");
        }
    }

    #[test]
    fn a_turned_name_stands_upright_above_its_column() {
        let matrix = |name: &str| Matrix {
            title: String::new(),
            classes: vec![name.to_owned(); 30],
            counts: vec![vec![0; 30]; 30],
        };
        // Right of the words above the matrix: twice as many letters are twice as high when they stand.
        let height_of_names = |name: &str| {
            let image = drawn(matrix(name));
            let (width, height) = image.dimensions();
            let is_dark = |y: &u32| (width * 3 / 4..width).any(|x| image.get_pixel(x, *y)[0] < 160);
            let mut rows = (0..height / 4).filter(is_dark);
            let first = rows.next().unwrap();
            rows.next_back().unwrap() - first
        };
        let (short, long) = (height_of_names("llll"), height_of_names("llllllll"));
        assert!(3 * short < 2 * long, "{short} {long}");
    }

    #[test]
    fn what_is_no_chart_is_refused() {
        assert!(png("<html></html>", 100).is_err());
        assert!(png("no markup", 100).is_err());
        assert!(png("<svg viewBox='0 0 9 9' font-size='1'><path/></svg>", 9).is_err());
        let chart = Chart::from(Plot::default()).file();
        assert!(png(&chart, 0).is_err());
    }
}
