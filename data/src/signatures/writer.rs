//! Writer: the strokes that a signature is meant to have, before any hand writes it.

use crate::drawn::canvas::Point;
use crate::drawn::random::Random;

/// A writer's signature. Letters are one wide and one high (small ones), x to the right, y up from the baseline.
pub(super) struct Writer {
    /// Control points of each stroke of the pen.
    pub(super) strokes: Vec<Vec<Point>>,
    /// Horizontal shift per unit of height.
    pub(super) slant: f32,
    /// Width of the pen, relative to the height of a small letter.
    pub(super) pen: f32,
    /// How much the pressure varies along a stroke, `[0, 1]`.
    pub(super) pressure: f32,
}

/// Letter shapes: control points from the left neighbour to the right one.
const SHAPES: [&[Point]; 7] = [
    // l
    &[
        [0.0, 0.0],
        [0.55, 1.5],
        [0.4, 2.1],
        [0.2, 1.4],
        [0.35, 0.1],
        [0.8, 0.1],
    ],
    // e
    &[
        [0.0, 0.1],
        [0.6, 0.5],
        [0.45, 0.95],
        [0.15, 0.6],
        [0.3, 0.0],
        [0.9, 0.15],
    ],
    // n
    &[
        [0.0, 0.0],
        [0.15, 0.9],
        [0.25, 0.1],
        [0.55, 0.95],
        [0.7, 0.1],
        [1.0, 0.1],
    ],
    // u
    &[
        [0.0, 0.8],
        [0.15, 0.05],
        [0.5, 0.1],
        [0.65, 0.9],
        [0.7, 0.1],
        [1.0, 0.1],
    ],
    // g
    &[
        [0.0, 0.3],
        [0.5, 0.9],
        [0.1, 0.6],
        [0.3, 0.1],
        [0.6, 0.8],
        [0.5, -1.0],
        [0.15, -0.9],
        [0.9, 0.2],
    ],
    // s
    &[
        [0.0, 0.0],
        [0.45, 1.0],
        [0.5, 0.5],
        [0.65, 0.1],
        [0.2, -0.05],
        [0.9, 0.1],
    ],
    // w
    &[
        [0.0, 0.8],
        [0.2, 0.0],
        [0.4, 0.7],
        [0.6, 0.0],
        [0.8, 0.9],
        [1.1, 0.6],
    ],
];

impl Writer {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut strokes = vec![capital(random)];
        let mut x = strokes[0].last().map_or(1.0, |end| end[0]) + random.jitter(0.15);
        let letters = 3 + random.pick(5);
        // Where the pen is lifted within the word, if it is.
        let lift = random.pick(2 * letters);
        let mut stroke: Vec<Point> = Vec::new();
        // Hands get flatter, or wilder, towards the end.
        let (fade, wide) = (random.between(0.75, 1.1), random.between(0.6, 1.15));
        let mut height = random.between(0.8, 1.2);
        for letter in 0..letters {
            if letter == lift && letter > 0 {
                strokes.push(std::mem::take(&mut stroke));
                x += random.between(0.1, 0.5);
            }
            let shape = SHAPES[random.pick(SHAPES.len() as u32) as usize];
            let own = wide * random.between(0.75, 1.3);
            for point in shape {
                stroke.push([
                    x + (point[0] + random.jitter(0.14)) * own,
                    (point[1] + random.jitter(0.18)) * height,
                ]);
            }
            x += own * random.between(0.85, 1.1);
            height *= fade;
        }
        strokes.push(stroke);
        if random.chance(0.6) {
            strokes.push(flourish(x, random));
        }
        if random.chance(0.35) {
            let [left, y] = [random.between(0.8, x - 0.3), random.between(1.3, 2.0)];
            let end = [left + random.between(0.5, 1.6), y + random.jitter(0.3)];
            strokes.push(vec![[left, y], end]);
        }
        Self {
            strokes,
            slant: random.between(-0.15, 0.65),
            pen: random.between(0.07, 0.14),
            pressure: random.between(0.15, 0.7),
        }
    }
}

/// A large first letter: a stem and a bow, random in all they have.
fn capital(random: &mut Random) -> Vec<Point> {
    let high = random.between(1.8, 3.0);
    let wide = random.between(0.8, 1.8);
    let turns = 4 + random.pick(4);
    let mut points = vec![[random.jitter(0.3), high * random.between(0.3, 0.9)]];
    for turn in 0..turns {
        // From side to side and up and down: loops, bows or zigzags, by the numbers.
        let right = turn % 2 == 0;
        let across = if right {
            random.between(0.4, 1.0)
        } else {
            random.between(-0.1, 0.5)
        };
        let up = if turn % 3 == 1 {
            random.between(-0.3, 0.25)
        } else {
            random.between(0.4, 1.0)
        };
        points.push([across * wide, up * high]);
    }
    points.push([wide + random.between(0.0, 0.3), random.between(0.0, 0.3)]);
    points
}

/// A line below the name, with or without a way back.
fn flourish(end: f32, random: &mut Random) -> Vec<Point> {
    let y = random.between(-1.5, -0.5);
    let (left, right) = (
        random.between(0.0, 0.45) * end,
        end * random.between(0.8, 1.2),
    );
    let mut points = vec![
        [right, y + random.between(0.1, 0.9)],
        [left, y + random.jitter(0.2)],
    ];
    if random.chance(0.6) {
        points.push([
            left + random.between(0.1, 0.5),
            y - random.between(0.15, 0.5),
        ]);
        points.push([end * random.between(0.6, 1.1), y + random.jitter(0.4)]);
    }
    points
}
