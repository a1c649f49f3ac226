//! Ants and bees as lists of shapes: three segments, six legs, antennae, and wings or none.
//!
//! Both take their two colours from the same [`Colours`], so that colour does not reveal the class.

use crate::drawn::canvas::{Colour, Material, Point, Shape, length};
use crate::drawn::random::Random;

/// The colours of one insect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colours {
    pub(super) body: Colour,
    pub(super) second: Colour,
    pub(super) tint: Colour,
}

/// Position, size and posture of an insect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    /// Centre, pixels.
    pub(super) middle: Point,
    /// Pixels.
    pub(super) length: f32,
    /// Radians.
    pub(super) heading: f32,
    /// Width relative to a view from straight above.
    pub(super) narrowing: f32,
    /// Curvature of the body axis.
    pub(super) bend: f32,
}

impl Pose {
    /// From body coordinates (length 1, head towards +x) to pixels.
    fn pixel_position(&self, [x, y]: Point) -> Point {
        let (x, y) = (x, (y + self.bend * x * x) * self.narrowing);
        let (sin, cos) = self.heading.sin_cos();
        [
            self.middle[0] + (x * cos - y * sin) * self.length,
            self.middle[1] + (x * sin + y * cos) * self.length,
        ]
    }

    fn ellipsoid(&self, centre: Point, radii: Point, material: Material) -> Shape {
        let ahead = self.pixel_position([centre[0] + 0.01, centre[1]]);
        let here = self.pixel_position(centre);
        let step = length(ahead, here);
        let axis = [(ahead[0] - here[0]) / step, (ahead[1] - here[1]) / step];
        let radii = [
            radii[0] * self.length,
            radii[1] * self.length * self.narrowing,
        ];
        Shape::Ellipsoid {
            centre: here,
            radii,
            axis,
            material,
        }
    }

    /// A chain of limbs through `points`, tapering from `thick` to `thin` (body lengths).
    fn chain(
        &self,
        points: &[Point],
        thick: f32,
        thin: f32,
        material: &Material,
        shapes: &mut Vec<Shape>,
    ) {
        let joints = (points.len() - 1) as f32;
        for (i, pair) in points.windows(2).enumerate() {
            let radius = |at: f32| (thick + (thin - thick) * at / joints) * self.length;
            shapes.push(Shape::Limb {
                from: self.pixel_position(pair[0]),
                to: self.pixel_position(pair[1]),
                radii: [radius(i as f32), radius(i as f32 + 1.0)],
                material: material.clone(),
            });
        }
    }
}

/// An ant: narrow waist, long thin jointed legs, elbowed antennae, no wings.
pub(super) fn ant(pose: &Pose, colours: &Colours, random: &mut Random) -> Vec<Shape> {
    let gloss = random.between(0.1, 0.5);
    let material = |base| Material {
        base,
        bands: None,
        gloss,
        fur: 0.0,
    };
    let body = material(colours.body);
    let second = if random.chance(0.6) {
        material(colours.second)
    } else {
        body.clone()
    };
    let limb = material(colours.body);
    let gaster = if random.chance(0.5) {
        material(colours.second)
    } else {
        body.clone()
    };
    // Painted in this order: legs below, then the body from the waist to the head, eyes last.
    let mut shapes = Vec::new();
    let long = random.between(0.85, 1.1);
    for side in [-1.0, 1.0] {
        for (root, knee, foot) in [
            ([0.12, 0.03], [0.30, 0.21], [0.48, 0.40]),
            ([0.05, 0.03], [0.04, 0.27], [0.00, 0.52]),
            ([-0.02, 0.03], [-0.20, 0.24], [-0.46, 0.42]),
        ] {
            let mut joint = |p: Point, wobble: f32| -> Point {
                [
                    p[0] + random.jitter(wobble),
                    side * (p[1] * long + random.jitter(wobble)),
                ]
            };
            let (knee, foot) = (joint(knee, 0.04), joint(foot, 0.07));
            let toe = [
                foot[0] + 0.05 * (foot[0] - knee[0]).signum(),
                foot[1] + side * 0.03,
            ];
            pose.chain(
                &[[root[0], side * root[1]], knee, foot, toe],
                0.019,
                0.008,
                &limb,
                &mut shapes,
            );
        }
        let (elbow, tip) = (
            [0.46, 0.15 + random.jitter(0.03)],
            [0.66, 0.12 + random.jitter(0.07)],
        );
        let feeler =
            [[0.36, 0.03], elbow, tip].map(|[x, y]: Point| [x + random.jitter(0.015), side * y]);
        pose.chain(&feeler, 0.013, 0.009, &limb, &mut shapes);
        let jaw = [[0.38, 0.04], [0.44, 0.035], [0.455, 0.005]].map(|[x, y]: Point| [x, side * y]);
        pose.chain(&jaw, 0.014, 0.006, &limb, &mut shapes);
    }
    shapes.push(pose.ellipsoid([-0.09, 0.0], [0.03, 0.024], second.clone()));
    shapes.push(pose.ellipsoid([-0.145, 0.0], [0.025, 0.028], second.clone()));
    shapes.push(pose.ellipsoid(
        [-0.31, 0.0],
        [random.between(0.15, 0.18), random.between(0.09, 0.115)],
        gaster,
    ));
    shapes.push(pose.ellipsoid([-0.01, 0.0], [0.075, 0.04], second.clone()));
    shapes.push(pose.ellipsoid([0.10, 0.0], [0.085, 0.052], second.clone()));
    shapes.push(pose.ellipsoid([0.29, 0.0], [0.095, random.between(0.075, 0.092)], second));
    for side in [-1.0, 1.0] {
        shapes.push(pose.ellipsoid(
            [0.315, side * 0.068],
            [0.02, 0.014],
            material(colours.body.map(|c| c * 0.3)),
        ));
    }
    shapes
}

/// A bee: stout striped abdomen, furry thorax, short legs, two pairs of translucent wings.
pub(super) fn bee(pose: &Pose, colours: &Colours, random: &mut Random) -> Vec<Shape> {
    let fur = pose.length * random.between(0.008, 0.02);
    let gloss = random.between(0.1, 0.5);
    let material = |base, fur| Material {
        base,
        bands: None,
        gloss,
        fur,
    };
    let mut shapes = Vec::new();
    bee_limbs(pose, &material(colours.body, 0.0), random, &mut shapes);
    let bands = Some((
        colours.second,
        random.between(4.5, 6.5),
        random.between(0.0, 1.0),
    ));
    let stout = random.between(0.155, 0.19);
    shapes.push(pose.ellipsoid(
        [-0.25, 0.0],
        [0.27, stout],
        Material {
            bands,
            ..material(colours.body, fur * 0.5)
        },
    ));
    shapes.push(pose.ellipsoid(
        [0.29, 0.0],
        [0.085, 0.115],
        material(colours.body, fur * 0.3),
    ));
    for side in [-1.0, 1.0] {
        let eye = material(colours.body.map(|c| c * 0.35), 0.0);
        shapes.push(pose.ellipsoid([0.31, side * 0.085], [0.05, 0.035], eye));
    }
    let thorax = if random.chance(0.4) {
        colours.second
    } else {
        colours.body
    };
    shapes.push(pose.ellipsoid([0.11, 0.0], [0.145, 0.145], material(thorax, fur)));
    wings(pose, colours.tint, random, &mut shapes);
    shapes
}

/// Six short legs and two feelers.
fn bee_limbs(pose: &Pose, limb: &Material, random: &mut Random, shapes: &mut Vec<Shape>) {
    for side in [-1.0, 1.0] {
        for (root, foot) in [
            ([0.20, 0.08], [0.31, 0.25]),
            ([0.10, 0.10], [0.05, 0.28]),
            ([0.00, 0.10], [-0.14, 0.28]),
        ] {
            let foot = [
                foot[0] + random.jitter(0.03),
                side * (foot[1] + random.jitter(0.02)),
            ];
            let knee = [
                root[0] + (foot[0] - root[0]) * 0.4,
                side * root[1] + (foot[1] - side * root[1]) * 0.7,
            ];
            pose.chain(
                &[[root[0], side * root[1]], knee, foot],
                0.024,
                0.014,
                limb,
                shapes,
            );
        }
        let feeler = [
            [0.36, 0.03],
            [0.42, 0.07],
            [0.46 + random.jitter(0.02), 0.10],
        ];
        pose.chain(
            &feeler.map(|[x, y]| [x, side * y]),
            0.013,
            0.012,
            limb,
            shapes,
        );
    }
}

/// Two pairs of wings, spread at random.
fn wings(pose: &Pose, tint: Colour, random: &mut Random, shapes: &mut Vec<Shape>) {
    let (spread, opacity) = (random.between(-0.15, 0.35), random.between(0.3, 0.5));
    for side in [-1.0, 1.0] {
        for (root, angle, long, wide) in [
            ([0.07, 0.09], 2.45f32, 0.40, 0.12),
            ([0.14, 0.09], 2.0, 0.56, 0.13),
        ] {
            let angle = angle - spread + random.jitter(0.08);
            let tip = [
                root[0] + long * angle.cos(),
                side * (root[1] + long * angle.sin()),
            ];
            shapes.push(Shape::Wing {
                root: pose.pixel_position([root[0], side * root[1]]),
                tip: pose.pixel_position(tip),
                width: wide * pose.length,
                tint,
                opacity,
            });
        }
    }
}
