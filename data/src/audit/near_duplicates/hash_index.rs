//! Multi-index hashing: search in Hamming space, without comparing a hash with all others.
//!
//! M. Norouzi, A. Punjani and D. J. Fleet, "Fast Search in Hamming Space with Multi-HashIndex Hashing", CVPR
//! 2012. Many hashes are looked for at once: those with an equal part share their candidates. Knows no images.

use std::ops::{ControlFlow, Range};

/// Parts of a hash, 16 bits each.
const PARTS: usize = 4;
/// When eleven bits differ in all, at least one of four parts differs in at most this many.
const BITS_OF_A_PART: u32 = 2;
/// Parts with at most that many bits set: 1 + 16 + 16 · 15 / 2.
const MASKS: usize = 137;

/// Candidates that are looked at together.
const CHUNK: usize = 16;

/// Hears of each query and hash that are near, by their indices. What breaks ends the search for this query.
pub(super) type Found<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// Hashes of 64 bits with a table for each quarter of their bits.
pub(super) struct HashIndex {
    tables: [Table; PARTS],
    /// All parts with at most [`BITS_OF_A_PART`] bits set.
    masks: [u16; MASKS],
}

/// Hashes by the value of one part: those of value `v` are `hashes[starts[v]..starts[v + 1]]`.
struct Table {
    starts: Vec<u32>,
    /// In each table again: what is read one after the other lies side by side.
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

    /// Calls `found` with the indices of a query and of a hash that differ in at most `bits` bits (at most 11), once
    /// for each such pair, unless it breaks: then it hears no more of that query from that table.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "instructions that not every processor has")
    )]
    pub(super) fn near(&self, queries: &[u64], bits: u32, found: &mut Found<'_>) {
        debug_assert!(bits < PARTS as u32 * (BITS_OF_A_PART + 1));
        // Counting bits is most of the work, and takes a dozen instructions without the one for it.
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512vpopcntdq") {
                // SAFETY: the processor has the instructions.
                return unsafe { self.near_by_vectors(queries, bits, found) };
            }
            if has!("popcnt") {
                // SAFETY: the processor has the instruction.
                return unsafe { self.near_by_popcnt(queries, bits, found) };
            }
        }
        self.search(queries, bits, found);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
    fn near_by_vectors(&self, queries: &[u64], bits: u32, found: &mut Found<'_>) {
        self.search(queries, bits, found);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt")]
    fn near_by_popcnt(&self, queries: &[u64], bits: u32, found: &mut Found<'_>) {
        self.search(queries, bits, found);
    }

    #[inline(always)]
    fn search(&self, queries: &[u64], bits: u32, found: &mut Found<'_>) {
        let (mut hashes, mut indices) = (Vec::new(), Vec::new());
        for (number, table) in self.tables.iter().enumerate() {
            let queries = Table::new(queries, number);
            for value in 0..=u16::MAX {
                let asked = queries.slots_of(value);
                if asked.is_empty() {
                    continue;
                }
                hashes.clear();
                indices.clear();
                for mask in self.masks {
                    let slots = table.slots_of(value ^ mask);
                    hashes.extend_from_slice(&table.hashes[slots.clone()]);
                    indices.extend_from_slice(&table.indices[slots]);
                }
                for slot in asked {
                    let (hash, query) = (queries.hashes[slot], queries.indices[slot]);
                    near_to(hash, &hashes, bits, &mut |candidate| {
                        // An earlier table has found it if that part, too, differs in few bits.
                        let difference = hash ^ hashes[candidate];
                        let seen_before = |n| part(difference, n).count_ones() <= BITS_OF_A_PART;
                        match (0..number).any(seen_before) {
                            true => ControlFlow::Continue(()),
                            false => found(query as usize, indices[candidate] as usize),
                        }
                    });
                }
            }
        }
    }
}

/// Calls `found` with the index of each candidate that differs in at most `bits` bits, until it breaks.
#[inline(always)]
fn near_to(
    hash: u64,
    candidates: &[u64],
    bits: u32,
    found: &mut dyn FnMut(usize) -> ControlFlow<()>,
) {
    // Most candidates are far: whether one of many is near takes no branches.
    for (chunk, candidates) in candidates.chunks(CHUNK).enumerate() {
        let is_near = |candidate: &u64| (hash ^ candidate).count_ones() <= bits;
        let any = candidates.iter().fold(false, |any, c| any | is_near(c));
        if !any {
            continue;
        }
        for (i, _) in candidates.iter().enumerate().filter(|(_, c)| is_near(c)) {
            if found(CHUNK * chunk + i).is_break() {
                return;
            }
        }
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
        let mut found = vec![Vec::new(); hashes.len()];
        hash_index.near(&hashes, 11, &mut |query, index| {
            found[query].push(index);
            ControlFlow::Continue(())
        });
        for (hash, found) in hashes.iter().zip(&mut found) {
            found.sort_unstable();
            let near = |index: &usize| (hashes[*index] ^ hash).count_ones() <= 11;
            let expected: Vec<usize> = (0..hashes.len()).filter(near).collect();
            assert_eq!(*found, expected);
        }
        let relatives = found.iter().map(|found| found.len() - 1).sum::<usize>();
        assert!(relatives > 300, "{relatives}");
    }
}
