//! McNemar's exact test of two classifiers on the same images.

use serde::{Deserialize, Serialize};

/// McNemar's exact test (1947). Its null hypothesis: of the images that only one classifier predicts
/// correctly, each classifier has half.
///
/// ```
/// let test = classifold_data::metrics::mcnemar(2, 12);
/// assert_eq!((test.only_first, test.only_second), (2, 12));
/// // By hand: 2 (1 + 14 + 91) / 2^14.
/// assert!((test.p_value - 212.0 / 16384.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn mcnemar(only_first: u64, only_second: u64) -> McNemar {
    let (fewer, all) = (only_first.min(only_second), only_first + only_second);
    // Binomial probabilities as logarithms: 2^-all is 0 in f64 from 1075 on.
    let mut ln_term = -(all as f64) * std::f64::consts::LN_2;
    let mut tail = ln_term.exp();
    for i in 1..=fewer {
        ln_term += ((all - i + 1) as f64 / i as f64).ln();
        tail += ln_term.exp();
    }
    McNemar {
        only_first,
        only_second,
        // Two-sided; where both halves are equal the middle term is counted twice.
        p_value: (2.0 * tail).min(1.0),
    }
}

/// A p-value as a relation, `p = 0.0129` or `p < 0.0001`: none is 0.
///
/// ```
/// assert_eq!(classifold_data::metrics::p_text(0.01294), "p = 0.0129");
/// assert_eq!(classifold_data::metrics::p_text(1e-9), "p < 0.0001");
/// ```
#[must_use]
pub fn p_text(p: f64) -> String {
    match p {
        p if p < 0.0001 => "p < 0.0001".to_owned(),
        p => format!("p = {p:.4}"),
    }
}

/// Result of [`mcnemar`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Images that only the first classifier predicts correctly.
    pub only_first: u64,
    /// Images that only the second one predicts correctly.
    pub only_second: u64,
    /// Probability of a division at least this uneven if both were equally good, `[0, 1]`; two-sided.
    pub p_value: f64,
}

#[cfg(test)]
mod tests {
    use super::mcnemar;
    use proptest::prelude::*;

    #[test]
    fn no_difference_is_no_evidence() {
        assert_eq!(mcnemar(0, 0).p_value, 1.0);
        assert_eq!(mcnemar(7, 7).p_value, 1.0);
    }

    #[test]
    fn many_images_do_not_underflow() {
        // The normal approximation with continuity correction gives z = 2.008, p = 0.0447.
        let p = mcnemar(4_900, 5_102).p_value;
        assert!((p - 0.0447).abs() < 5e-4, "{p}");
    }

    proptest! {
        #[test]
        fn it_is_a_probability_that_does_not_know_first_from_second(a in 0u64..400, b in 0u64..400) {
            let p = mcnemar(a, b).p_value;
            prop_assert!((0.0..=1.0).contains(&p));
            prop_assert_eq!(p, mcnemar(b, a).p_value);
            prop_assert!(mcnemar(a, b.max(a) + 1).p_value <= mcnemar(a, b.max(a)).p_value + 1e-12);
        }
    }
}
