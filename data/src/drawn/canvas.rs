//! Rasteriser for anti-aliased, shaded shapes in floating point. Knows shapes, not what they mean.

use image::RgbImage;

/// Red, green, blue, nominally `[0, 1]`.
pub(crate) type Colour = [f32; 3];
/// A point or an offset in pixels.
pub(crate) type Point = [f32; 2];

/// Linear interpolation; `t` = 0 gives `a`.
pub(crate) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

/// BT.601 luma, `[0, 1]`.
pub(crate) fn luma(c: Colour) -> f32 {
    0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]
}

/// Surface of a shape.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    pub(crate) base: Colour,
    /// Stripes across the shape's long axis: colour, number and phase of the first, in periods.
    pub(crate) bands: Option<(Colour, f32, f32)>,
    /// Strength of the highlight, `[0, 1]`.
    pub(crate) gloss: f32,
    /// Roughness of the outline, pixels.
    pub(crate) fur: f32,
}

/// One shape.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// An ellipsoid seen from above.
    Ellipsoid {
        centre: Point,
        radii: Point,
        /// Unit vector along the first radius.
        axis: Point,
        material: Material,
    },
    /// A straight limb that tapers from one radius to the other.
    Limb {
        from: Point,
        to: Point,
        radii: Point,
        material: Material,
    },
    /// A translucent wing from its root to its tip, with veins.
    Wing {
        root: Point,
        tip: Point,
        width: f32,
        tint: Colour,
        opacity: f32,
    },
}

/// Directional light with Blinn-Phong shading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Light {
    /// Unit vector to the light; the third axis points to the viewer.
    direction: [f32; 3],
    /// Unit vector half way between light and viewer.
    half: [f32; 3],
    ambient: f32,
}

impl Light {
    /// From a direction in the image (radians) and a height (sine of the elevation).
    pub(crate) fn new(azimuth: f32, height: f32, ambient: f32) -> Self {
        let flat = (1.0 - height * height).sqrt();
        let direction = [azimuth.cos() * flat, azimuth.sin() * flat, height];
        let half = [direction[0], direction[1], direction[2] + 1.0];
        let norm = half.iter().map(|v| v * v).sum::<f32>().sqrt();
        Light {
            direction,
            half: half.map(|v| v / norm),
            ambient,
        }
    }

    /// Offset of a shadow that falls `far` pixels away.
    pub(crate) fn shadow_offset(&self, far: f32) -> Point {
        [-self.direction[0] * far, -self.direction[1] * far]
    }

    /// Diffuse and specular brightness for a surface normal.
    fn shade(&self, normal: [f32; 3]) -> (f32, f32) {
        let along = |v: [f32; 3]| (normal[0] * v[0] + normal[1] * v[1] + normal[2] * v[2]).max(0.0);
        (
            self.ambient + (1.0 - self.ambient) * along(self.direction),
            along(self.half).powi(24),
        )
    }
}

/// An image in floating point.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<Colour>,
}

/// Noise of a pixel, `[0, 1)`: an integer hash, so that it needs no state and no order of pixels.
pub(crate) fn grain(x: u32, y: u32, salt: u32) -> f32 {
    let mut h =
        x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ salt.wrapping_mul(0xC2B2_AE3D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2C1B_3C6D);
    h ^= h >> 12;
    (h >> 8) as f32 / (1u32 << 24) as f32
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Canvas {
            width,
            height,
            pixels: vec![[0.0; 3]; width * height],
        }
    }

    /// Calls `paint` for every pixel centre of a box.
    fn for_each_pixel(
        &mut self,
        area: Area,
        mut paint: impl FnMut(Point, (u32, u32), &mut Colour),
    ) {
        let (left, right) = span(area.low[0], area.high[0], self.width);
        let (top, bottom) = span(area.low[1], area.high[1], self.height);
        for y in top..bottom {
            for x in left..right {
                let pixel = &mut self.pixels[y * self.width + x];
                paint(
                    [x as f32 + 0.5, y as f32 + 0.5],
                    (x as u32, y as u32),
                    pixel,
                );
            }
        }
    }

    /// Draws one shape.
    pub(crate) fn paint(&mut self, shape: &Shape, light: Light) {
        self.for_each_pixel(shape.bounds().grown(1.0), |point, at, pixel| {
            if let Some((colour, alpha)) = shape.colour(point, at, light) {
                *pixel = mix(*pixel, colour, alpha);
            }
        });
    }

    /// Darkens the ground under `shapes`, shifted by `offset` and blurred over `softness` pixels.
    pub(crate) fn shadow(&mut self, shapes: &[Shape], offset: Point, softness: f32, strength: f32) {
        let fallen = |shape: &Shape| shape.bounds().moved(offset).grown(softness);
        let Some(area) = shapes.iter().map(fallen).reduce(Area::with) else {
            return;
        };
        let (left, right) = span(area.low[0], area.high[0], self.width);
        let (top, bottom) = span(area.low[1], area.high[1], self.height);
        let wide = right - left;
        // The darkest shadow counts at each pixel: shadows of one object do not add up.
        let mut mask = vec![0.0f32; wide * (bottom - top)];
        for shape in shapes {
            let weight = if matches!(shape, Shape::Wing { .. }) {
                0.4
            } else {
                1.0
            };
            self.for_each_pixel(fallen(shape), |point, (x, y), _| {
                let distance = shape.distance([point[0] - offset[0], point[1] - offset[1]]);
                let cover = (0.5 - distance / (2.0 * softness)).clamp(0.0, 1.0) * weight;
                let covered = &mut mask[(y as usize - top) * wide + x as usize - left];
                *covered = covered.max(cover);
            });
        }
        for (row, covers) in (top..bottom).zip(mask.chunks(wide.max(1))) {
            let start = row * self.width + left;
            for (pixel, cover) in self.pixels[start..start + wide].iter_mut().zip(covers) {
                *pixel = pixel.map(|v| v * (1.0 - strength * cover));
            }
        }
    }

    /// A 3 x 3 blur; `weight` of the neighbours, `[0, 1]`.
    pub(crate) fn blur(&mut self, weight: f32) {
        let blend = |a: Colour, m: Colour, b: Colour| mix(m, mix(a, b, 0.5), weight);
        let (w, h) = (self.width, self.height);
        for row in self.pixels.chunks_mut(w) {
            // In place: the pixel to the left is already blurred, so its old value is kept.
            let mut before = row[0];
            for x in 0..w {
                let here = row[x];
                row[x] = blend(before, here, row[(x + 1).min(w - 1)]);
                before = here;
            }
        }
        let mut above = self.pixels[..w].to_vec();
        for y in 0..h {
            for (x, above) in above.iter_mut().enumerate() {
                let here = self.pixels[y * w + x];
                let below = self.pixels[(y + 1).min(h - 1) * w + x];
                self.pixels[y * w + x] = blend(*above, here, below);
                *above = here;
            }
        }
    }

    /// The image in 8 bits.
    pub(crate) fn to_image(&self) -> RgbImage {
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            let pixel = self.pixels[y as usize * self.width + x as usize];
            image::Rgb(pixel.map(|v| (v * 255.0 + 0.5).clamp(0.0, 255.0) as u8))
        })
    }
}

impl Shape {
    /// Bounding box.
    fn bounds(&self) -> Area {
        match self {
            Shape::Ellipsoid {
                centre,
                radii,
                axis,
                material,
            } => {
                let reach = [0, 1].map(|i| {
                    length([radii[0] * axis[i], radii[1] * axis[1 - i]], [0.0; 2]) + material.fur
                });
                Area {
                    low: *centre,
                    high: *centre,
                }
                .stretched(reach)
            }
            Shape::Limb {
                from, to, radii, ..
            } => Area::between(*from, *to).grown(radii[0].max(radii[1])),
            Shape::Wing {
                root, tip, width, ..
            } => Area::between(*root, *tip).grown(*width),
        }
    }

    /// Coordinates along and across the shape, `[-1, 1]` inside.
    fn local(&self, point: Point) -> Point {
        match self {
            Shape::Ellipsoid {
                centre,
                radii,
                axis: [cos, sin],
                ..
            } => {
                let (dx, dy) = (point[0] - centre[0], point[1] - centre[1]);
                [
                    (dx * cos + dy * sin) / radii[0],
                    (dy * cos - dx * sin) / radii[1],
                ]
            }
            Shape::Limb {
                from, to, radii, ..
            } => {
                let (axis, span) = (
                    [to[0] - from[0], to[1] - from[1]],
                    length(*from, *to).max(1e-3),
                );
                let (dx, dy) = (point[0] - from[0], point[1] - from[1]);
                let t = ((dx * axis[0] + dy * axis[1]) / (span * span)).clamp(0.0, 1.0);
                let across = (dy * axis[0] - dx * axis[1]) / span;
                [
                    t * 2.0 - 1.0,
                    across / (radii[0] + (radii[1] - radii[0]) * t),
                ]
            }
            Shape::Wing {
                root, tip, width, ..
            } => {
                let (axis, span) = (
                    [tip[0] - root[0], tip[1] - root[1]],
                    length(*root, *tip).max(1e-3),
                );
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
            Shape::Ellipsoid { radii, .. } => round_distance(self.local(point), *radii),
            Shape::Limb {
                from, to, radii, ..
            } => {
                let t = (self.local(point)[0] + 1.0) / 2.0;
                let near = [
                    from[0] + (to[0] - from[0]) * t,
                    from[1] + (to[1] - from[1]) * t,
                ];
                length(near, point) - (radii[0] + (radii[1] - radii[0]) * t)
            }
            Shape::Wing {
                root, tip, width, ..
            } => round_distance(self.local(point), [length(*root, *tip) / 2.0, width * 0.7]),
        }
    }

    /// Colour and opacity at a pixel, if the shape covers it.
    fn colour(&self, point: Point, (x, y): (u32, u32), light: Light) -> Option<(Colour, f32)> {
        let distance = self.distance(point);
        match self {
            Shape::Ellipsoid {
                axis: [cos, sin],
                material,
                ..
            } => {
                let ragged = if material.fur > 0.0 {
                    material.fur * (grain(x, y, 7) - 0.3)
                } else {
                    0.0
                };
                let alpha = 0.5 - distance - ragged;
                if alpha <= 0.0 {
                    return None;
                }
                let [u, v] = self.local(point);
                let normal = [
                    u * cos - v * sin,
                    u * sin + v * cos,
                    (1.0 - u * u - v * v).max(0.0).sqrt(),
                ];
                let rough = if material.fur > 0.0 {
                    0.92 + 0.16 * grain(x / 2, y, 11)
                } else {
                    1.0
                };
                Some((material.colour(u, normal, light, rough), alpha.min(1.0)))
            }
            Shape::Limb {
                from, to, material, ..
            } => {
                let alpha = 0.5 - distance;
                if alpha <= 0.0 {
                    return None;
                }
                let [u, v] = self.local(point);
                let span = length(*from, *to).max(1e-3);
                let across = [-(to[1] - from[1]) / span * v, (to[0] - from[0]) / span * v];
                let normal = [across[0], across[1], (1.0 - v * v).max(0.0).sqrt()];
                Some((material.colour(u, normal, light, 1.0), alpha.min(1.0)))
            }
            Shape::Wing { tint, opacity, .. } => {
                let cover = (0.5 - distance).clamp(0.0, 1.0);
                if cover <= 0.0 {
                    return None;
                }
                let [u, v] = self.local(point);
                let vein = vein(u, v).max((1.6 + distance).clamp(0.0, 1.0) * 0.9);
                let colour = mix(*tint, tint.map(|c| c * 0.35), vein);
                Some((colour, cover * (opacity + (0.8 - opacity) * vein)))
            }
        }
    }
}

impl Material {
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

/// Strength of the veins at a point of a wing, `[0, 1]`; `u` along, `v` across.
fn vein(u: f32, v: f32) -> f32 {
    let long = [-0.45f32, 0.1, 0.55]
        .iter()
        .map(|offset| (v - offset * (0.6 + 0.4 * u)).abs())
        .fold(1.0, f32::min);
    let cross = [-0.1f32, 0.35, 0.65]
        .iter()
        .map(|offset| (u - offset - 0.25 * v).abs())
        .fold(1.0, f32::min);
    let line = |d: f32, width: f32| (1.0 - d / width).clamp(0.0, 1.0);
    line(long, 0.09).max(line(cross, 0.045) * 0.8) * 0.8
}

/// Distance to an ellipse from its local coordinates, by one Newton step.
fn round_distance([u, v]: Point, radii: Point) -> f32 {
    let d = length([u, v], [0.0; 2]);
    let slope = length([u / radii[0], v / radii[1]], [0.0; 2]);
    if d < 1e-4 {
        -radii[0].min(radii[1])
    } else {
        (d - 1.0) * d / slope
    }
}

/// The whole pixels from `low` to `high` within `0..end`.
fn span(low: f32, high: f32, end: usize) -> (usize, usize) {
    let high = (high.ceil().max(0.0) as usize).min(end);
    ((low.floor().max(0.0) as usize).min(high), high)
}

/// Axis-aligned box, pixels.
#[derive(Clone, Copy, Debug)]
struct Area {
    low: Point,
    high: Point,
}

impl Area {
    fn between(a: Point, b: Point) -> Self {
        Area {
            low: [0, 1].map(|i| a[i].min(b[i])),
            high: [0, 1].map(|i| a[i].max(b[i])),
        }
    }

    fn stretched(self, reach: Point) -> Self {
        Area {
            low: [self.low[0] - reach[0], self.low[1] - reach[1]],
            high: [self.high[0] + reach[0], self.high[1] + reach[1]],
        }
    }

    fn grown(self, reach: f32) -> Self {
        self.stretched([reach; 2])
    }

    fn moved(self, by: Point) -> Self {
        let moved = |p: Point| [p[0] + by[0], p[1] + by[1]];
        Area {
            low: moved(self.low),
            high: moved(self.high),
        }
    }

    fn with(self, other: Area) -> Self {
        Area {
            low: [0, 1].map(|i| self.low[i].min(other.low[i])),
            high: [0, 1].map(|i| self.high[i].max(other.high[i])),
        }
    }
}

/// Distance between two points.
pub(crate) fn length(a: Point, b: Point) -> f32 {
    let (x, y) = (a[0] - b[0], a[1] - b[1]);
    (x * x + y * y).sqrt()
}
