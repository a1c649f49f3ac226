//! Repeated training with several seeds: how far the scores vary, and which answers depend on the seed.

mod pairs;
mod run;

use std::collections::BTreeMap;

use data::{Sample, Split, Tally};
use report::run_files::{MeanRange, SeedScore, Seeds, UnstableImage};

pub use pairs::repeat_pairs_with_seeds;
pub use run::repeat_with_seeds;

/// Scores the logits `[N, K]` of the networks of several seeds for the images of a split.
pub fn score_seeds(
    split: Split,
    samples: &[Sample],
    classes: &[String],
    runs: &[(u64, Vec<Vec<f32>>)],
) -> Seeds {
    let name = |label: u32| classes[label as usize].clone();
    let mut answers = vec![BTreeMap::<String, usize>::new(); samples.len()];
    let score = |(seed, logits): &(u64, Vec<Vec<f32>>)| {
        let mut tally = Tally::new(classes.to_vec());
        for ((row, sample), answers) in logits.iter().zip(samples).zip(&mut answers) {
            let predicted = tally.add(row, sample.label);
            *answers.entry(name(predicted)).or_default() += 1;
        }
        let scores = tally.scores();
        SeedScore {
            seed: *seed,
            accuracy: scores.accuracy,
            loss: scores.loss,
        }
    };
    let seeds: Vec<SeedScore> = runs.iter().map(score).collect();
    let is_unstable = |(_, answers): &(&Sample, BTreeMap<_, _>)| answers.len() > 1;
    let unstable = samples.iter().zip(answers).filter(is_unstable);
    let mut unstable: Vec<UnstableImage> = unstable
        .map(|(sample, answers)| UnstableImage {
            path: sample.relative.clone(),
            label: name(sample.label),
            answers,
        })
        .collect();
    // By the number of seeds that give the most frequent answer: the fewer, the less stable.
    unstable.sort_by_key(|image| image.answers.values().max().copied());
    Seeds {
        accuracy: range(seeds.iter().map(|seed| seed.accuracy)),
        loss: range(seeds.iter().map(|seed| seed.loss)),
        seeds,
        split,
        count: samples.len(),
        unstable,
    }
}

fn range(values: impl Iterator<Item = f64> + Clone) -> MeanRange {
    let count = values.clone().count() as f64;
    MeanRange {
        mean: values.clone().sum::<f64>() / count,
        min: values.clone().fold(f64::INFINITY, f64::min),
        max: values.fold(f64::NEG_INFINITY, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_range_and_the_images_on_which_seeds_disagree() {
        let sample = |(path, label): (&str, u32)| Sample {
            path: path.into(),
            relative: path.into(),
            label,
        };
        let samples = [("a", 0), ("b", 1), ("c", 1)].map(sample);
        let classes = ["ants", "bees"].map(String::from);
        let rows = |answers: [usize; 3]| -> Vec<Vec<f32>> {
            let row = |answer: usize| {
                if answer == 0 {
                    vec![1.0, 0.0]
                } else {
                    vec![0.0, 1.0]
                }
            };
            answers.map(row).to_vec()
        };
        let runs = [
            (5, rows([0, 1, 1])),
            (6, rows([0, 0, 1])),
            (7, rows([1, 0, 1])),
            (8, rows([0, 1, 1])),
        ];
        let seeds = score_seeds(Split::Test, &samples, &classes, &runs);
        let accuracies: Vec<f64> = seeds.seeds.iter().map(|seed| seed.accuracy).collect();
        assert_eq!(accuracies, [1.0, 2.0 / 3.0, 1.0 / 3.0, 1.0]);
        assert!((seeds.accuracy.mean - 0.75).abs() < 1e-12);
        assert_eq!((seeds.accuracy.min, seeds.accuracy.max), (1.0 / 3.0, 1.0));
        // By hand: ln(1 + e^-1) = 0.3132617 for the right answers.
        assert!((seeds.loss.min - 0.313_261_7).abs() < 1e-6);
        let unstable: Vec<_> = seeds.unstable.iter().map(|image| &*image.path).collect();
        assert_eq!(unstable, ["b", "a"]);
        let answers = &seeds.unstable[0].answers;
        assert_eq!((answers["ants"], answers["bees"]), (2, 2));
        assert!(seeds.text().contains("depends on the seed: 2 of 3 images"));
    }
}
