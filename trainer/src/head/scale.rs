//! Scale of Euclidean distances at the minimum of the contrastive loss. It knows no network.

use report::run_files::HeadFit;

use crate::features::Features;

/// Steps of a search that ends by itself: each leaves another set of pairs beyond the margin.
const MOST_STEPS: usize = 1000;

/// The factor of the distances `[P, 1]` of pairs, in all views, of the least contrastive loss with this margin.
///
/// With the set of different pairs within the margin given, the loss `Σ (s d)² + Σ (m - s d)²` has its minimum at
/// `s = m Σ d / Σ d²`, the first sum over that set, the second over it and the same pairs. The loss is convex, and its
/// slope is made of such pieces, so that these steps, which are Newton's, find the minimum itself.
pub(crate) fn fit_scale(distances: &Features, margin: f64) -> (f64, HeadFit) {
    let labels = distances.samples().iter().map(|sample| sample.label);
    let labels: Vec<u32> = labels.collect();
    let views = (0..distances.num_views()).flat_map(|view| {
        let labels = labels.iter().enumerate();
        labels.map(move |(pair, label)| (f64::from(distances.row(view, pair)[0]), *label == 1))
    });
    let pairs: Vec<(f64, bool)> = views.collect();
    let mut fit = HeadFit::with_penalty(0.0);
    // From 0, where all different pairs are within the margin, the minimum is approached from one side.
    let mut scale = 0.0;
    while fit.steps < MOST_STEPS {
        fit.steps += 1;
        let within = |d: f64| scale * d < margin;
        let (mut sum, mut squares) = (0.0, 0.0);
        for (distance, is_same) in &pairs {
            if *is_same || within(*distance) {
                squares += distance * distance;
            }
            if !is_same && within(*distance) {
                sum += distance;
            }
        }
        let next = match squares > 0.0 {
            true => margin * sum / squares,
            false => break,
        };
        if next == scale {
            break;
        }
        scale = next;
    }
    (scale, fit)
}

#[cfg(test)]
mod tests {
    use data::Sample;

    use super::*;

    fn distances(pairs: &[(f32, bool)]) -> Features {
        let sample = |(_, same): &(f32, bool)| Sample {
            path: "a.png".into(),
            relative: "a.png".into(),
            label: u32::from(*same),
        };
        let values = pairs.iter().map(|pair| pair.0).collect();
        Features::new(pairs.iter().map(sample).collect(), 1, vec![values])
    }

    fn loss(pairs: &[(f32, bool)], margin: f64, scale: f64) -> f64 {
        let loss = |(distance, same): &(f32, bool)| {
            let distance = scale * f64::from(*distance);
            match same {
                true => distance.powi(2),
                false => (margin - distance).max(0.0).powi(2),
            }
        };
        pairs.iter().map(loss).sum()
    }

    #[test]
    fn no_other_scale_has_a_smaller_loss() {
        let pairs = [
            (3.0, true),
            (8.0, true),
            (5.0, false),
            (20.0, false),
            (31.0, false),
            (40.0, false),
        ];
        for margin in [0.5, 1.0, 20.0] {
            let (scale, fit) = fit_scale(&distances(&pairs), margin);
            let least = loss(&pairs, margin, scale);
            for other in 0..4000 {
                let other = margin * f64::from(other) / 10_000.0;
                assert!(loss(&pairs, margin, other) >= least - 1e-12, "{other}");
            }
            assert!(scale > 0.0 && fit.steps < 10, "{scale} {}", fit.steps);
        }
    }

    #[test]
    fn distances_of_0_have_no_scale() {
        let (scale, _) = fit_scale(&distances(&[(0.0, true), (0.0, false)]), 1.0);
        assert_eq!(scale, 0.0);
    }
}
