//! Windows of a thumbnail: the whole of it, and parts that another image may be a crop of.

use super::{SIDE, Thumbnail};

/// Sides of the windows as shares of the whole; each at nine positions.
const SHARES: [f32; 2] = [0.9, 0.8];
const POSITIONS: [f32; 3] = [0.0, 0.5, 1.0];

/// Columns and rows of the values that are correlated.
pub(super) const VALUES: usize = 16;

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
    hash: Resample<9, 8>,
    values: Resample<VALUES, VALUES>,
}

impl Window {
    fn new(start: (f32, f32), share: f32) -> Self {
        Self {
            hash: Resample::new(start, share),
            values: Resample::new(start, share),
        }
    }

    /// Difference hash: whether brightness rises to the right, 8 rows of 8 bits.
    pub(super) fn hash(&self, thumbnail: &Thumbnail) -> u64 {
        let values = self.hash.apply(thumbnail);
        let rises = values
            .iter()
            .flat_map(|row| row.windows(2).map(|pair| pair[1] > pair[0]));
        rises.fold(0, |hash, rises| hash << 1 | u64::from(rises))
    }

    /// Gray values `[H, W]`.
    pub(super) fn values(&self, thumbnail: &Thumbnail) -> [[f32; VALUES]; VALUES] {
        self.values.apply(thumbnail)
    }
}

/// Rows or columns of a thumbnail of which a field can cover a part: the largest is 32 / 8 of them long.
const MOST_COVERED: usize = 5;

/// The thumbnail's rows or columns under a field: the first, and the share of the field in each.
#[derive(Clone, Copy)]
struct Cover {
    first: usize,
    shares: [f32; MOST_COVERED],
}

/// Resampling by area to `W` columns and `H` rows.
struct Resample<const W: usize, const H: usize> {
    columns: [Cover; W],
    rows: [Cover; H],
}

impl<const W: usize, const H: usize> Resample<W, H> {
    fn new((x, y): (f32, f32), share: f32) -> Self {
        Self {
            columns: covers(x, share),
            rows: covers(y, share),
        }
    }

    /// Values `[H, W]`.
    fn apply(&self, Thumbnail(thumbnail): &Thumbnail) -> [[f32; W]; H] {
        let mut gray = [0.0; SIDE * SIDE];
        for (gray, byte) in gray.iter_mut().zip(thumbnail.iter()) {
            *gray = f32::from(*byte);
        }
        let gray = gray.as_chunks::<SIDE>().0;
        let mut values = [[0.0; W]; H];
        for (values, rows) in values.iter_mut().zip(&self.rows) {
            // Rows first, then columns: a field's shares are a product of the two.
            let mut sums = [0.0; SIDE];
            for (row, share) in gray[rows.first..].iter().zip(&rows.shares) {
                for (sum, gray) in sums.iter_mut().zip(row) {
                    *sum += share * gray;
                }
            }
            for (value, columns) in values.iter_mut().zip(&self.columns) {
                let sums = &sums[columns.first..][..MOST_COVERED];
                for (sum, share) in sums.iter().zip(&columns.shares) {
                    *value += sum * share;
                }
            }
        }
        values
    }
}

/// The cover of each of `N` equal parts of a window that starts at `start` and has the length `share`.
fn covers<const N: usize>(start: f32, share: f32) -> [Cover; N] {
    let side = SIDE as f32;
    let edge = |field: usize| (start + share * field as f32 / N as f32) * side;
    std::array::from_fn(|field| {
        let (from, to) = (edge(field), edge(field + 1).min(side));
        // As many as any: those outside have no share.
        let first = (from as usize).min(SIDE - MOST_COVERED);
        let part = |cell: usize| (to.min(cell as f32 + 1.0) - from.max(cell as f32)).max(0.0);
        let shares = std::array::from_fn(|i| part(first + i) / (to - from));
        Cover { first, shares }
    })
}
