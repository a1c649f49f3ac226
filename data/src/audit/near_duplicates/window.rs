//! Windows of a thumbnail: the whole of it, and parts that another image may be a crop of.

use super::{SIDE, Thumbnail};

/// Sides of the windows as shares of the whole; each at nine positions.
const SHARES: [f32; 2] = [0.9, 0.8];
const POSITIONS: [f32; 3] = [0.0, 0.5, 1.0];

/// Columns and rows of the fields of the hash, and of the values that are correlated.
const HASH: (usize, usize) = (9, 8);
const VALUES: (usize, usize) = (16, 16);

/// All windows of a thumbnail, the whole first.
pub(super) struct Windows(Vec<Window>);

impl Windows {
    pub(super) fn new() -> Self {
        let mut windows = vec![Window::new((0.0, 0.0), 1.0)];
        for share in SHARES {
            for y in POSITIONS {
                for x in POSITIONS {
                    let start = (x * (1.0 - share), y * (1.0 - share));
                    windows.push(Window::new(start, share));
                }
            }
        }
        Self(windows)
    }

    pub(super) fn all(&self) -> &[Window] {
        &self.0
    }

    pub(super) fn whole(&self) -> &Window {
        &self.0[0]
    }
}

/// A part of a thumbnail, resampled by area.
pub(super) struct Window {
    hash: Resample,
    values: Resample,
}

impl Window {
    fn new(start: (f32, f32), share: f32) -> Self {
        Self {
            hash: Resample::new(start, share, HASH),
            values: Resample::new(start, share, VALUES),
        }
    }

    /// Difference hash: whether brightness rises to the right, 8 rows of 8 bits.
    pub(super) fn hash(&self, thumbnail: &Thumbnail) -> u64 {
        let values = self.hash.apply(thumbnail);
        let rises = values
            .chunks_exact(HASH.0)
            .flat_map(|row| row.windows(2).map(|pair| pair[1] > pair[0]));
        rises.fold(0, |hash, rises| hash << 1 | u64::from(rises))
    }

    /// Gray values, `[16, 16]`.
    pub(super) fn values(&self, thumbnail: &Thumbnail) -> Vec<f32> {
        self.values.apply(thumbnail)
    }
}

/// The thumbnail's rows or columns under a field: the first, and the share of the field in each.
type Cover = (usize, Vec<f32>);

/// Resampling by area.
struct Resample {
    columns: Vec<Cover>,
    rows: Vec<Cover>,
}

impl Resample {
    fn new((x, y): (f32, f32), share: f32, (width, height): (usize, usize)) -> Self {
        Self {
            columns: covers(x, share, width),
            rows: covers(y, share, height),
        }
    }

    /// Values `[H, W]`.
    fn apply(&self, Thumbnail(thumbnail): &Thumbnail) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.rows.len() * self.columns.len());
        for (top, weights) in &self.rows {
            // Rows first, then columns: a field's weights are a product of the two.
            let mut row = [0.0; SIDE];
            for (values, weight) in thumbnail.chunks_exact(SIDE).skip(*top).zip(weights) {
                for (sum, &gray) in row.iter_mut().zip(values) {
                    *sum += weight * f32::from(gray);
                }
            }
            out.extend(self.columns.iter().map(|(left, weights)| {
                let values = row[*left..].iter().zip(weights);
                values.map(|(value, weight)| value * weight).sum::<f32>()
            }));
        }
        out
    }
}

/// The cover of each of `fields` equal parts of a window that starts at `start` and has the length `share`.
fn covers(start: f32, share: f32, fields: usize) -> Vec<Cover> {
    let side = SIDE as f32;
    let edge = |field: usize| (start + share * field as f32 / fields as f32) * side;
    let cover = |field| {
        let (from, to) = (edge(field), edge(field + 1).min(side));
        let (first, last) = (from as usize, (to.ceil() as usize).min(SIDE));
        let part = |cell: usize| (to.min(cell as f32 + 1.0) - from.max(cell as f32)).max(0.0);
        let weights = (first..last).map(|cell| part(cell) / (to - from));
        (first, weights.collect())
    };
    (0..fields).map(cover).collect()
}
