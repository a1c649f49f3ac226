//! The drawing board: soft-edged shapes with a light from one side, in floating point.
//!
//! It knows shapes, not insects.

use image::RgbImage;

/// Red, green, blue, nominally `[0, 1]`.
pub(super) type Colour = [f32; 3];
/// A point or an offset in pixels.
pub(super) type Point = [f32; 2];

/// Mixes `a` and `b`; `t` = 0 gives `a`.
pub(super) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

/// Luma, `[0, 1]`.
pub(super) fn luma(c: Colour) -> f32 {
    0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]
}

/// What a body part is coated with.
#[derive(Clone, Debug)]
pub(super) struct Coat {
    pub(super) base: Colour,
    /// Bands across the part's long axis: their colour, how many, and the first one's phase.
    pub(super) bands: Option<(Colour, f32, f32)>,
    /// Strength of the highlight, `[0, 1]`.
    pub(super) gloss: f32,
    /// Roughness of the outline in pixels: fur.
    pub(super) fur: f32,
}

/// One shape of a body.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// An ellipsoid seen from above.
    Bulb { centre: Point, radii: Point, angle: f32, coat: Coat },
    /// A straight limb that tapers from one radius to the other.
    Limb { from: Point, to: Point, radii: Point, coat: Coat },
    /// A translucent wing from its root to its tip, with veins.
    Wing { root: Point, tip: Point, width: f32, tint: Colour, opacity: f32 },
}

/// Where the light comes from: a unit vector, the third axis towards the eye.
#[derive(Clone, Copy, Debug)]
pub(super) struct Light {
    pub(super) direction: [f32; 3],
    pub(super) ambient: f32,
}

impl Light {
    /// Brightness of a surface and of its highlight for a normal.
    fn shade(&self, normal: [f32; 3]) -> (f32, f32) {
        let dot: f32 = (0..3).map(|i| normal[i] * self.direction[i]).sum();
        let half = [self.direction[0], self.direction[1], self.direction[2] + 1.0];
        let norm = half.iter().map(|v| v * v).sum::<f32>().sqrt();
        let facing: f32 = (0..3).map(|i| normal[i] * half[i] / norm).sum();
        (self.ambient + (1.0 - self.ambient) * dot.max(0.0), facing.max(0.0).powi(24))
    }
}

/// A picture in floating point.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<Colour>,
}

/// A cheap hash of a pixel, `[0, 1)`.
pub(super) fn grain(x: u32, y: u32, salt: u32) -> f32 {
    let mut h =
        x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ salt.wrapping_mul(0xC2B2_AE3D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2C1B_3C6D);
    h ^= h >> 12;
    (h >> 8) as f32 / (1u32 << 24) as f32
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Canvas { width, height, pixels: vec![[0.0; 3]; width * height] }
    }

    /// Calls `paint` for every pixel centre of the box around `centre`.
    fn each(&mut self, centre: Point, reach: f32, mut paint: impl FnMut(Point, (u32, u32), &mut Colour)) {
        let low = |c: f32| (c - reach).floor().max(0.0) as usize;
        let high = |c: f32, end: usize| ((c + reach).ceil().max(0.0) as usize).min(end);
        for y in low(centre[1])..high(centre[1], self.height) {
            for x in low(centre[0])..high(centre[0], self.width) {
                let pixel = &mut self.pixels[y * self.width + x];
                paint([x as f32 + 0.5, y as f32 + 0.5], (x as u32, y as u32), pixel);
            }
        }
    }

    /// Paints one part.
    pub(super) fn paint(&mut self, part: &Part, light: Light) {
        let (centre, reach) = part.bounds();
        self.each(centre, reach, |point, at, pixel| {
            if let Some((colour, alpha)) = part.colour(point, at, light) {
                *pixel = mix(*pixel, colour, alpha);
            }
        });
    }

    /// Darkens the ground under `parts`, shifted by `offset` and blurred over `softness` pixels.
    pub(super) fn shadow(&mut self, parts: &[Part], offset: Point, softness: f32, strength: f32) {
        let mut mask = vec![0.0f32; self.width * self.height];
        let width = self.width;
        for part in parts {
            let (centre, reach) = part.bounds();
            let centre = [centre[0] + offset[0], centre[1] + offset[1]];
            let weight = if matches!(part, Part::Wing { .. }) { 0.4 } else { 1.0 };
            self.each(centre, reach + softness, |point, (x, y), _| {
                let distance = part.distance([point[0] - offset[0], point[1] - offset[1]]);
                let cover = (0.5 - distance / (2.0 * softness)).clamp(0.0, 1.0) * weight;
                let place = &mut mask[y as usize * width + x as usize];
                *place = place.max(cover);
            });
        }
        for (pixel, cover) in self.pixels.iter_mut().zip(mask) {
            *pixel = pixel.map(|v| v * (1.0 - strength * cover));
        }
    }

    /// A 3 x 3 blur; `weight` of the neighbours, `[0, 1]`.
    pub(super) fn soften(&mut self, weight: f32) {
        let (w, h) = (self.width, self.height);
        let blur = |source: &[Colour], step: usize, inside: &dyn Fn(usize) -> (bool, bool)| {
            let mut out = source.to_vec();
            for (i, pixel) in out.iter_mut().enumerate() {
                let (before, after) = inside(i);
                let a = source[if before { i - step } else { i }];
                let b = source[if after { i + step } else { i }];
                *pixel = mix(*pixel, mix(a, b, 0.5), weight);
            }
            out
        };
        let across = blur(&self.pixels, 1, &|i| (i % w > 0, i % w + 1 < w));
        self.pixels = blur(&across, w, &|i| (i / w > 0, i / w + 1 < h));
    }

    /// The picture in 8 bits.
    pub(super) fn to_image(&self) -> RgbImage {
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            let pixel = self.pixels[y as usize * self.width + x as usize];
            image::Rgb(pixel.map(|v| (v * 255.0 + 0.5).clamp(0.0, 255.0) as u8))
        })
    }
}

impl Part {
    /// Middle and radius of a circle around the part.
    fn bounds(&self) -> (Point, f32) {
        match self {
            Part::Bulb { centre, radii, coat, .. } => {
                (*centre, radii[0].max(radii[1]) + coat.fur + 1.0)
            }
            Part::Limb { from, to, radii, .. } => {
                (middle(*from, *to), length(*from, *to) / 2.0 + radii[0].max(radii[1]) + 1.0)
            }
            Part::Wing { root, tip, width, .. } => {
                (middle(*root, *tip), (length(*root, *tip) / 2.0).max(*width) + 1.0)
            }
        }
    }

    /// Coordinates along and across the part, scaled to `[-1, 1]` inside.
    fn local(&self, point: Point) -> Point {
        match self {
            Part::Bulb { centre, radii, angle, .. } => {
                let (dx, dy) = (point[0] - centre[0], point[1] - centre[1]);
                let (sin, cos) = angle.sin_cos();
                [(dx * cos + dy * sin) / radii[0], (dy * cos - dx * sin) / radii[1]]
            }
            Part::Limb { from, to, radii, .. } => {
                let (axis, span) = ([to[0] - from[0], to[1] - from[1]], length(*from, *to).max(1e-3));
                let (dx, dy) = (point[0] - from[0], point[1] - from[1]);
                let t = ((dx * axis[0] + dy * axis[1]) / (span * span)).clamp(0.0, 1.0);
                let across = (dy * axis[0] - dx * axis[1]) / span;
                [t * 2.0 - 1.0, across / (radii[0] + (radii[1] - radii[0]) * t)]
            }
            Part::Wing { root, tip, width, .. } => {
                let (axis, span) = ([tip[0] - root[0], tip[1] - root[1]], length(*root, *tip).max(1e-3));
                let (dx, dy) = (point[0] - root[0], point[1] - root[1]);
                let t = (dx * axis[0] + dy * axis[1]) / (span * span);
                let across = (dy * axis[0] - dx * axis[1]) / span;
                // Widest at two thirds of its length, narrow at the root.
                let profile = (0.35 + 0.65 * t.clamp(0.0, 1.0)) * width;
                [t * 2.0 - 1.0, across / profile]
            }
        }
    }

    /// Signed distance to the outline in pixels, negative inside (approximate).
    fn distance(&self, point: Point) -> f32 {
        match self {
            Part::Bulb { radii, .. } => round_distance(self.local(point), *radii),
            Part::Limb { from, to, radii, .. } => {
                let t = (self.local(point)[0] + 1.0) / 2.0;
                let near = [from[0] + (to[0] - from[0]) * t, from[1] + (to[1] - from[1]) * t];
                length(near, point) - (radii[0] + (radii[1] - radii[0]) * t)
            }
            Part::Wing { root, tip, width, .. } => {
                round_distance(self.local(point), [length(*root, *tip) / 2.0, width * 0.7])
            }
        }
    }

    /// Colour and opacity at a pixel, if the part covers it.
    fn colour(&self, point: Point, (x, y): (u32, u32), light: Light) -> Option<(Colour, f32)> {
        let distance = self.distance(point);
        match self {
            Part::Bulb { angle, coat, .. } => {
                let alpha = 0.5 - distance - coat.fur * (grain(x, y, 7) - 0.3);
                let [u, v] = self.local(point);
                let (sin, cos) = angle.sin_cos();
                let normal = [u * cos - v * sin, u * sin + v * cos, (1.0 - u * u - v * v).max(0.0).sqrt()];
                let rough = if coat.fur > 0.0 { 0.85 + 0.3 * grain(x / 2, y, 11) } else { 1.0 };
                (alpha > 0.0).then(|| (coat.colour(u, normal, light, rough), alpha.min(1.0)))
            }
            Part::Limb { from, to, coat, .. } => {
                let alpha = 0.5 - distance;
                let [u, v] = self.local(point);
                let span = length(*from, *to).max(1e-3);
                let across = [-(to[1] - from[1]) / span * v, (to[0] - from[0]) / span * v];
                let normal = [across[0], across[1], (1.0 - v * v).max(0.0).sqrt()];
                (alpha > 0.0).then(|| (coat.colour(u, normal, light, 1.0), alpha.min(1.0)))
            }
            Part::Wing { tint, opacity, .. } => {
                let cover = (0.5 - distance).clamp(0.0, 1.0);
                let [u, v] = self.local(point);
                let vein = vein(u, v).max((1.6 + distance).clamp(0.0, 1.0) * 0.9);
                let colour = mix(*tint, tint.map(|c| c * 0.35), vein);
                (cover > 0.0).then_some((colour, cover * (opacity + (0.8 - opacity) * vein)))
            }
        }
    }
}

impl Coat {
    fn colour(&self, along: f32, normal: [f32; 3], light: Light, rough: f32) -> Colour {
        let mut colour = self.base;
        if let Some((other, count, phase)) = self.bands {
            let wave = ((along * 0.5 * count + phase) * std::f32::consts::TAU).sin();
            colour = mix(colour, other, (wave * 6.0 + 0.5).clamp(0.0, 1.0));
        }
        let (diffuse, highlight) = light.shade(normal);
        colour.map(|c| c * diffuse * rough * 1.1 + self.gloss * highlight)
    }
}

/// How much of a vein a point of a wing is, `[0, 1]`; `u` along, `v` across.
fn vein(u: f32, v: f32) -> f32 {
    let long = [-0.45f32, 0.1, 0.55].iter().map(|at| (v - at * (0.6 + 0.4 * u)).abs()).fold(1.0, f32::min);
    let cross = [-0.1f32, 0.35, 0.65].iter().map(|at| (u - at - 0.25 * v).abs()).fold(1.0, f32::min);
    let line = |d: f32, width: f32| (1.0 - d / width).clamp(0.0, 1.0);
    line(long, 0.09).max(line(cross, 0.045) * 0.8) * 0.8
}

/// Distance to an ellipse from its local coordinates, by one Newton step.
fn round_distance([u, v]: Point, radii: Point) -> f32 {
    let d = u.hypot(v);
    let slope = (u / radii[0]).hypot(v / radii[1]);
    if d < 1e-4 { -radii[0].min(radii[1]) } else { (d - 1.0) * d / slope }
}

fn middle(a: Point, b: Point) -> Point {
    [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]
}

/// Distance between two points.
pub(super) fn length(a: Point, b: Point) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}
