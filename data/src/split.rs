//! Splits (train, val, test) and stratified splitting of images that have none.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Fits the weights.
    Train,
    /// Chooses among epochs and learning rates.
    Val,
    /// Evaluated once, at the end.
    Test,
}

impl Split {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// `train`, `val` or `test`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not the name of a split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a split (train, val or test)")]
pub struct ParseSplitError(String);

impl FromStr for Split {
    type Err = ParseSplitError;

    /// In any case, with the names that other tools use: Keras, Hugging Face's imagefolder, Roboflow, Kaggle.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "train" | "training" => Ok(Self::Train),
            "val" | "valid" | "validation" | "dev" => Ok(Self::Val),
            "test" | "testing" | "eval" | "evaluation" => Ok(Self::Test),
            _ => Err(ParseSplitError(text.to_string())),
        }
    }
}

/// Sizes of train, val and test for a class of `count` images: 70/10/20 %, rounded, and at least one each
/// from three images on.
///
/// ```
/// assert_eq!(classifold_data::split::train_val_test_counts(100), [70, 10, 20]);
/// assert_eq!(classifold_data::split::train_val_test_counts(3), [1, 1, 1]);
/// ```
#[must_use]
pub fn train_val_test_counts(count: usize) -> [usize; 3] {
    match count {
        0 | 1 => [count, 0, 0],
        2 => [1, 0, 1],
        _ => {
            // In integers, halves up: the same on every machine.
            let val = ((count + 5) / 10).max(1);
            let test = ((2 * count + 5) / 10).max(1);
            [count - val - test, val, test]
        }
    }
}

/// Sizes of train and val for a class of `count` training images: a tenth for val, rounded, and at least
/// one from two images on.
#[must_use]
pub fn train_val_counts(count: usize) -> [usize; 2] {
    let val = if count < 2 {
        0
    } else {
        ((count + 5) / 10).max(1)
    };
    [count - val, val]
}

/// Stratified split: divides `items` class by class. Each part keeps the order of `items`.
///
/// `parts` returns the sizes of the parts for a class of so many items (the rest goes to the first). The
/// same items, labels and seed give the same parts.
///
/// ```
/// use classifold_data::split::{train_val_counts, stratified};
/// let [train, val] = stratified((0..30).collect(), |i| i % 2, 0, train_val_counts);
/// assert_eq!((train.len(), val.len()), (26, 4));
/// ```
pub fn stratified<T, const P: usize>(
    items: Vec<T>,
    label: impl Fn(&T) -> u32,
    seed: u64,
    parts: impl Fn(usize) -> [usize; P],
) -> [Vec<T>; P] {
    let labels: Vec<u32> = items.iter().map(label).collect();
    let mut part = vec![0; items.len()];
    let mut classes = labels.clone();
    classes.sort_unstable();
    classes.dedup();
    for class in classes {
        let mut members: Vec<usize> = (0..items.len()).filter(|&i| labels[i] == class).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // A stream per class: another class's images do not change this one's division.
        rng.set_stream(u64::from(class));
        members.shuffle(&mut rng);
        let mut members = members.into_iter();
        let counts = parts(members.len());
        for (index, count) in counts.into_iter().enumerate().skip(1) {
            for member in members.by_ref().take(count) {
                part[member] = index;
            }
        }
    }
    let mut divided = std::array::from_fn(|_| Vec::new());
    for (item, part) in items.into_iter().zip(part) {
        divided[part].push(item);
    }
    divided
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        assert_eq!("valid".parse::<Split>(), Ok(Split::Val));
        assert!(
            "holdout"
                .parse::<Split>()
                .unwrap_err()
                .to_string()
                .contains("`holdout`")
        );
        assert_eq!("Validation".parse::<Split>(), Ok(Split::Val));
        assert_eq!("Testing".parse::<Split>(), Ok(Split::Test));
        assert_eq!(serde_json::to_string(&Split::Test).unwrap(), "\"test\"");
        assert_eq!(format!("{:5}|", Split::Val), "val  |");
    }

    #[test]
    fn another_seed_divides_otherwise() {
        let val = |seed| stratified((0..100).collect(), |_| 0, seed, train_val_counts)[1].clone();
        assert_eq!(val(7), val(7));
        assert_ne!(val(7), val(8));
    }

    proptest! {
        #[test]
        fn every_item_lands_once(labels in prop::collection::vec(0u32..5, 0..200), seed: u64) {
            let items: Vec<(usize, u32)> = labels.iter().copied().enumerate().collect();
            let parts = stratified(items.clone(), |i| i.1, seed, train_val_test_counts);
            let mut all: Vec<_> = parts.concat();
            all.sort_unstable();
            prop_assert_eq!(all, items);
            for class in 0..5 {
                let n = labels.iter().filter(|&&l| l == class).count();
                let found = parts.each_ref().map(|p| p.iter().filter(|i| i.1 == class).count());
                prop_assert_eq!(found, train_val_test_counts(n));
            }
            for part in parts {
                prop_assert!(part.is_sorted());
            }
        }

        #[test]
        fn counts_add_up(n in 0usize..10_000) {
            prop_assert_eq!(train_val_test_counts(n).iter().sum::<usize>(), n);
            prop_assert_eq!(train_val_counts(n).iter().sum::<usize>(), n);
            if n >= 3 {
                prop_assert!(train_val_test_counts(n).iter().all(|&c| c > 0));
            }
        }
    }
}
