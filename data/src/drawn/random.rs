//! Seeded random numbers in the distributions that drawing needs.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Random numbers of one image: the same seed, a stream per image.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Random(rng)
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.random::<f32>()
    }

    /// Uniform in `[-spread, spread)`.
    pub(crate) fn jitter(&mut self, spread: f32) -> f32 {
        self.between(-spread, spread)
    }

    /// One of `0..count`.
    pub(crate) fn pick(&mut self, count: u32) -> u32 {
        self.0.random_range(0..count)
    }

    /// `true` with this probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.0.random::<f32>() < probability
    }
}
