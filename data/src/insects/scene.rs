//! What surrounds an insect: ground, clutter, light, lens. The same for both classes.

use super::Kind;
use super::body::{Colours, Pose, ant, bee};
use super::canvas::{Canvas, Coat, Colour, Light, Part, Point, grain, luma, mix};
use super::dice::Dice;
use image::RgbImage;
use std::f32::consts::{PI, TAU};

/// Shortest and longest side of a picture in pixels.
const SIDES: (f32, f32) = (260.0, 420.0);

/// Draws one picture.
pub(super) fn draw(kind: Kind, dice: &mut Dice) -> RgbImage {
    let (width, height) = (dice.between(SIDES.0, SIDES.1), dice.between(SIDES.0, SIDES.1));
    let mut canvas = Canvas::new(width as usize, height as usize);
    let (ground, second) = (colour(dice), colour(dice));
    let second = mix(ground, second, dice.between(0.15, 0.5));
    let azimuth = dice.between(0.0, TAU);
    let tilt = dice.between(0.5, 0.9);
    let light = Light {
        direction: [azimuth.cos() * (1.0 - tilt * tilt).sqrt(), azimuth.sin() * (1.0 - tilt * tilt).sqrt(), tilt],
        ambient: dice.between(0.3, 0.6),
    };
    lay_ground(&mut canvas, ground, second, dice);
    scatter(&mut canvas, ground, second, light, dice);

    let short = width.min(height);
    let others = if dice.chance(0.35) { 1 + dice.pick(2) } else { 0 };
    for i in 0..=others {
        let main = i == others;
        let middle = if main {
            [width * dice.between(0.42, 0.58), height * dice.between(0.42, 0.58)]
        } else {
            [width * dice.between(0.0, 1.0), height * dice.between(0.0, 1.0)]
        };
        let size = if main { dice.between(0.72, 1.0) } else { dice.between(0.3, 0.55) };
        let pose = Pose {
            middle,
            length: short * size,
            heading: dice.between(0.0, TAU),
            narrowing: dice.between(0.75, 1.0),
            bend: dice.jitter(0.35),
        };
        let colours = coat_colours(ground, dice);
        let parts = match kind {
            Kind::Ant => ant(&pose, &colours, dice),
            Kind::Bee => bee(&pose, &colours, dice),
        };
        let far = pose.length * dice.between(0.02, 0.07);
        let offset = [-light.direction[0] * far, -light.direction[1] * far];
        let (softness, strength) = (dice.between(2.0, 8.0), dice.between(0.15, 0.55));
        canvas.shadow(&parts, offset, softness, strength);
        for part in &parts {
            canvas.paint(part, light);
        }
    }
    develop(&mut canvas, dice);
    canvas.to_image()
}

/// A colour: any hue, from dull to vivid, from dark to light.
fn colour(dice: &mut Dice) -> Colour {
    let (hue, saturation, value) =
        (dice.between(0.0, 6.0), dice.between(0.0, 0.75), dice.between(0.08, 0.95));
    [0.0, 4.0, 2.0].map(|shift: f32| {
        let wave = ((hue + shift) % 6.0 - 3.0).abs() - 1.0;
        value * (1.0 - saturation + saturation * wave.clamp(0.0, 1.0))
    })
}

/// Two body colours that stand out from the ground and from each other.
fn coat_colours(ground: Colour, dice: &mut Dice) -> Colours {
    let apart = |a: Colour, b: Colour| (luma(a) - luma(b)).abs();
    let mut best = (f32::MIN, ground, ground);
    for _ in 0..24 {
        let (a, b) = (colour(dice), colour(dice));
        let score = (apart(a, ground) - 0.28).min(apart(a, b) - 0.28).min(apart(b, ground) - 0.08);
        if score > best.0 {
            best = (score, a, b);
        }
        if score > 0.0 {
            break;
        }
    }
    Colours { body: best.1, second: best.2, tint: colour(dice) }
}

/// Smooth noise on a lattice, about `[0, 1]`.
struct Noise {
    cells: [usize; 2],
    values: Vec<f32>,
}

impl Noise {
    fn new(cells: [usize; 2], dice: &mut Dice) -> Self {
        let values = (0..(cells[0] + 1) * (cells[1] + 1)).map(|_| dice.between(0.0, 1.0)).collect();
        Noise { cells, values }
    }

    /// The value at `x, y` in `[0, 1)`.
    fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x * self.cells[0] as f32, y * self.cells[1] as f32);
        let (column, row) = (x as usize, y as usize);
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (tx, ty) = (ease(x.fract()), ease(y.fract()));
        let value = |dx: usize, dy: usize| self.values[(row + dy) * (self.cells[0] + 1) + column + dx];
        let top = value(0, 0) + (value(1, 0) - value(0, 0)) * tx;
        let low = value(0, 1) + (value(1, 1) - value(0, 1)) * tx;
        top + (low - top) * ty
    }
}

/// The ground: smooth, sandy, streaky like wood, or out of focus, in two colours.
fn lay_ground(canvas: &mut Canvas, ground: Colour, second: Colour, dice: &mut Dice) {
    let style = dice.pick(4);
    let cells = match style {
        0 => [2, 2],
        1 => [5, 5],
        2 if dice.chance(0.5) => [24, 2],
        2 => [2, 24],
        _ => [8, 8],
    };
    let broad = Noise::new(cells, dice);
    let fine = Noise::new([cells[0] * 4 + 3, cells[1] * 4 + 3], dice);
    let grainy = if style == 1 { dice.between(0.05, 0.18) } else { dice.between(0.0, 0.03) };
    let detail = if style == 3 { 0.0 } else { dice.between(0.1, 0.4) };
    let slope = [dice.jitter(0.25), dice.jitter(0.25)];
    let (w, h) = (canvas.width, canvas.height);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (column, row) = (i % w, i / w);
        let (x, y) = (column as f32 / w as f32, row as f32 / h as f32);
        let t = broad.at(x, y) * (1.0 - detail) + fine.at(x, y) * detail;
        let gain = 1.0 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5)
            + grainy * (grain(column as u32, row as u32, 3) - 0.5) * 2.0;
        *pixel = mix(ground, second, t).map(|v| v * gain);
    }
}

/// Pebbles, blades and leaves in the ground's colours.
fn scatter(canvas: &mut Canvas, ground: Colour, second: Colour, light: Light, dice: &mut Dice) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let clutter = dice.pick(4);
    let count = [0, 6, 3, 2][clutter as usize];
    for _ in 0..count {
        let at: Point = [dice.between(0.0, w), dice.between(0.0, h)];
        let base = mix(ground, second, dice.between(0.2, 1.0)).map(|v| v * dice.between(0.8, 1.2));
        let coat = Coat { base, bands: None, gloss: 0.02, fur: 0.0 };
        let angle = dice.between(0.0, PI);
        let part = match clutter {
            1 => {
                let size = dice.between(4.0, 16.0);
                Part::Bulb { centre: at, radii: [size, size * dice.between(0.6, 1.0)], angle, coat }
            }
            2 => {
                let reach = [angle.cos() * w, angle.sin() * h];
                let (from, to) = ([at[0] - reach[0], at[1] - reach[1]], [at[0] + reach[0], at[1] + reach[1]]);
                let thick = dice.between(5.0, 14.0);
                Part::Limb { from, to, radii: [thick, thick * 0.7], coat }
            }
            _ => {
                let size = dice.between(0.15, 0.3) * w;
                Part::Bulb { centre: at, radii: [size, size * 0.5], angle, coat }
            }
        };
        canvas.shadow(std::slice::from_ref(&part), [3.0, 3.0], 6.0, 0.2);
        canvas.paint(&part, light);
    }
}

/// Lens and sensor: focus, exposure, white balance, dark corners, noise.
fn develop(canvas: &mut Canvas, dice: &mut Dice) {
    if dice.chance(0.4) {
        canvas.soften(dice.between(0.2, 0.66));
    }
    let exposure = dice.between(0.75, 1.2);
    let balance = [0; 3].map(|_| exposure * dice.between(0.92, 1.08));
    let (dark, noise) = (dice.between(0.0, 0.35), dice.between(0.005, 0.05));
    let salt = dice.pick(u32::MAX);
    let (w, h) = (canvas.width, canvas.height);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (column, row) = (i % w, i / w);
        let (x, y) = (column as f32 / w as f32 - 0.5, row as f32 / h as f32 - 0.5);
        let corner = 1.0 - dark * 2.0 * (x * x + y * y);
        for (channel, gain) in balance.iter().enumerate() {
            let speck = grain(column as u32, row as u32, salt.wrapping_add(channel as u32)) - 0.5;
            pixel[channel] = pixel[channel] * gain * corner + noise * speck;
        }
    }
}
