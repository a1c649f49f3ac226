//! How often which numbers occur in a value, and the range that is best kept of them.

use onnx::convert::{Range, Scheme};

/// Bins on either side of zero.
const HALF: usize = 2048;

/// Counts in bins of one width, which doubles as larger numbers come: one pass, whatever comes.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    width: f32,
    low: f32,
    high: f32,
    /// Exact zeros, which quantise without error: most of what a ReLU gives.
    zeros: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; 2 * HALF],
            width: 0.0,
            low: 0.0,
            high: 0.0,
            zeros: 0,
        }
    }

    pub(super) fn add(&mut self, values: &[f32]) {
        let (low, high) = values
            .iter()
            .fold((self.low, self.high), |(low, high), value| {
                (low.min(*value), high.max(*value))
            });
        (self.low, self.high) = (low, high);
        self.fit(high.max(-low));
        if self.width == 0.0 {
            self.zeros += values.len() as u64;
            return;
        }
        let scale = 1.0 / self.width;
        for value in values {
            if *value == 0.0 {
                self.zeros += 1;
                continue;
            }
            let bin = (value * scale).floor() as isize + HALF as isize;
            let bin = bin.clamp(0, 2 * HALF as isize - 1) as usize;
            self.counts[bin] += 1;
        }
    }

    /// Makes the bins wide enough for numbers of this size.
    fn fit(&mut self, largest: f32) {
        if !largest.is_finite() || largest == 0.0 {
            return;
        }
        if self.width == 0.0 {
            self.width = largest / HALF as f32;
        }
        while largest > self.width * HALF as f32 {
            let mut wider = vec![0; 2 * HALF];
            for (at, pair) in self.counts.chunks_exact(2).enumerate() {
                wider[HALF / 2 + at] = pair[0] + pair[1];
            }
            self.counts = wider;
            self.width *= 2.0;
        }
    }

    /// The range to quantise.
    pub(super) fn range(&self, scheme: Scheme) -> Range {
        let all = Range {
            low: self.low,
            high: self.high,
        };
        match std::env::var("CALIB").unwrap_or_default().as_str() {
            "mse" => self.least_squares(all, scheme),
            "" => all,
            text => self.percentile(text.parse().unwrap_or(1.0)),
        }
    }

    fn percentile(&self, share: f64) -> Range {
        let total: u64 = self.counts.iter().sum::<u64>() + self.zeros;
        let out = ((1.0 - share) * total as f64) as u64;
        let cut = |bins: &mut dyn Iterator<Item = usize>| {
            let mut seen = 0;
            for bin in bins {
                seen += self.counts[bin];
                if seen > out {
                    return bin;
                }
            }
            HALF
        };
        let lowest = cut(&mut (0..HALF));
        let highest = cut(&mut (HALF..2 * HALF).rev());
        let low = (lowest as f32 - HALF as f32) * self.width;
        let high = (highest as f32 + 1.0 - HALF as f32) * self.width;
        Range {
            low: low.max(self.low),
            high: high.min(self.high),
        }
    }

    /// The part of the whole range that has the least squared error, of cutting and rounding together.
    fn least_squares(&self, all: Range, scheme: Scheme) -> Range {
        let mut best = (f64::INFINITY, all);
        for step in 0..80 {
            let part = 1.0 - step as f32 / 100.0;
            let range = Range {
                low: all.low * part,
                high: all.high * part,
            };
            let error = self.error(range, scheme);
            if error < best.0 {
                best = (error, range);
            }
        }
        best.1
    }

    fn error(&self, range: Range, scheme: Scheme) -> f64 {
        let (low, high) = (f64::from(range.low), f64::from(range.high));
        let (low, high, scale) = match scheme {
            Scheme::Asymmetric => (low, high, (high - low) / 255.0),
            Scheme::Symmetric => {
                let size = high.max(-low);
                (-size, size, size / 127.0)
            }
        };
        let width = f64::from(self.width);
        let rounding = scale * scale / 12.0;
        let errors = self.counts.iter().enumerate().map(|(bin, count)| {
            let center = (bin as f64 + 0.5 - HALF as f64) * width;
            let outside = (low - center).max(center - high).max(0.0);
            *count as f64
                * if outside > 0.0 {
                    outside * outside
                } else {
                    rounding
                }
        });
        errors.sum()
    }
}
