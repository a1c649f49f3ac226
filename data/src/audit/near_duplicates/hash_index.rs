//! Multi-index hashing: search in Hamming space, without comparing a hash with all others.
//!
//! M. Norouzi, A. Punjani and D. J. Fleet, "Fast Search in Hamming Space with Multi-HashIndex Hashing", CVPR
//! 2012. Knows no images.

use std::hint::black_box;
use std::ops::{ControlFlow, Range};

/// Parts of a hash, 16 bits each.
const PARTS: usize = 4;
/// When eleven bits differ in all, at least one of four parts differs in at most this many.
const BITS_OF_A_PART: u32 = 2;
/// Parts with at most that many bits set: 1 + 16 + 16 · 15 / 2.
const MASKS: usize = 137;

/// Hashes of 64 bits with a table for each quarter of their bits.
pub(super) struct HashIndex {
    tables: [Table; PARTS],
    /// All parts with at most [`BITS_OF_A_PART`] bits set.
    masks: [u16; MASKS],
}

/// Hashes by the value of one part: those of value `v` are `hashes[starts[v]..starts[v + 1]]`.
struct Table {
    starts: Vec<u32>,
    /// In each table again: what is compared one after the other lies side by side.
    hashes: Vec<u64>,
    /// Where each of them was.
    indices: Vec<u32>,
}

fn masks() -> [u16; MASKS] {
    let mut masks = (0..=u16::MAX).filter(|mask| mask.count_ones() <= BITS_OF_A_PART);
    std::array::from_fn(|_| masks.next().expect("there are as many"))
}

fn part(hash: u64, number: usize) -> u16 {
    (hash >> (16 * number)) as u16
}

impl Table {
    fn new(hashes: &[u64], number: usize) -> Self {
        let mut starts = vec![0_u32; (1 << 16) + 1];
        for &hash in hashes {
            starts[usize::from(part(hash, number)) + 1] += 1;
        }
        for value in 0..1 << 16 {
            starts[value + 1] += starts[value];
        }
        // Counting sort: `starts` are now the first free slots of each value.
        let mut next = starts.clone();
        let mut indices = vec![0; hashes.len()];
        let mut sorted = vec![0; hashes.len()];
        for (index, &hash) in (0..).zip(hashes) {
            let slot = &mut next[usize::from(part(hash, number))];
            indices[*slot as usize] = index;
            sorted[*slot as usize] = hash;
            *slot += 1;
        }
        Self {
            starts,
            hashes: sorted,
            indices,
        }
    }

    #[inline(always)]
    fn slots_of(&self, value: u16) -> Range<usize> {
        let value = usize::from(value);
        self.starts[value] as usize..self.starts[value + 1] as usize
    }
}

impl HashIndex {
    pub(super) fn new(hashes: &[u64]) -> Self {
        Self {
            tables: std::array::from_fn(|number| Table::new(hashes, number)),
            masks: masks(),
        }
    }

    /// Calls `found` once with the index of each hash that differs from `hash` in at most `bits` bits (at
    /// most 11), until it breaks.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "an instruction that not every processor has")
    )]
    pub(super) fn near(
        &self,
        hash: u64,
        bits: u32,
        found: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        debug_assert!(bits < PARTS as u32 * (BITS_OF_A_PART + 1));
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has the instruction.
            return unsafe { self.near_by_popcnt(hash, bits, found) };
        }
        self.search(hash, bits, found)
    }

    /// Counting bits is most of the work, and takes a dozen instructions without the one for it.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt")]
    fn near_by_popcnt(
        &self,
        hash: u64,
        bits: u32,
        found: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.search(hash, bits, found)
    }

    #[inline(always)]
    fn search(
        &self,
        hash: u64,
        bits: u32,
        found: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for (number, table) in self.tables.iter().enumerate() {
            let near: [Range<usize>; MASKS] =
                std::array::from_fn(|mask| table.slots_of(part(hash, number) ^ self.masks[mask]));
            // Reads the first hash of each value ahead: the processor then waits for all of them together, which halves the
            // time of a search in 500,000.
            let firsts = near
                .iter()
                .filter_map(|slots| table.hashes.get(slots.start));
            black_box(firsts.fold(0, |all, hash| all ^ hash));
            for slots in near {
                for (other, slot) in table.hashes[slots.clone()].iter().zip(slots) {
                    let difference = other ^ hash;
                    if difference.count_ones() > bits {
                        continue;
                    }
                    // An earlier table has found it if that part, too, differs in few bits.
                    let seen_before = |n| part(difference, n).count_ones() <= BITS_OF_A_PART;
                    if !(0..number).any(seen_before) {
                        found(table.indices[slot] as usize)?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn it_finds_what_comparing_all_finds() {
        let mut rng = rand::rngs::ChaCha8Rng::seed_from_u64(1);
        let mut hashes: Vec<u64> = (0..300).map(|_| rng.random()).collect();
        for index in 0..300 {
            // Relatives that differ in up to 16 bits.
            let flips =
                (0..index % 17).fold(0_u64, |flips, _| flips | 1 << rng.random_range(0..64));
            hashes.push(hashes[index] ^ flips);
        }
        let hash_index = HashIndex::new(&hashes);
        let mut relatives = 0;
        for &hash in &hashes {
            let mut found = Vec::new();
            let all = hash_index.near(hash, 11, &mut |index| {
                found.push(index);
                ControlFlow::Continue(())
            });
            assert!(all.is_continue());
            found.sort_unstable();
            let near = |index: &usize| (hashes[*index] ^ hash).count_ones() <= 11;
            let expected: Vec<usize> = (0..hashes.len()).filter(near).collect();
            assert_eq!(found, expected);
            relatives += found.len() - 1;
            let mut calls = 0;
            let first = hash_index.near(hash, 11, &mut |_| {
                calls += 1;
                ControlFlow::Break(())
            });
            assert_eq!((first, calls), (ControlFlow::Break(()), 1));
        }
        assert!(relatives > 300, "{relatives}");
    }
}
