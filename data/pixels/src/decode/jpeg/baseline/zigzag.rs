//! The order of a block's coefficients in a file (ITU T.81, figure A.6).

/// The index of a coefficient among those of a block, row by row. All behind the 64 have [`OUTSIDE`].
pub(super) const ZIGZAG: [u8; 256] = {
    let mut all = [OUTSIDE; 256];
    all.split_at_mut(64).0.copy_from_slice(&INSIDE);
    all
};

/// The index of an element of [`Block`](super::idct::Block) that is no coefficient.
const OUTSIDE: u8 = 64;

const INSIDE: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, //
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, //
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, //
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
