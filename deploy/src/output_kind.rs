//! Meaning of a model's output, inferred where neither a card nor the caller says it: from the end of the graph, and
//! from the numbers for fixed drawn images. Runs nothing, and never looks at the images of a call.

use onnx::Activation;
use pixels::card::OutputKind;

/// How far a number may leave `[0, 1]` and a sum its total, relative to the total: half precision and 8-bit integers
/// round.
pub(crate) const TOLERANCE: f32 = 1e-2;

/// An inferred meaning, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inferred {
    pub(crate) kind: OutputKind,
    /// The reason, as part of a sentence.
    pub(crate) why: String,
}

/// Infers the meaning of outputs: `rows` are those of drawn images, `[K]` each. The error is why that cannot be
/// told.
pub(crate) fn infer(activation: Option<Activation>, rows: &[Vec<f32>]) -> Result<Inferred, String> {
    let inferred = |kind, why: String| Ok(Inferred { kind, why });
    let by_graph = match activation {
        Some(activation) => format!("a {activation} computes it"),
        None => "no softmax or sigmoid computes it".to_owned(),
    };
    let numbers = || rows.iter().flatten().copied();
    // Answers that are not finite are refused with the name of their image, once there is one.
    if numbers().any(|number| !number.is_finite()) {
        let kind = match activation {
            Some(Activation::Softmax | Activation::Sigmoid) => OutputKind::Probabilities,
            Some(Activation::LogSoftmax) | None => OutputKind::Logits,
        };
        return inferred(kind, by_graph);
    }
    let low = numbers().fold(f32::INFINITY, f32::min);
    let high = numbers().fold(f32::NEG_INFINITY, f32::max);
    let sums: Vec<f32> = rows.iter().map(|row| row.iter().sum()).collect();
    let is_single = rows.iter().all(|row| row.len() == 1);
    let is_within = |total: f32| low >= -TOLERANCE * total && high <= (1.0 + TOLERANCE) * total;
    let sum_to = |total: f32| {
        let near = |sum: &f32| (sum - total).abs() <= TOLERANCE * total;
        !is_single && is_within(total) && sums.iter().all(near)
    };
    let first_sum = sums.first().copied().unwrap_or(f32::NAN);
    let images = "for drawn images its numbers";
    match activation {
        Some(Activation::LogSoftmax) => inferred(OutputKind::Logits, by_graph),
        // Whatever the operators: logits do not sum to 1 for one image after the other.
        _ if sum_to(1.0) => {
            let why = format!("{images} are from 0 to 1 and sum to 1");
            inferred(OutputKind::Probabilities, why)
        }
        _ if sum_to(100.0) => {
            let why = format!("{images} are percentages, which sum to 100");
            inferred(OutputKind::Probabilities, why)
        }
        None => {
            let why = format!("{by_graph}, and {images} are from {low:.3} to {high:.3}");
            inferred(OutputKind::Logits, why)
        }
        Some(Activation::Softmax) if first_sum > 0.0 && sum_to(first_sum) && !is_within(1.0) => {
            let why = format!("{by_graph}, and {images} sum to {first_sum:.3}");
            inferred(OutputKind::Probabilities, why)
        }
        Some(_) if is_single && is_within(1.0) => inferred(OutputKind::Probabilities, by_graph),
        Some(_) if is_within(1.0) => {
            let why = format!("{by_graph}, and {images} do not sum to 1 but to {first_sum:.3}");
            inferred(OutputKind::Independent, why)
        }
        Some(_) => Err(format!(
            "{by_graph}, but {images} are from {low:.3} to {high:.3}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(activation: Option<Activation>, rows: &[&[f32]]) -> Result<OutputKind, String> {
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.to_vec()).collect();
        infer(activation, &rows).map(|inferred| inferred.kind)
    }

    #[test]
    fn numbers_that_always_sum_to_one_are_probabilities_whatever_the_graph() {
        let rows: [&[f32]; 2] = [&[0.9, 0.1, 0.0], &[0.2, 0.5, 0.3]];
        for activation in [None, Some(Activation::Softmax), Some(Activation::Sigmoid)] {
            assert_eq!(kind(activation, &rows), Ok(OutputKind::Probabilities));
        }
        let percent: [&[f32]; 2] = [&[90.0, 10.0], &[20.0, 80.0]];
        assert_eq!(kind(None, &percent), Ok(OutputKind::Probabilities));
        let bytes: [&[f32]; 2] = [&[200.0, 55.0], &[0.0, 255.0]];
        assert_eq!(kind(None, &bytes), Ok(OutputKind::Logits));
        assert_eq!(
            kind(Some(Activation::Softmax), &bytes),
            Ok(OutputKind::Probabilities)
        );
    }

    #[test]
    fn one_image_that_differs_makes_them_logits() {
        let rows: [&[f32]; 2] = [&[0.9, 0.1], &[0.9, 0.4]];
        assert_eq!(kind(None, &rows), Ok(OutputKind::Logits));
        assert_eq!(
            kind(None, &[&[0.9, 0.1], &[1.5, -0.5]]),
            Ok(OutputKind::Logits)
        );
    }

    #[test]
    fn several_sigmoids_and_a_part_of_a_softmax_stay_as_they_are() {
        let rows: [&[f32]; 2] = [&[0.9, 0.8], &[0.1, 0.2]];
        for activation in [Activation::Sigmoid, Activation::Softmax] {
            assert_eq!(kind(Some(activation), &rows), Ok(OutputKind::Independent));
        }
        assert_eq!(
            kind(Some(Activation::Sigmoid), &[&[0.9], &[0.2]]),
            Ok(OutputKind::Probabilities)
        );
        assert_eq!(kind(None, &[&[0.9], &[0.2]]), Ok(OutputKind::Logits));
        assert_eq!(
            kind(Some(Activation::LogSoftmax), &[&[-0.1, -2.3]]),
            Ok(OutputKind::Logits)
        );
    }

    #[test]
    fn a_graph_and_numbers_that_contradict_each_other_are_an_error() {
        for rows in [[0.9, -3.0], [90.0, 80.0]] {
            let error = kind(Some(Activation::Sigmoid), &[&rows, &[0.5, 0.5]]).unwrap_err();
            assert!(error.starts_with("a sigmoid computes it, but"), "{error}");
        }
        let nan = kind(Some(Activation::Softmax), &[&[f32::NAN, 0.5]]);
        assert_eq!(nan, Ok(OutputKind::Probabilities));
    }
}
