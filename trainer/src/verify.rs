//! Verification of an exported file: Burn's logits against ONNX Runtime's. It never trains.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use data::metrics::argmax;
use deploy::{Session, SessionOptions};
use models::Network;
use onnx::ModelFile;
use report::run_files::{Agreement, Disagreement};

use crate::error::Result;
use crate::tensors;

/// Batch sizes of the verification, each with its number of images: one image, an even and an odd number. All
/// images run in batches of 7, of which 16 leave a rest of 2; the first few images show that other batch
/// sizes give the same.
const BATCHES: [(usize, usize); 3] = [(1, 3), (2, 4), (7, usize::MAX)];

/// How far two logits may be apart, relative to the largest |logit|.
const RELATIVE_TOLERANCE: f64 = 1e-4;

/// Logits by ONNX Runtime, and how they were computed.
struct BatchedLogits {
    batch: usize,
    images: usize,
    rows: Vec<Vec<f32>>,
}

/// Compares the whole network's logits of real images with those of `file`. The images, each
/// `[3, H, W]`, are prepared for the network; all of them are run at batch 7, some at 1 and 2.
///
/// Two classes whose logits are within the tolerance of each other may change places.
pub fn verify(
    expected: &[Vec<f32>],
    file: &ModelFile,
    (height, width): (usize, usize),
    images: &[Vec<f32>],
) -> Result<Agreement> {
    let options = SessionOptions {
        // An imported file may leave the size of its images open.
        image_shape: Some([3, height, width]),
        // Not known to run more than one image: a batch that fails must fail here, and not be run one by one.
        batches: vec![1],
        ..SessionOptions::default()
    };
    let mut session = Session::from_file(file, &options)?;
    let mut found = Vec::with_capacity(BATCHES.len());
    for (batch, limit) in BATCHES {
        let images = &images[..images.len().min(limit)];
        let mut rows = Vec::with_capacity(images.len());
        for chunk in images.chunks(batch) {
            let logits = session.run(&chunk.concat(), chunk.len())?;
            let width = (logits.len() / chunk.len()).max(1);
            rows.extend(logits.chunks_exact(width).map(<[f32]>::to_vec));
        }
        let images = images.len();
        found.push(BatchedLogits {
            batch,
            images,
            rows,
        });
    }
    Ok(compare(expected, &found))
}

/// Whether logits `[N, K]` that were computed in another way are the network's.
pub fn is_same(expected: &[Vec<f32>], found: Vec<Vec<f32>>) -> bool {
    let logits = BatchedLogits {
        batch: found.len(),
        images: expected.len(),
        rows: found,
    };
    compare(expected, &[logits]).verified
}

/// The network's logits of images, each `[3, H, W]`, in one batch.
pub fn logits(network: &Network, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
    if images.is_empty() {
        return Ok(vec![]);
    }
    let network = network.valid();
    let (height, width) = network.input_size();
    let shape = [images.len(), 3, height, width];
    let input = TensorData::new(images.concat(), shape);
    tensors::read_rows(network.forward(Tensor::from_data(input, &tensors::device(&network))))
}

fn compare(expected: &[Vec<f32>], found: &[BatchedLogits]) -> Agreement {
    let largest = |most: f64, logit: &f32| most.max(f64::from(logit.abs()));
    let finite = expected.iter().flatten().filter(|logit| logit.is_finite());
    let largest_logit = finite.fold(0.0, largest);
    let tolerance = RELATIVE_TOLERANCE * largest_logit;
    let mut agreement = Agreement {
        verified: true,
        images: expected.len(),
        batches: found.iter().map(|logits| logits.batch).collect(),
        max_difference: 0.0,
        largest_logit,
        tolerance,
        disagreements: vec![],
    };
    for BatchedLogits {
        batch,
        images,
        rows,
    } in found
    {
        for (image, expected) in expected.iter().enumerate().take(*images) {
            let row = rows.get(image).map_or(&[][..], Vec::as_slice);
            let difference = difference(expected, row);
            if difference.is_finite() {
                agreement.max_difference = agreement.max_difference.max(difference);
            }
            let [burn, onnx_runtime] = [expected, row].map(|row| argmax(row) as usize);
            let gap = |row: &[f32]| {
                let logit = |class: usize| row.get(class).copied().map_or(f64::NAN, f64::from);
                (logit(burn) - logit(onnx_runtime)).abs()
            };
            // A tie within the tolerance may be broken differently.
            let same_top = burn == onnx_runtime || gap(expected) <= tolerance;
            if !(difference <= tolerance && same_top) {
                let difference = difference.is_finite().then_some(difference);
                let batch = *batch;
                agreement.disagreements.push(Disagreement {
                    image,
                    batch,
                    difference,
                    burn,
                    onnx_runtime,
                });
            }
        }
    }
    agreement.verified = !expected.is_empty() && agreement.disagreements.is_empty();
    agreement
}

/// The largest |difference|; not a number where a value is not, or where the lengths differ.
fn difference(expected: &[f32], found: &[f32]) -> f64 {
    if expected.len() != found.len() {
        return f64::NAN;
    }
    let pairs = expected.iter().zip(found);
    pairs
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
        // Not `f64::max`, which ignores NaN.
        .fold(0.0, |most, next| {
            if next.is_nan() || most.is_nan() {
                f64::NAN
            } else {
                most.max(next)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(expected: [[f32; 3]; 2], found: [[f32; 3]; 2]) -> Agreement {
        let rows = |rows: [[f32; 3]; 2]| rows.map(|row| row.to_vec()).to_vec();
        compare(
            &rows(expected),
            &[
                batched_logits(1, rows(expected)),
                batched_logits(2, rows(found)),
            ],
        )
    }

    fn batched_logits(batch: usize, rows: Vec<Vec<f32>>) -> BatchedLogits {
        let images = 2;
        BatchedLogits {
            batch,
            images,
            rows,
        }
    }

    const LOGITS: [[f32; 3]; 2] = [[10.0, -3.0, 1.0], [0.5, 2.0, -1.0]];

    #[test]
    fn a_difference_of_1e_4_of_the_largest_logit_is_the_limit() {
        let mut found = LOGITS;
        found[1][0] += 0.9e-3;
        let agreement = compared(LOGITS, found);
        assert!(agreement.verified);
        assert!((agreement.tolerance - 1e-3).abs() < 1e-9);
        assert!((agreement.max_difference - 0.9e-3).abs() < 1e-6);
        found[1][0] += 0.2e-3;
        let agreement = compared(LOGITS, found);
        assert!(!agreement.verified);
        let images: Vec<_> = agreement
            .disagreements
            .iter()
            .map(|d| (d.image, d.batch))
            .collect();
        assert_eq!(images, [(1, 2)]);
    }

    #[test]
    fn a_tie_within_the_tolerance_is_excused() {
        let tied = [[10.0, 9.9996, 0.0], [0.0, 1.0, 0.0]];
        let swapped = [[9.9997, 10.0, 0.0], [0.0, 1.0, 0.0]];
        assert!(compared(tied, swapped).verified);
    }

    #[test]
    fn what_is_not_a_number_disagrees() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut found = LOGITS;
            found[0][1] = bad;
            let agreement = compared(LOGITS, found);
            assert!(!agreement.verified, "{bad}");
            assert_eq!(agreement.disagreements[0].difference, None);
            assert!(!compared(found, found).verified, "{bad} on both sides");
        }
    }

    #[test]
    fn missing_logits_disagree_and_no_image_proves_nothing() {
        let rows: Vec<_> = LOGITS.map(|row| row.to_vec()).to_vec();
        assert!(!compare(&rows, &[batched_logits(1, rows[..1].to_vec())]).verified);
        let short = vec![vec![10.0, -3.0], rows[1].clone()];
        assert!(!compare(&rows, &[batched_logits(1, short.clone())]).verified);
        assert!(!compare(&[], &[batched_logits(1, vec![])]).verified);
        assert!(is_same(&rows, rows.clone()) && !is_same(&rows, short));
        // Only as many as were asked for count.
        let few = BatchedLogits {
            images: 1,
            ..batched_logits(1, rows[..1].to_vec())
        };
        assert!(compare(&rows, &[few]).verified);
    }
}
