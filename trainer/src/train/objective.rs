//! Objective: the loss that training minimises. It knows no network and no loop.
//!
//! The contrastive loss of pairs stands beside the cross-entropy; another objective would, too.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use data::metrics::{argmax, negative_log_likelihood};

/// Cross-entropy, as `torch.nn.CrossEntropyLoss(weight=, label_smoothing=)`, by default the plain one; or the contrastive
/// loss of distances.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objective {
    /// Share of every target that is spread evenly over all classes, `[0, 1)` (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// Factor of each class's loss, `[K]`; all 1 where it is empty.
    pub class_weights: Vec<f64>,
    /// Of Euclidean distances, the margin of their contrastive loss: half the square of the distance of the same, and of
    /// others half the square of what it lacks of the margin (Hadsell, Chopra and LeCun 2006, equation 4).
    pub margin: Option<f64>,
}

/// What a network should answer for the examples of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class per example: class indices, `[N]`.
    Classes(Vec<u32>),
    /// Probabilities of the classes, `[N, K]` row by row.
    Probabilities {
        values: Vec<f32>,
        num_classes: usize,
    },
}

impl Targets {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Probabilities {
                values,
                num_classes,
            } => values.len() / num_classes,
        }
    }

    /// The most probable class of each example, `[N]`: what accuracy is counted against.
    pub fn dominant(&self) -> Vec<u32> {
        match self {
            Self::Classes(labels) => labels.clone(),
            Self::Probabilities {
                values,
                num_classes,
            } => values.chunks_exact(*num_classes).map(argmax).collect(),
        }
    }

    /// The probabilities, `[N, K]`.
    fn probabilities(&self, num_classes: usize) -> Vec<f64> {
        match self {
            Self::Classes(labels) => {
                let mut values = vec![0.0; labels.len() * num_classes];
                for (row, label) in values.chunks_exact_mut(num_classes).zip(labels) {
                    row[*label as usize] = 1.0;
                }
                values
            }
            Self::Probabilities { values, .. } => values.iter().copied().map(f64::from).collect(),
        }
    }
}

impl Objective {
    /// By what validation judges: the plain cross-entropy, whatever is minimised, or the contrastive loss.
    pub(crate) fn of_validation(&self) -> Self {
        Self {
            margin: self.margin,
            ..Self::default()
        }
    }

    /// The mean loss of a batch of logits `[N, K]`, to be differentiated.
    pub(crate) fn loss(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let shape = logits.dims();
        if let Some(margin) = self.margin {
            return contrastive_loss(logits, targets, margin);
        }
        let factors = self.factors(targets, shape[1]);
        let factors: Vec<f32> = factors.into_iter().map(|factor| factor as f32).collect();
        let factors = Tensor::<2>::from_data(TensorData::new(factors, shape), &logits.device());
        (log_softmax(logits, 1) * factors).sum().neg()
    }

    /// The same mean in double precision, for the history of the run. `logits` are row by row.
    pub(crate) fn value(&self, logits: &[f32], targets: &Targets) -> f64 {
        let num_classes = logits.len() / targets.len().max(1);
        if let Some(margin) = self.margin {
            return contrastive_value(logits, targets, margin);
        }
        let factors = self.factors(targets, num_classes);
        let rows = logits.chunks_exact(num_classes).zip(targets.dominant());
        let losses = rows.zip(factors.chunks_exact(num_classes));
        let losses = losses.map(|((logits, dominant), factors)| {
            let logit = |class: usize| f64::from(logits[class]);
            let loss = negative_log_likelihood(logits, dominant);
            // Those of the other classes by their distance from it: one sum of exponentials is enough.
            let terms = factors.iter().enumerate().filter(|(_, f)| **f != 0.0);
            terms
                .map(|(class, factor)| factor * (loss + (logit(dominant as usize) - logit(class))))
                .sum::<f64>()
        });
        losses.sum()
    }

    /// The sum of the class weights of a batch, over which its mean is taken; without weights the number of examples.
    pub(crate) fn total_weight(&self, targets: &Targets) -> f64 {
        match self.class_weights.len() {
            0 => targets.len() as f64,
            num_classes => {
                let probabilities = targets.probabilities(num_classes);
                let weights = self.class_weights.iter().cycle();
                probabilities.iter().zip(weights).map(|(p, w)| p * w).sum()
            }
        }
    }

    /// The factors of the negative log probabilities, `[N, K]`: smoothed targets times class weights, over the
    /// batch's total weight.
    ///
    /// As PyTorch, smoothing does not change that total. For probabilities PyTorch divides by the number of examples
    /// instead; then a mixed batch of a rare class would count more than an unmixed one.
    fn factors(&self, targets: &Targets, num_classes: usize) -> Vec<f64> {
        let total = self.total_weight(targets);
        let even = self.label_smoothing / num_classes as f64;
        let mut factors = targets.probabilities(num_classes);
        for row in factors.chunks_exact_mut(num_classes) {
            for (class, factor) in row.iter_mut().enumerate() {
                let weight = self.class_weights.get(class).copied().unwrap_or(1.0);
                *factor = (*factor * (1.0 - self.label_smoothing) + even) * weight / total;
            }
        }
        factors
    }
}

/// The distances of logits `[0, margin / 2 - distance]`, and what is squared: of the same the distance, of others what it
/// lacks of the margin.
fn contrastive_loss(logits: Tensor<2>, targets: &Targets, margin: f64) -> Tensor<1> {
    let count = targets.len();
    let same: Vec<f32> = targets
        .dominant()
        .iter()
        .map(|label| *label as f32)
        .collect();
    let same = Tensor::<2>::from_data(TensorData::new(same, [count, 1]), &logits.device());
    let distance = logits.narrow(1, 1, 1).neg() + margin / 2.0; // [N, 1]
    let lacking = (distance.clone().neg() + margin).clamp_min(0.0);
    let others = same.clone().neg() + 1.0;
    let squares = same * distance.clone() * distance + others * lacking.clone() * lacking;
    squares.sum() / (2.0 * count as f64)
}

/// The same in double precision.
fn contrastive_value(logits: &[f32], targets: &Targets, margin: f64) -> f64 {
    let rows = logits.chunks_exact(2).zip(targets.dominant());
    let squares = rows.map(|(row, label)| {
        let distance = margin / 2.0 - f64::from(row[1]);
        let apart = match label {
            1 => distance,
            _ => (margin - distance).max(0.0),
        };
        apart * apart
    });
    squares.sum::<f64>() / (2.0 * targets.len() as f64)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const LOGITS: [f32; 9] = [2.0, -1.0, 0.5, 0.1, 0.2, 3.0, -0.5, 1.5, 0.25];
    const WEIGHTS: [f64; 3] = [2.0, 0.5, 1.0];

    fn classes() -> Targets {
        Targets::Classes(vec![0, 1, 1])
    }

    fn probabilities() -> Targets {
        Targets::Probabilities {
            values: vec![0.7, 0.3, 0.0, 0.0, 0.2, 0.8, 0.5, 0.5, 0.0],
            num_classes: 3,
        }
    }

    fn objective(label_smoothing: f64, class_weights: &[f64]) -> Objective {
        Objective {
            label_smoothing,
            class_weights: class_weights.to_vec(),
            margin: None,
        }
    }

    /// The loss of both precisions and the gradient of the logits.
    fn differentiate(objective: &Objective, logits: &[f32], targets: &Targets) -> (f64, Vec<f32>) {
        let device = Device::default().autodiff();
        let shape = [targets.len(), logits.len() / targets.len()];
        let tensor = Tensor::<2>::from_data(TensorData::new(logits.to_vec(), shape), &device);
        let tensor = tensor.require_grad();
        let loss = objective.loss(tensor.clone(), targets);
        let gradients = loss.backward();
        let value = objective.value(logits, targets);
        let single: f32 = loss.into_scalar();
        assert!(
            (f64::from(single) - value).abs() <= 1e-6 * value,
            "{single}, {value}"
        );
        let gradient = tensor.grad(&gradients).unwrap().into_data();
        (value, gradient.try_to_vec().unwrap())
    }

    struct Case {
        name: &'static str,
        objective: Objective,
        targets: Targets,
        loss: f64,
        gradient: [[f64; 3]; 3],
    }

    /// torch 2.15, in double precision: `cross_entropy(logits, targets, ...)` with the arguments in the name.
    fn cases_of_pytorch() -> [Case; 6] {
        [
            Case {
                name: "no arguments",
                objective: objective(0.0, &[]),
                targets: classes(),
                loss: 1.167_621_541_7,
                gradient: [
                    [-0.071_467_66, 0.013_037_52, 0.058_430_13],
                    [0.016_437_11, -0.315_167_52, 0.298_730_41],
                    [0.031_727_73, -0.098_895_34, 0.067_167_61],
                ],
            },
            Case {
                name: "label_smoothing=0.1",
                objective: objective(0.1, &[]),
                targets: classes(),
                loss: 1.223_732_652_8,
                gradient: [
                    [-0.049_245_43, 0.001_926_41, 0.047_319_02],
                    [0.005_326_00, -0.292_945_30, 0.287_619_30],
                    [0.020_616_62, -0.076_673_12, 0.056_056_50],
                ],
            },
            Case {
                name: "weight=w",
                objective: objective(0.0, &WEIGHTS),
                targets: classes(),
                loss: 0.704_466_419_2,
                gradient: [
                    [-0.142_935_31, 0.026_075_05, 0.116_860_26],
                    [0.008_218_55, -0.157_583_76, 0.149_365_20],
                    [0.015_863_87, -0.049_447_67, 0.033_583_80],
                ],
            },
            Case {
                name: "weight=w, label_smoothing=0.1",
                objective: objective(0.1, &WEIGHTS),
                targets: classes(),
                loss: 0.833_020_068_2,
                gradient: [
                    [-0.120_313_01, 0.019_433_03, 0.100_879_97],
                    [-0.012_907_86, -0.145_261_59, 0.158_169_45],
                    [-0.004_243_17, -0.022_707_36, 0.026_950_53],
                ],
            },
            Case {
                name: "probabilities",
                objective: objective(0.0, &[]),
                targets: probabilities(),
                loss: 1.054_288_208_3,
                gradient: [
                    [0.028_532_34, -0.086_962_48, 0.058_430_13],
                    [0.016_437_11, -0.048_500_85, 0.032_063_74],
                    [-0.134_938_93, 0.067_771_33, 0.067_167_61],
                ],
            },
            Case {
                name: "probabilities, label_smoothing=0.1",
                objective: objective(0.1, &[]),
                targets: probabilities(),
                loss: 1.121_732_652_8,
                gradient: [
                    [0.040_754_57, -0.088_073_59, 0.047_319_02],
                    [0.005_326_00, -0.052_945_30, 0.047_619_30],
                    [-0.129_383_38, 0.073_326_88, 0.056_056_50],
                ],
            },
        ]
    }

    #[test]
    fn loss_and_gradient_are_those_of_pytorch() {
        for case in cases_of_pytorch() {
            let (loss, gradient) = differentiate(&case.objective, &LOGITS, &case.targets);
            let (name, expected) = (case.name, case.loss);
            assert!(
                (loss - expected).abs() < 1e-7,
                "{name}: {loss} is not {expected}"
            );
            for (found, expected) in gradient.iter().zip(case.gradient.as_flattened()) {
                let difference = f64::from(*found) - expected;
                assert!(difference.abs() < 1e-6, "{name}: {found} is not {expected}");
            }
        }
    }

    #[test]
    fn probabilities_of_one_class_are_that_class_whatever_the_weights() {
        let one_hot = Targets::Probabilities {
            values: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0],
            num_classes: 3,
        };
        assert_eq!(one_hot.dominant(), classes().dominant());
        for objective in [objective(0.1, &[]), objective(0.1, &WEIGHTS)] {
            let expected = differentiate(&objective, &LOGITS, &classes());
            assert_eq!(differentiate(&objective, &LOGITS, &one_hot), expected);
            let (one_hot, classes) = (
                objective.total_weight(&one_hot),
                objective.total_weight(&classes()),
            );
            assert_eq!(one_hot, classes);
        }
    }

    #[test]
    fn the_contrastive_loss_and_its_gradient_are_pytorchs() {
        // Distances 0.5, 2.0, 1.25 and 0.25 with a margin of 1.5. torch 2.15, in double precision:
        // `(0.5 * (y * d ** 2 + (1 - y) * (1.5 - d).clamp_min(0) ** 2)).mean()` with y = 1, 0, 0, 1.
        let logits = [0.0, 0.25, 0.0, -1.25, 0.0, -0.5, 0.0, 0.5];
        let targets = Targets::Classes(vec![1, 0, 0, 1]);
        let objective = Objective {
            margin: Some(1.5),
            ..Objective::default()
        };
        let (loss, gradient) = differentiate(&objective, &logits, &targets);
        assert!((loss - 0.046_875).abs() < 1e-9, "{loss}");
        // Of a logit it is minus that of the distance; what is beyond the margin has none.
        let expected = [0.0, -0.125, 0.0, 0.0, 0.0, 0.0625, 0.0, -0.0625];
        for (found, expected) in gradient.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{gradient:?}");
        }
        let smoothed = Objective {
            label_smoothing: 0.1,
            ..objective.clone()
        };
        assert_eq!(smoothed.of_validation(), objective);
    }

    #[test]
    fn cross_entropy_of_huge_logits_is_finite() {
        let targets = Targets::Classes(vec![0, 1]);
        let logits = [1e4, -1e4, 0.0, 1e4, -1e4, 0.0];
        let (plain, _) = differentiate(&Objective::default(), &logits, &targets);
        assert!((plain - 1e4).abs() < 1e-2, "{plain}");
        // Rows of 0.1 / 3 * (2e4 + 1e4) and of 0.9 * 2e4 + 0.1 / 3 * (2e4 + 1e4).
        let (smoothed, _) = differentiate(&objective(0.1, &[]), &logits, &targets);
        assert!((smoothed - 1e4).abs() < 1e-2, "{smoothed}");
    }
}
