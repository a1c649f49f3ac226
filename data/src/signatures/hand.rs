//! Hand: how strokes vary when they are written, by their owner or by a forger. Knows no paper.

use super::writer::Writer;
use crate::drawn::canvas::{Point, length};
use crate::drawn::random::Random;

/// A line with its width at each point, in the units of [`Writer`].
pub(super) struct Stroke {
    pub(super) points: Vec<Point>,
    pub(super) widths: Vec<f32>,
}

/// What a hand makes of the strokes that it means to write.
pub(super) struct Hand {
    /// Largest displacement of a control point.
    spread: f32,
    /// Largest displacement of what follows a letter.
    drift: f32,
    /// Change of the slant.
    slant: f32,
    /// Factors of width and height.
    scale: Point,
    /// Rise of the baseline at its middle, per width.
    bow: f32,
    /// Amplitude of a tremor: a hand that draws instead of writing is slow.
    tremor: f32,
    /// Share of the owner's variation of pressure that is left.
    pressure: f32,
    pen: f32,
}

/// Points of a line between two control points.
const STEPS: usize = 9;

impl Hand {
    /// The owner's hand on some day.
    pub(super) fn own(random: &mut Random) -> Self {
        Self {
            spread: 0.07,
            drift: 0.05,
            slant: random.jitter(0.06),
            scale: [random.between(0.93, 1.08), random.between(0.9, 1.1)],
            bow: random.jitter(0.02),
            tremor: 0.0,
            pressure: random.between(0.9, 1.1),
            pen: random.between(0.85, 1.2),
        }
    }

    /// The hand of somebody who has seen the signature and practised it.
    pub(super) fn forger(random: &mut Random) -> Self {
        Self {
            spread: random.between(0.14, 0.24),
            drift: random.between(0.1, 0.18),
            slant: random.jitter(0.28),
            scale: [random.between(0.78, 1.28), random.between(0.78, 1.28)],
            bow: random.jitter(0.05),
            tremor: random.between(0.01, 0.04),
            pressure: random.between(0.2, 0.7),
            pen: random.between(0.85, 1.3),
        }
    }

    /// The strokes of one signature.
    pub(super) fn write(&self, writer: &Writer, random: &mut Random) -> Vec<Stroke> {
        let end = writer
            .strokes
            .iter()
            .flatten()
            .fold(1.0_f32, |most, p| most.max(p[0]));
        let mut drift = [0.0, 0.0];
        let mut strokes = Vec::with_capacity(writer.strokes.len());
        for control in &writer.strokes {
            let moved: Vec<Point> = control
                .iter()
                .map(|[x, y]| {
                    for axis in &mut drift {
                        // Errors add up along the line, and the eye corrects them.
                        *axis = 0.85 * *axis + random.jitter(self.drift);
                    }
                    let x = x + drift[0] + random.jitter(self.spread);
                    let y = y + drift[1] + random.jitter(self.spread) * (0.6 + 0.4 * y.abs());
                    let at = (x / end - 0.5) * 2.0;
                    let y = y * self.scale[1] + self.bow * end * (1.0 - at * at);
                    [x * self.scale[0] + y * (writer.slant + self.slant), y]
                })
                .collect();
            let mut points = curve(&moved);
            self.tremble(&mut points, random);
            let widths = self.widths(&points, writer, random);
            strokes.push(Stroke { points, widths });
        }
        strokes
    }

    /// A wobble of a few points' length.
    fn tremble(&self, points: &mut [Point], random: &mut Random) {
        let mut offset = [0.0_f32; 2];
        for point in points {
            for (value, offset) in point.iter_mut().zip(&mut offset) {
                *offset = 0.5 * *offset + random.jitter(self.tremor);
                *value += *offset;
            }
        }
    }

    /// Thin where the pen is fast, and at both ends.
    fn widths(&self, points: &[Point], writer: &Writer, random: &mut Random) -> Vec<f32> {
        let contrast = writer.pressure * self.pressure;
        let last = points.len().saturating_sub(1).max(1) as f32;
        let mut speed = 0.3;
        (0..points.len())
            .map(|i| {
                let step = length(points[i], points[i.saturating_sub(1)]);
                speed = 0.7 * speed + 0.3 * step * STEPS as f32;
                let at = i as f32 / last;
                let ends = (8.0 * at.min(1.0 - at)).min(1.0);
                let slow = 1.3 - 0.6 * speed.min(2.0);
                let pressure = 1.0 + contrast * (slow - 1.0 + 0.4 * (ends - 1.0));
                let width = writer.pen * self.pen * pressure.max(0.35);
                width * (1.0 + random.jitter(0.05))
            })
            .collect()
    }
}

/// Catmull-Rom curve through the control points.
fn curve(control: &[Point]) -> Vec<Point> {
    let Some(last) = control.len().checked_sub(1) else {
        return Vec::new();
    };
    let mut points = Vec::with_capacity(last * STEPS + 1);
    for i in 0..last {
        let [a, b, c, d] = [i.saturating_sub(1), i, i + 1, (i + 2).min(last)].map(|i| control[i]);
        for step in 0..STEPS {
            let t = step as f32 / STEPS as f32;
            points.push([0, 1].map(|k| {
                let (p, q, r, s) = (a[k], b[k], c[k], d[k]);
                let cubic = 3.0 * (q - r) + s - p;
                let square = 2.0 * p - 5.0 * q + 4.0 * r - s;
                q + 0.5 * t * (r - p + t * (square + t * cubic))
            }));
        }
    }
    points.push(control[last]);
    points
}
