//! Ranges and histograms of image sizes.

use serde::{Deserialize, Serialize};

/// Minimum, median and maximum of image sides, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Minimum.
    pub min: u32,
    /// Lower median.
    pub median: u32,
    /// Maximum.
    pub max: u32,
}

/// Bin of a histogram: the number of images in `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower edge, included.
    pub from: f64,
    /// Upper edge, excluded (included in the last bin of aspects).
    pub to: f64,
    /// Number of images.
    pub count: usize,
}

pub(super) fn range(sizes: impl Iterator<Item = u32>) -> Option<Range> {
    let mut sizes: Vec<u32> = sizes.collect();
    sizes.sort_unstable();
    Some(Range {
        min: *sizes.first()?,
        median: sizes[(sizes.len() - 1) / 2],
        max: *sizes.last()?,
    })
}

/// Aspects from here on are one bin.
const WIDEST: f64 = 4.0;
const ASPECT_STEP: f64 = 0.25;

/// Width over height in steps of a quarter; all beyond 4 in one bin.
pub(super) fn aspects(sizes: &[(u32, u32)]) -> Vec<Bin> {
    let aspect = |&(width, height): &(u32, u32)| f64::from(width) / f64::from(height);
    let widest = sizes.iter().map(aspect).fold(WIDEST, f64::max);
    let edge = |step: i32| f64::from(step) * ASPECT_STEP;
    let steps = sizes
        .iter()
        .map(|size| (aspect(size).min(WIDEST) / ASPECT_STEP) as i32);
    let mut bins = histogram(steps, edge);
    if let Some(last) = bins.last_mut().filter(|bin| bin.from >= WIDEST) {
        last.to = widest;
    }
    bins
}

/// Millions of pixels in bins that double in width; images without pixels are in none.
pub(super) fn megapixels(sizes: &[(u32, u32)]) -> Vec<Bin> {
    let millions = |&(width, height): &(u32, u32)| f64::from(width) * f64::from(height) / 1e6;
    let doublings = sizes
        .iter()
        .map(millions)
        .filter(|&millions| millions > 0.0)
        // Bin n is [2^n, 2^(n+1)).
        .map(|millions| millions.log2().floor() as i32);
    histogram(doublings, |doubling| 2f64.powi(doubling))
}

/// Bins by number, from the first to the last that is not empty.
fn histogram(numbers: impl Iterator<Item = i32>, edge: impl Fn(i32) -> f64) -> Vec<Bin> {
    let numbers: Vec<i32> = numbers.collect();
    let (Some(&first), Some(&last)) = (numbers.iter().min(), numbers.iter().max()) else {
        return Vec::new();
    };
    let bin = |number| Bin {
        from: edge(number),
        to: edge(number + 1),
        count: numbers.iter().filter(|&&n| n == number).count(),
    };
    (first..=last).map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_in_one_bin() {
        let sizes = [
            (100, 100),
            (100, 199),
            (300, 200),
            (4000, 1000),
            (3000, 10),
            (193, 130),
        ];
        for bins in [aspects(&sizes), megapixels(&sizes)] {
            assert_eq!(bins.iter().map(|bin| bin.count).sum::<usize>(), sizes.len());
            assert!(bins.windows(2).all(|pair| pair[0].to == pair[1].from));
            assert!(bins[0].count > 0 && bins[bins.len() - 1].count > 0);
        }
        let aspects = aspects(&sizes);
        assert_eq!((aspects[0].from, aspects[0].to), (0.5, 0.75));
        let last = aspects[aspects.len() - 1];
        assert_eq!((last.from, last.to, last.count), (4.0, 300.0, 2));
        assert_eq!(megapixels(&[(1000, 1000)])[0].to, 2.0);
    }

    #[test]
    fn nothing_has_no_sizes() {
        assert!(megapixels(&[(0, 0), (0, 255)]).is_empty());
        assert!(aspects(&[]).is_empty() && range([].into_iter()).is_none());
        let range = range([9, 1, 4, 2].into_iter()).unwrap();
        assert_eq!((range.min, range.median, range.max), (1, 2, 9));
        assert_eq!(super::range(1..=7).unwrap().median, 4);
    }
}
