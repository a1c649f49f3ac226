//! Near-duplicate search: copies in other sizes, qualities and colours, mirrored or cropped.
//!
//! Every image has a thumbnail of 32 x 32 gray values. The thumbnail, and each window in it, has a hash of
//! 64 bits: whether brightness rises from one of 9 x 8 fields to the next (the "dHash" of N. Krawetz,
//! "Kind of Like That", 2013). Two images are candidates when the hash of one differs in few bits from
//! that of a window of the other, or of its mirror image. They are near duplicates when 16 x 16 values of
//! the same two windows correlate. One bright thing before a dark ground correlates with any other: where the
//! values have little detail, what is left of them without their local mean has to correlate, too.
//!
//! The limits were chosen on 397 images of ants and bees and on 900 of flowers, among which one pair is the
//! same scene. Of all others, none is near; without the limit on the detail, 21 pairs of flowers would be. The
//! closest has details that correlate by 0.60. Copies at a quarter of the size, at JPEG quality 30, in gray or
//! mirrored are all found. Not found: quarter turns, smaller crops, other images of the same scene. The tests
//! print the shares of crops.

mod hash_index;
mod window;

use crate::RgbImage;
use hash_index::HashIndex;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use window::Windows;

/// Bits in which the hashes of candidates may differ.
const NEAR_BITS: u32 = 11;
/// From this correlation on, candidates are near duplicates.
const LEAST_CORRELATION: f32 = 0.88;
/// Values with a smaller share of their variance in details have little detail.
const LITTLE_DETAIL: f32 = 0.1;
/// From this correlation of the details on, candidates with little detail are near duplicates.
const LEAST_DETAIL_CORRELATION: f32 = 0.62;
/// An image whose thumbnail spans fewer gray values is blank.
const LEAST_CONTRAST: u8 = 8;
/// Largest number of near duplicates searched per image, and of members of a group that another one must be near
/// to: of thousands of copies, not every pair is compared.
const MOST_NEIGHBOURS: usize = 8;

/// Side of a thumbnail.
const SIDE: usize = 32;

/// 32 x 32 gray values of an image, `[H, W]`.
#[derive(Clone)]
pub(super) struct Thumbnail(Box<[u8; SIDE * SIDE]>);

impl Thumbnail {
    /// Mean gray of 32 x 32 fields; `None` for an image of one colour.
    pub(super) fn new(image: &RgbImage) -> Option<Self> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let row_bytes = 3 * width;
        let columns = fields(width);
        let mut thumbnail = Box::new([0; SIDE * SIDE]);
        for ((top, bottom), out) in fields(height)
            .into_iter()
            .zip(thumbnail.chunks_exact_mut(SIDE))
        {
            let mut sums = [0_u64; SIDE];
            for row in image.as_raw()[top * row_bytes..bottom * row_bytes].chunks_exact(row_bytes) {
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
        let contrast = thumbnail.iter().max()? - thumbnail.iter().min()?;
        (contrast >= LEAST_CONTRAST).then_some(Self(thumbnail))
    }

    fn mirrored(&self) -> Self {
        let mut thumbnail = self.clone();
        for row in thumbnail.0.chunks_exact_mut(SIDE) {
            row.reverse();
        }
        thumbnail
    }
}

/// Start and end of 32 fields along a side. They overlap in a side of fewer pixels.
fn fields(length: usize) -> [(usize, usize); SIDE] {
    std::array::from_fn(|field| {
        let start = field * length / SIDE;
        (start, ((field + 1) * length / SIDE).max(start + 1))
    })
}

/// Search for near duplicates among thumbnails.
pub(super) struct Search<'a> {
    thumbnails: &'a [&'a Thumbnail],
    windows: Windows,
}

impl<'a> Search<'a> {
    pub(super) fn new(thumbnails: &'a [&'a Thumbnail]) -> Self {
        let windows = Windows::new();
        Self {
            thumbnails,
            windows,
        }
    }

    /// Groups of two or more, as indices in order. Every member is a near duplicate of every other: an image that
    /// is near to two that differ is in two groups.
    pub(super) fn groups(&self) -> Vec<Vec<usize>> {
        let count = self.thumbnails.len();
        let hashes: Vec<u64> = self
            .thumbnails
            .par_iter()
            .map(|thumbnail| self.windows.whole().hash(thumbnail))
            .collect();
        let hash_index = HashIndex::new(&hashes);
        // In parallel, but collected in order: groups do not depend on threads.
        let found: Vec<Vec<usize>> = (0..count)
            .into_par_iter()
            .map(|index| self.neighbours(index, &hash_index))
            .collect();
        // Of a crop and its whole, one finds the other.
        let mut neighbours = vec![BTreeSet::new(); count];
        for (index, others) in found.iter().enumerate() {
            for &other in others {
                neighbours[index].insert(other);
                neighbours[other].insert(index);
            }
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut groups_of: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (first, others) in neighbours.iter().enumerate() {
            for &second in others.range(first..) {
                if groups_of[first]
                    .iter()
                    .any(|group| groups_of[second].contains(group))
                {
                    continue;
                }
                let group = self.grown(first, second, others);
                for &member in &group {
                    groups_of[member].push(groups.len());
                }
                groups.push(group);
            }
        }
        groups
    }

    /// The pair with those of its neighbours that are near to all members.
    fn grown(&self, first: usize, second: usize, neighbours: &BTreeSet<usize>) -> Vec<usize> {
        let mut group = vec![first, second];
        for &other in neighbours.iter().filter(|&&other| other != second) {
            let mut members = group.iter().skip(1).take(MOST_NEIGHBOURS);
            if members.all(|&member| self.similarity(member, other).is_some()) {
                group.push(other);
            }
        }
        group.sort_unstable();
        group
    }

    /// The largest correlation of two near duplicates; `None` where they are none.
    pub(super) fn similarity(&self, a: usize, b: usize) -> Option<f32> {
        let similarity = |windowed: &Thumbnail, whole: &Thumbnail| {
            let whole = self.windows.whole().values(whole);
            let windows = self.windows.all().iter();
            let near = windows.filter_map(|window| near(&window.values(windowed), &whole));
            near.max_by(f32::total_cmp)
        };
        let [a, b] = [a, b].map(|index| self.thumbnails[index]);
        // Either may be the crop, and either the mirror image.
        let pairs = [(a, b), (b, a), (&a.mirrored(), b), (&b.mirrored(), a)];
        let found = pairs
            .into_iter()
            .filter_map(|(windowed, whole)| similarity(windowed, whole));
        found.max_by(f32::total_cmp)
    }

    /// Those that are near to windows of this image, or of its mirror image.
    fn neighbours(&self, index: usize, hash_index: &HashIndex) -> Vec<usize> {
        let thumbnail = self.thumbnails[index];
        let mut found: Vec<usize> = Vec::new();
        'search: for thumbnail in [thumbnail.clone(), thumbnail.mirrored()] {
            for window in self.windows.all() {
                let mut values = None;
                let searched = hash_index.near(window.hash(&thumbnail), NEAR_BITS, &mut |other| {
                    if other == index || found.contains(&other) {
                        return ControlFlow::Continue(());
                    }
                    // Most windows have no candidate: their values are computed when the first one comes.
                    let values = values.get_or_insert_with(|| window.values(&thumbnail));
                    let others = self.windows.whole().values(self.thumbnails[other]);
                    found.extend(near(values, &others).map(|_| other));
                    match found.len() {
                        MOST_NEIGHBOURS => ControlFlow::Break(()),
                        _ => ControlFlow::Continue(()),
                    }
                });
                if searched.is_break() {
                    break 'search;
                }
            }
        }
        found
    }
}

/// The correlation of the values of two windows, `[16, 16]`, where they are of near duplicates.
fn near(a: &[f32], b: &[f32]) -> Option<f32> {
    let correlation = correlation(a, b);
    if correlation < LEAST_CORRELATION {
        return None;
    }
    let details = [a, b].map(details);
    let has_little = |(values, details): (&[f32], &Vec<f32>)| {
        variance(details) < LITTLE_DETAIL * variance(values)
    };
    let is_plain = [a, b].into_iter().zip(&details).any(has_little);
    let is_near =
        !is_plain || self::correlation(&details[0], &details[1]) >= LEAST_DETAIL_CORRELATION;
    is_near.then_some(correlation)
}

/// Values `[16, 16]` without their mean over 3 x 3, the edge repeated: a mean of fewer values would leave slopes.
fn details(values: &[f32]) -> Vec<f32> {
    let side = values.len().isqrt();
    let around = |index: usize| [index.saturating_sub(1), index, (index + 1).min(side - 1)];
    let detail = |index: usize| {
        let rows = around(index / side).into_iter();
        let sum: f32 = rows
            .flat_map(|row| around(index % side).map(|column| values[row * side + column]))
            .sum();
        values[index] - sum / 9.0
    };
    (0..values.len()).map(detail).collect()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn variance(values: &[f32]) -> f32 {
    let mean = mean(values);
    values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f32>()
        / values.len() as f32
}

/// Pearson's correlation coefficient.
fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut covariance, mut variance_a, mut variance_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        covariance += a * b;
        variance_a += a * a;
        variance_b += b * b;
    }
    covariance / (variance_a * variance_b).sqrt().max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests;
