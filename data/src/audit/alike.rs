//! Pictures that look alike: copies in other sizes, qualities and colours, mirrored, cropped.
//!
//! A picture's mark is a thumbnail of 32 x 32 gray values. Of a thumbnail, or of a window in it, a
//! hash of 64 bits is taken: whether brightness rises from one of 9 x 8 fields to the next (the
//! "dHash" of N. Krawetz, "Kind of Like That", 2013). Two pictures are candidates when the hash of
//! one and that of a window of the other, or of its mirror image, differ in few bits; they are
//! alike when 16 x 16 values of the same two correlate. The hash finds, the correlation decides.
//!
//! Both limits were chosen on the 397 photos of ants and bees: no two of them are candidates that
//! correlate by more than 0.82, while copies at a quarter of the size, at JPEG quality 30, in gray or
//! mirrored are all found, and 99 % of those 20 % brighter (some clip). Of crops by 5, 10, 15 and 20 %
//! of both sides at a random place 89, 94, 75 and 54 % are found. Not found: quarter turns, smaller
//! crops, other photos of the same scene.

mod search;
mod window;

use crate::RgbImage;
use rayon::prelude::*;
use search::Index;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use window::Windows;

/// Bits in which the hashes of candidates may differ.
const NEAR_BITS: u32 = 11;
/// From this correlation on, candidates are alike.
const ALIKE: f32 = 0.88;
/// A picture whose thumbnail spans fewer gray values is blank.
const LEAST_CONTRAST: u8 = 8;
/// Partners looked for per picture: a group holds together without all of its pairs.
const PARTNERS: usize = 8;

/// Side of a thumbnail.
const SIDE: usize = 32;

/// What a picture looks like: gray values, row by row.
#[derive(Clone)]
pub(super) struct Mark(Box<[u8; SIDE * SIDE]>);

impl Mark {
    /// The mean gray of 32 x 32 fields; none of a picture of one colour.
    pub(super) fn of(picture: &RgbImage) -> Option<Self> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let row_bytes = 3 * width;
        let columns = fields(width);
        let mut mark = Box::new([0; SIDE * SIDE]);
        for ((top, bottom), out) in fields(height).into_iter().zip(mark.chunks_exact_mut(SIDE)) {
            let mut sums = [0_u64; SIDE];
            for row in picture.as_raw()[top * row_bytes..bottom * row_bytes].chunks_exact(row_bytes)
            {
                for (sum, (left, right)) in sums.iter_mut().zip(columns) {
                    let pixels = row[3 * left..3 * right].as_chunks::<3>().0;
                    // ITU-R BT.601 luma in 256ths; a field's row has few enough pixels for 32 bits.
                    let gray = |&[r, g, b]: &[u8; 3]| {
                        77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b)
                    };
                    *sum += u64::from(pixels.iter().map(gray).sum::<u32>());
                }
            }
            for ((out, sum), (left, right)) in out.iter_mut().zip(sums).zip(columns) {
                let pixels = ((right - left) * (bottom - top)) as u64;
                *out = (sum / (256 * pixels)) as u8;
            }
        }
        let contrast = mark.iter().max()? - mark.iter().min()?;
        (contrast >= LEAST_CONTRAST).then_some(Self(mark))
    }

    fn mirrored(&self) -> Self {
        let mut mark = self.clone();
        for row in mark.0.chunks_exact_mut(SIDE) {
            row.reverse();
        }
        mark
    }
}

/// Where 32 fields begin and end along a side; in a side of fewer pixels they overlap.
fn fields(length: usize) -> [(usize, usize); SIDE] {
    std::array::from_fn(|field| {
        let start = field * length / SIDE;
        (start, ((field + 1) * length / SIDE).max(start + 1))
    })
}

/// Groups of two and more that look alike, as places in `marks`, in order.
pub(super) fn groups(marks: &[&Mark]) -> Vec<Vec<usize>> {
    let windows = Windows::new();
    let hashes: Vec<u64> = marks
        .par_iter()
        .map(|mark| windows.whole().hash(mark))
        .collect();
    let index = Index::new(&hashes);
    let partners = |place: usize| partners(place, marks, &windows, &index);
    let pairs: Vec<(usize, usize)> = (0..marks.len())
        .into_par_iter()
        .flat_map_iter(partners)
        .collect();
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, group) in united(marks.len(), &pairs).into_iter().enumerate() {
        groups.entry(group).or_default().push(place);
    }
    groups
        .into_values()
        .filter(|group| group.len() > 1)
        .collect()
}

/// Pictures that are windows of this one, or of its mirror image.
fn partners(
    place: usize,
    marks: &[&Mark],
    windows: &Windows,
    index: &Index<'_>,
) -> Vec<(usize, usize)> {
    let mut found: Vec<usize> = Vec::new();
    'both: for mark in [marks[place].clone(), marks[place].mirrored()] {
        for window in windows.all() {
            let mut values = None;
            let searched = index.near(window.hash(&mark), NEAR_BITS, &mut |other| {
                if other == place || found.contains(&other) {
                    return ControlFlow::Continue(());
                }
                let values = values.get_or_insert_with(|| window.values(&mark));
                if correlation(values, &windows.whole().values(marks[other])) >= ALIKE {
                    found.push(other);
                }
                match found.len() {
                    PARTNERS => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            });
            if searched.is_break() {
                break 'both;
            }
        }
    }
    found.into_iter().map(|other| (place, other)).collect()
}

/// Pearson's.
fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    both / (of_a * of_b).sqrt().max(f32::MIN_POSITIVE)
}

/// For each of `count` places the least one that it is joined to.
fn united(count: usize, pairs: &[(usize, usize)]) -> Vec<usize> {
    let mut above: Vec<usize> = (0..count).collect();
    fn root(above: &mut [usize], mut place: usize) -> usize {
        while above[place] != place {
            above[place] = above[above[place]];
            place = above[place];
        }
        place
    }
    for &(a, b) in pairs {
        let (a, b) = (root(&mut above, a), root(&mut above, b));
        above[a.max(b)] = a.min(b);
    }
    (0..count).map(|place| root(&mut above, place)).collect()
}

#[cfg(test)]
mod tests;
