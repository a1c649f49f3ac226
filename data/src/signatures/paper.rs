//! Ink on paper under a scanner: the same for genuine signatures and forgeries.

use super::hand::Stroke;
use crate::drawn::canvas::{Canvas, Colour, Light, Material, Point, Shape, grain, mix};
use crate::drawn::random::Random;
use image::RgbImage;

/// Shortest and longest side of an image in pixels.
const SIDES: (f32, f32) = (224.0, 280.0);

/// Draws a signature within the central part of an image, which a centre crop of a backbone's preprocessing keeps.
pub(super) fn scan(strokes: &[Stroke], random: &mut Random) -> RgbImage {
    let (width, height) = (
        random.between(SIDES.0, SIDES.1).floor(),
        random.between(SIDES.0, SIDES.1).floor(),
    );
    let paper = paper(random);
    let mut canvas = Canvas::new(width as usize, height as usize);
    draw_paper(&mut canvas, paper, random);
    if random.chance(0.5) {
        draw_line(&mut canvas, paper, random);
    }
    let ink = ink(random);
    let place = Placement::new(strokes, [width, height], random);
    // Light from above: ink is flat.
    let light = Light::new(0.0, 1.0, 1.0);
    let material = Material {
        base: ink,
        bands: None,
        gloss: 0.0,
        fur: 0.0,
    };
    for stroke in strokes {
        for (points, widths) in stroke.points.windows(2).zip(stroke.widths.windows(2)) {
            let radius = |width: f32| (width * place.scale / 2.0).max(0.45);
            let limb = Shape::Limb {
                from: place.pixel(points[0]),
                to: place.pixel(points[1]),
                radii: [radius(widths[0]), radius(widths[1])],
                material: material.clone(),
            };
            canvas.paint(&limb, light);
        }
    }
    canvas.blur(random.between(0.15, 0.6));
    add_noise(&mut canvas, random);
    canvas.to_image()
}

/// From a writer's units to pixels.
struct Placement {
    middle: Point,
    centre: Point,
    scale: f32,
    sin: f32,
    cos: f32,
}

impl Placement {
    fn new(strokes: &[Stroke], [width, height]: Point, random: &mut Random) -> Self {
        let points = || strokes.iter().flat_map(|stroke| &stroke.points);
        let reach = |axis: usize| {
            points().fold((f32::MAX, f32::MIN), |(low, high), point| {
                (low.min(point[axis]), high.max(point[axis]))
            })
        };
        let ((left, right), (low, high)) = (reach(0), reach(1));
        let short = width.min(height);
        // By the width, as a form's box has it; a tall one must fit, too.
        let wanted = short * random.between(0.6, 0.72);
        let scale = (wanted / (right - left)).min(short * 0.6 / (high - low));
        let (sin, cos) = random.jitter(0.09).sin_cos();
        Self {
            middle: [(left + right) / 2.0, (low + high) / 2.0],
            centre: [
                width * (0.5 + random.jitter(0.05)),
                height * (0.5 + random.jitter(0.08)),
            ],
            scale,
            sin,
            cos,
        }
    }

    fn pixel(&self, [x, y]: Point) -> Point {
        // Rows count downwards.
        let (x, y) = (
            (x - self.middle[0]) * self.scale,
            (self.middle[1] - y) * self.scale,
        );
        [
            self.centre[0] + x * self.cos - y * self.sin,
            self.centre[1] + x * self.sin + y * self.cos,
        ]
    }
}

/// White, grey or yellowish.
fn paper(random: &mut Random) -> Colour {
    let bright = random.between(0.8, 0.98);
    let yellow = random.between(0.0, 0.08);
    [bright, bright - yellow * 0.4, bright - yellow]
}

/// Blue or black, more or less washed out.
fn ink(random: &mut Random) -> Colour {
    let dark = random.between(0.05, 0.3);
    if random.chance(0.5) {
        [dark, dark * 1.1, dark + random.between(0.15, 0.4)]
    } else {
        [dark, dark, dark * random.between(0.9, 1.15)]
    }
}

/// Paper that is darker towards one side, with a few spots.
fn draw_paper(canvas: &mut Canvas, paper: Colour, random: &mut Random) {
    let fall = [random.jitter(0.06), random.jitter(0.06)];
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let x = (i % canvas.width) as f32 / width - 0.5;
        let y = (i / canvas.width) as f32 / height - 0.5;
        let shade = 1.0 + fall[0] * x + fall[1] * y;
        *pixel = paper.map(|v| v * shade);
    }
    for _ in 0..random.pick(6) {
        let centre = [random.between(0.0, width), random.between(0.0, height)];
        let spot = Shape::Limb {
            from: centre,
            to: [
                centre[0] + random.jitter(3.0),
                centre[1] + random.jitter(3.0),
            ],
            radii: [random.between(0.4, 1.1); 2],
            material: Material {
                base: mix(paper, [0.3; 3], random.between(0.2, 0.8)),
                bands: None,
                gloss: 0.0,
                fur: 0.0,
            },
        };
        canvas.paint(&spot, Light::new(0.0, 1.0, 1.0));
    }
}

/// The printed line of a form.
fn draw_line(canvas: &mut Canvas, paper: Colour, random: &mut Random) {
    let y = canvas.height as f32 * random.between(0.6, 0.75);
    let line = Shape::Limb {
        from: [canvas.width as f32 * random.between(0.0, 0.12), y],
        to: [
            canvas.width as f32 * random.between(0.88, 1.0),
            y + random.jitter(3.0),
        ],
        radii: [random.between(0.3, 0.8); 2],
        material: Material {
            base: mix(paper, [0.1; 3], random.between(0.3, 0.8)),
            bands: None,
            gloss: 0.0,
            fur: 0.0,
        },
    };
    canvas.paint(&line, Light::new(0.0, 1.0, 1.0));
}

/// Grain of paper and sensor.
fn add_noise(canvas: &mut Canvas, random: &mut Random) {
    let (strength, salt) = (random.between(0.01, 0.05), random.pick(1 << 20));
    let width = canvas.width;
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (x, y) = ((i % width) as u32, (i / width) as u32);
        let coarse = grain(x / 2, y / 2, salt) - 0.5;
        let fine = grain(x, y, salt + 1) - 0.5;
        *pixel = pixel.map(|v| v + strength * (coarse + fine));
    }
}
