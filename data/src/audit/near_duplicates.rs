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
mod values;
mod window;

use crate::RgbImage;
use hash_index::HashIndex;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use values::Values;
use window::Windows;

/// Bits in which the hashes of candidates may differ.
const NEAR_BITS: u32 = 11;
/// An image whose thumbnail spans fewer gray values is blank.
const LEAST_CONTRAST: u8 = 8;
/// Largest number of near duplicates searched per image, and of members of a group that another one must be near
/// to: of thousands of copies, not every pair is compared.
const MOST_NEIGHBOURS: usize = 8;

/// Images whose windows are searched together. More share more candidates, and fewer processors share the work.
const BLOCK: usize = 4096;

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
        let starts: Vec<usize> = (0..count).step_by(BLOCK).collect();
        let found: Vec<Vec<usize>> = starts
            .into_par_iter()
            .flat_map_iter(|start| {
                let block = start..count.min(start + BLOCK);
                self.neighbours(block, &hash_index)
            })
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
            let whole = Values::of_whole(whole);
            let windows = self.windows.all().iter();
            let near = windows.filter_map(|window| Values::of(window, windowed).near(&whole));
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

    /// For each image those that are near to windows of it, or of its mirror image.
    fn neighbours(&self, images: Range<usize>, hash_index: &HashIndex) -> Vec<Vec<usize>> {
        let windows = self.windows.all();
        // Of each image, the windows, then those of its mirror image.
        let queries: Vec<u64> = self.thumbnails[images.clone()]
            .iter()
            .flat_map(|thumbnail| [(*thumbnail).clone(), thumbnail.mirrored()])
            .flat_map(|thumbnail| windows.iter().map(move |window| window.hash(&thumbnail)))
            .collect();
        let values_of = |query: usize| {
            let (thumbnail, window) = (query / windows.len(), &windows[query % windows.len()]);
            let is_mirrored = thumbnail % 2 == 1;
            let thumbnail = self.thumbnails[images.start + thumbnail / 2];
            match is_mirrored {
                true => Values::of(window, &thumbnail.mirrored()),
                false => Values::of(window, thumbnail),
            }
        };
        let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); images.len()];
        // Most windows have no candidate: their values are computed when the first one comes.
        let mut last: Option<(usize, Values)> = None;
        hash_index.near(&queries, NEAR_BITS, &mut |query, other| {
            let image = query / windows.len() / 2;
            let found = &mut neighbours[image];
            if found.len() == MOST_NEIGHBOURS {
                return ControlFlow::Break(());
            }
            if other == images.start + image || found.contains(&other) {
                return ControlFlow::Continue(());
            }
            let known = last.take_if(|(of, _)| *of == query);
            let (_, values) = last.insert(known.unwrap_or_else(|| (query, values_of(query))));
            let others = Values::of_whole(self.thumbnails[other]);
            found.extend(values.near(&others).map(|_| other));
            ControlFlow::Continue(())
        });
        neighbours
    }
}

#[cfg(test)]
mod tests;
