//! Scene around an insect: ground, clutter, light and camera. The same for both classes.

use super::Kind;
use super::body::{Colours, Pose, ant, bee};
use crate::drawn::canvas::{Canvas, Colour, Light, Material, Point, Shape, grain, luma, mix};
use crate::drawn::random::Random;
use image::RgbImage;
use std::f32::consts::{PI, TAU};

/// Shortest and longest side of an image in pixels.
const SIDES: (f32, f32) = (260.0, 420.0);

/// Steps of the tone curve.
const CURVE: usize = 1023;

/// Draws one image.
pub(super) fn draw(kind: Kind, random: &mut Random) -> RgbImage {
    let (width, height) = (
        random.between(SIDES.0, SIDES.1),
        random.between(SIDES.0, SIDES.1),
    );
    let mut canvas = Canvas::new(width as usize, height as usize);
    let (first, second) = (colour(random), colour(random));
    let ground = with_luma(first, random.between(0.3, 0.75));
    let second = with_luma(
        mix(ground, second, random.between(0.15, 0.5)),
        luma(ground) + random.jitter(0.15),
    );
    let light = Light::new(
        random.between(0.0, TAU),
        random.between(0.5, 0.9),
        random.between(0.3, 0.6),
    );
    draw_ground(&mut canvas, ground, second, random);
    draw_clutter(&mut canvas, ground, second, light, random);
    draw_stones(&mut canvas, light, random);

    let short = width.min(height);
    let others = 2 + random.pick(4);
    for i in 0..=others {
        // The last insect is painted over the others, large and near the centre.
        let main = i == others;
        let middle = if main {
            [
                width * random.between(0.42, 0.58),
                height * random.between(0.42, 0.58),
            ]
        } else {
            [
                width * random.between(0.0, 1.0),
                height * random.between(0.0, 1.0),
            ]
        };
        let size = if main {
            random.between(0.65, 0.9)
        } else {
            random.between(0.35, 0.55)
        };
        let pose = Pose {
            middle,
            length: short * size,
            heading: random.between(0.0, TAU),
            narrowing: random.between(0.75, 1.0),
            bend: random.jitter(0.35),
        };
        let colours = body_colours(random);
        let shapes = match kind {
            Kind::Ant => ant(&pose, &colours, random),
            Kind::Bee => bee(&pose, &colours, random),
        };
        let far = pose.length * random.between(0.02, 0.07);
        let (softness, strength) = (random.between(2.0, 8.0), random.between(0.15, 0.55));
        canvas.shadow(&shapes, light.shadow_offset(far), softness, strength);
        for shape in &shapes {
            canvas.paint(shape, light);
        }
    }
    apply_camera(&mut canvas, random);
    canvas.to_image()
}

/// The unit vector at an angle.
fn unit(angle: f32) -> Point {
    [angle.cos(), angle.sin()]
}

/// A colour: any hue, from dull to vivid, from dark to light.
fn colour(random: &mut Random) -> Colour {
    let (hue, saturation, value) = (
        random.between(0.0, 6.0),
        random.between(0.0, 0.75),
        random.between(0.08, 0.95),
    );
    [0.0, 4.0, 2.0].map(|shift: f32| {
        let wave = ((hue + shift) % 6.0 - 3.0).abs() - 1.0;
        value * (1.0 - saturation + saturation * wave.clamp(0.0, 1.0))
    })
}

/// `colour` made as bright as `target`.
fn with_luma(colour: Colour, target: f32) -> Colour {
    colour.map(|v| (v * target / luma(colour).max(0.02)).min(1.0))
}

/// Two body colours, one dark and one light.
fn body_colours(random: &mut Random) -> Colours {
    let (first, second) = (colour(random), colour(random));
    Colours {
        body: with_luma(first, random.between(0.02, 0.12)),
        second: with_luma(second, random.between(0.7, 0.9)),
        tint: colour(random),
    }
}

/// Value noise on a lattice, `[0, 1]`.
struct Noise {
    cells: [usize; 2],
    values: Vec<f32>,
}

impl Noise {
    fn new(cells: [usize; 2], random: &mut Random) -> Self {
        let values = (0..(cells[0] + 1) * (cells[1] + 1))
            .map(|_| random.between(0.0, 1.0))
            .collect();
        Noise { cells, values }
    }

    /// The value at `x, y` in `[0, 1)`.
    fn value(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x * self.cells[0] as f32, y * self.cells[1] as f32);
        let (column, row) = (x as usize, y as usize);
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (tx, ty) = (ease(x.fract()), ease(y.fract()));
        let lattice =
            |dx: usize, dy: usize| self.values[(row + dy) * (self.cells[0] + 1) + column + dx];
        let top = lattice(0, 0) + (lattice(1, 0) - lattice(0, 0)) * tx;
        let low = lattice(0, 1) + (lattice(1, 1) - lattice(0, 1)) * tx;
        top + (low - top) * ty
    }
}

/// The ground: smooth, sandy, streaky like wood, or out of focus, in two colours.
fn draw_ground(canvas: &mut Canvas, ground: Colour, second: Colour, random: &mut Random) {
    let style = random.pick(4);
    let cells = match style {
        0 => [2, 2],
        1 => [5, 5],
        2 if random.chance(0.5) => [24, 2],
        2 => [2, 24],
        _ => [8, 8],
    };
    let broad = Noise::new(cells, random);
    let fine = Noise::new([cells[0] * 4 + 3, cells[1] * 4 + 3], random);
    let grainy = if style == 1 {
        random.between(0.02, 0.08)
    } else {
        random.between(0.0, 0.02)
    };
    let detail = if style == 3 {
        0.0
    } else {
        random.between(0.1, 0.4)
    };
    let slope = [random.jitter(0.25), random.jitter(0.25)];
    let (w, h) = (canvas.width, canvas.height);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (column, row) = (i % w, i / w);
        let (x, y) = (column as f32 / w as f32, row as f32 / h as f32);
        let t = broad.value(x, y) * (1.0 - detail) + fine.value(x, y) * detail;
        let gain = 1.0
            + slope[0] * (x - 0.5)
            + slope[1] * (y - 0.5)
            + grainy * (grain(column as u32, row as u32, 3) - 0.5) * 2.0;
        *pixel = mix(ground, second, t).map(|v| v * gain);
    }
}

/// Pebbles, blades and leaves in the ground's colours.
fn draw_clutter(
    canvas: &mut Canvas,
    ground: Colour,
    second: Colour,
    light: Light,
    random: &mut Random,
) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let clutter = random.pick(4);
    let count = [0, 6, 3, 2][clutter as usize];
    for _ in 0..count {
        let centre: Point = [random.between(0.0, w), random.between(0.0, h)];
        let base =
            mix(ground, second, random.between(0.2, 1.0)).map(|v| v * random.between(0.8, 1.2));
        let material = Material {
            base,
            bands: None,
            gloss: 0.02,
            fur: 0.0,
        };
        let axis = unit(random.between(0.0, PI));
        let shape = match clutter {
            1 => {
                let size = random.between(4.0, 16.0);
                Shape::Ellipsoid {
                    centre,
                    radii: [size, size * random.between(0.6, 1.0)],
                    axis,
                    material,
                }
            }
            2 => {
                let reach = [axis[0] * w, axis[1] * h];
                let (from, to) = (
                    [centre[0] - reach[0], centre[1] - reach[1]],
                    [centre[0] + reach[0], centre[1] + reach[1]],
                );
                let thick = random.between(5.0, 14.0);
                Shape::Limb {
                    from,
                    to,
                    radii: [thick, thick * 0.7],
                    material,
                }
            }
            _ => {
                let size = random.between(0.15, 0.3) * w;
                Shape::Ellipsoid {
                    centre,
                    radii: [size, size * 0.5],
                    axis,
                    material,
                }
            }
        };
        canvas.shadow(std::slice::from_ref(&shape), [3.0, 3.0], 6.0, 0.2);
        canvas.paint(&shape, light);
    }
}

/// A random number of dark and light stones in the colours of insects, so that the share of dark or light
/// pixels says little about the class.
fn draw_stones(canvas: &mut Canvas, light: Light, random: &mut Random) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let (dark, pale) = (random.pick(6), random.pick(6));
    for i in 0..dark + pale {
        let colours = body_colours(random);
        let base = if i < dark {
            colours.body
        } else {
            colours.second
        };
        let size = random.between(0.03, 0.13) * w.min(h);
        let shape = Shape::Ellipsoid {
            centre: [random.between(0.0, w), random.between(0.0, h)],
            radii: [size, size * random.between(0.7, 1.0)],
            axis: unit(random.between(0.0, PI)),
            material: Material {
                base,
                bands: None,
                gloss: random.between(0.05, 0.4),
                fur: 0.0,
            },
        };
        canvas.shadow(std::slice::from_ref(&shape), [2.0, 2.0], 5.0, 0.25);
        canvas.paint(&shape, light);
    }
}

/// Lens and sensor: focus, exposure, white balance, dark corners, noise.
fn apply_camera(canvas: &mut Canvas, random: &mut Random) {
    if random.chance(0.4) {
        canvas.blur(random.between(0.2, 0.66));
    }
    let (exposure, gamma) = (random.between(0.8, 1.15), random.between(0.85, 1.2));
    // A table: one power for each of 1024 values, not three for each pixel.
    let curve: Vec<f32> = (0..=CURVE)
        .map(|i| (i as f32 / CURVE as f32).powf(gamma))
        .collect();
    let balance = [0; 3].map(|_| exposure * random.between(0.93, 1.07));
    let (dark, noise) = (random.between(0.0, 0.35), random.between(0.005, 0.03));
    let salt = random.pick(u32::MAX);
    let (w, h) = (canvas.width, canvas.height);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (column, row) = (i % w, i / w);
        let (x, y) = (column as f32 / w as f32 - 0.5, row as f32 / h as f32 - 0.5);
        let corner = 1.0 - dark * 2.0 * (x * x + y * y);
        for (channel, gain) in balance.iter().enumerate() {
            let speck = grain(column as u32, row as u32, salt.wrapping_add(channel as u32)) - 0.5;
            let value = (pixel[channel] * gain * corner).clamp(0.0, 1.0);
            pixel[channel] = curve[(value * CURVE as f32) as usize] + noise * speck;
        }
    }
}
