//! Verification of an exported file: the network's own logits against ONNX Runtime's. It never trains.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use data::metrics::argmax;
use deploy::{PairSession, Session, SessionOptions, Verifier};
use models::{Backbone, Distance, Network};
use onnx::ModelFile;
use onnx::siamese::DistanceHead;
use report::run_files::{Agreement, Disagreement};

use crate::error::{Error, Result};
use crate::pair_score::{self, PairScore};
use crate::tensors;

/// Batch sizes of the verification, each with its number of images: one image, an even and an odd number. All
/// images run in batches of 7, of which 16 leave a rest of 2; the first few images show that other batch
/// sizes give the same.
const BATCHES: [(usize, usize); 3] = [(1, 3), (2, 4), (7, usize::MAX)];

/// How far a logit of Burn's may be off, relative to the largest |logit|: Burn computes in another order.
const BURN_TOLERANCE: f64 = 1e-4;
/// How far a logit of features times head may be off, relative to the sum of the sizes of its terms: single precision
/// rounds each to 6e-8, and other batches are computed in another order. ResNet18 stays below 2e-7.
const FEATURE_TOLERANCE: f64 = 1e-5;
/// The same for backbones of half precision, which rounds to 5e-4, or of 8-bit integers, where a rounding may fall to
/// the other side.
const LOW_PRECISION_TOLERANCE: f64 = 1e-3;

/// Logits that a file must give, and how far it may be off.
#[derive(Clone, Debug)]
pub struct Reference {
    /// `[N, K]`.
    pub logits: Vec<Vec<f32>>,
    /// The largest allowed difference.
    pub tolerance: f64,
    /// What computed them.
    pub computed_by: &'static str,
}

/// Logits by ONNX Runtime, and how they were computed.
struct BatchedLogits {
    batch: usize,
    images: usize,
    rows: Vec<Vec<f32>>,
}

/// Compares the network's logits of real images with those of `file`. The images are prepared for the network;
/// all of them are run at batch 7, some at 1 and 2.
///
/// Two classes whose logits are within the tolerance of each other may change places.
pub fn verify(
    expected: &Reference,
    file: &ModelFile,
    network: &Network,
    images: &[Vec<f32>],
) -> Result<Agreement> {
    let options = SessionOptions {
        // An imported file may leave the size of its images open.
        image_shape: Some(network.image_shape()),
        // With other sizes a session tries two images, and runs them one by one where that fails. Here it must fail,
        // unless the backbone is known to take one batch size alone.
        batches: match network.backbone() {
            Some(backbone) if !backbone.takes_any_batch => vec![],
            _ => vec![1],
        },
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

/// As [`verify`], of a verifier: compares its scores of real pairs with those of `file`, run with its two inputs
/// and, as programs of ours do it, image by image. At batch 2 the two images of every pair change places.
pub fn verify_pairs(
    expected: &Reference,
    file: &ModelFile,
    network: &Network,
    pairs: &[[Vec<f32>; 2]],
) -> Result<Agreement> {
    let mut session = PairSession::open(file, network.image_shape())?;
    let mut found = Vec::with_capacity(BATCHES.len() + 1);
    for (batch, limit) in BATCHES {
        let pairs = &pairs[..pairs.len().min(limit)];
        let mut rows = Vec::with_capacity(pairs.len());
        for chunk in pairs.chunks(batch) {
            let [a, b] = [0, 1].map(|side| {
                let images = chunk.iter().map(|pair| pair[side].as_slice());
                images.collect::<Vec<_>>().concat()
            });
            let [a, b] = if batch == 2 { [b, a] } else { [a, b] };
            let scores = session.run(&a, &b, chunk.len())?;
            rows.extend(scores.into_iter().map(|score| vec![score]));
        }
        let images = pairs.len();
        found.push(BatchedLogits {
            batch,
            images,
            rows,
        });
    }
    found.push(by_encoder(file, pairs)?);
    Ok(compare_scores(expected, &found))
}

/// As [`verify_pairs`], of the encoder alone: compares the scores by its features.
pub fn verify_encoder(
    expected: &Reference,
    file: &ModelFile,
    pairs: &[[Vec<f32>; 2]],
) -> Result<Agreement> {
    Ok(Agreement {
        pairs: true,
        ..compare(expected, &[by_encoder(file, pairs)?])
    })
}

/// The scores of pairs by the features of a verifier's encoder, image by image.
fn by_encoder(file: &ModelFile, pairs: &[[Vec<f32>; 2]]) -> Result<BatchedLogits> {
    let verifier = Verifier::from_bytes(file.bytes().to_vec())?;
    let compare = |[a, b]: &[Vec<f32>; 2]| {
        let [a, b] = [a, b].map(|image| verifier.encoder().run(image, 1));
        let answer = verifier.compare(&a?, &b?)?;
        Ok::<_, Error>(vec![answer.score as f32])
    };
    Ok(BatchedLogits {
        batch: 1,
        images: pairs.len(),
        rows: pairs.iter().map(compare).collect::<Result<_>>()?,
    })
}

/// The network's own features of prepared images, each a row.
pub fn features(network: &Network, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
    let network = network.valid();
    let [channels, height, width] = network.image_shape();
    let shape = [images.len(), channels, height, width];
    let input = TensorData::new(images.concat(), shape);
    let images = Tensor::from_data(input, &tensors::device(&network));
    tensors::read_rows(network.features(images)?)
}

/// As [`compare`], of one score each.
fn compare_scores(expected: &Reference, found: &[BatchedLogits]) -> Agreement {
    let mut agreement = Agreement {
        pairs: true,
        ..compare(expected, found)
    };
    // The last is that of the encoder alone, image by image.
    agreement.batches.pop();
    agreement
}

/// The network's own scores of prepared pairs, each a row.
pub fn reference_pairs(network: &Network, pairs: &[[Vec<f32>; 2]]) -> Result<Reference> {
    let network = network.valid();
    if let Some(backbone) = network.backbone() {
        return scores_of_features(&network, backbone, pairs);
    }
    let [channels, height, width] = network.image_shape();
    let shape = [2 * pairs.len(), channels, height, width];
    let images = pairs.iter().flatten().map(Vec::as_slice);
    let input = TensorData::new(images.collect::<Vec<_>>().concat(), shape);
    let images = Tensor::from_data(input, &tensors::device(&network));
    let logits = tensors::read(network.compare(network.features(images)?))?; // [N]
    let score = PairScore::of(&network)?;
    let scores = logits
        .into_iter()
        .map(|logit| vec![score.score(f64::from(logit)) as f32]);
    Ok(Reference::of_burn(scores.collect()))
}

fn scores_of_features(
    network: &Network,
    backbone: &Backbone,
    pairs: &[[Vec<f32>; 2]],
) -> Result<Reference> {
    let head = pair_score::distance_head(network)?;
    let features = |image: &Vec<f32>| {
        let features = backbone.extractor.features(image, 1);
        features.map_err(|error| features_failed(&error))
    };
    let (mut rows, mut largest_size) = (Vec::with_capacity(pairs.len()), 0.0);
    for [a, b] in pairs {
        let (a, b) = (features(a)?, features(b)?);
        largest_size = f64::max(largest_size, size_of_terms(&head, &a, &b));
        rows.push(vec![head.score(&a, &b) as f32]);
    }
    Ok(Reference {
        logits: rows,
        tolerance: feature_tolerance(backbone) * largest_size,
        computed_by: "features times head",
    })
}

/// The sizes of the terms of a score, whose roundings add up. Both images' features are rounded, however near they are
/// to each other.
fn size_of_terms(head: &DistanceHead, a: &[f32], b: &[f32]) -> f64 {
    // The sigmoid's slope is a quarter at most.
    const SLOPE: f64 = 0.25;
    let (weight, bias) = (&head.weight, f64::from(head.bias.abs()));
    let scale = f64::from(weight.first().map_or(0.0, |weight| weight.abs()));
    match head.distance {
        Distance::AbsoluteDifference => {
            let terms = weight.iter().zip(a.iter().zip(b));
            let sizes = terms.map(|(w, (a, b))| f64::from(w.abs()) * f64::from(a.abs() + b.abs()));
            SLOPE * (sizes.sum::<f64>() + bias)
        }
        // Of a direction, whose length is 1.
        Distance::Cosine => SLOPE * (2.0 * scale + bias),
        Distance::Euclidean => {
            let length = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            scale * (length(a) + length(b))
        }
    }
}

/// Whether logits `[N, K]` that were computed in another way are the network's.
pub fn is_same(expected: &Reference, found: Vec<Vec<f32>>) -> bool {
    let logits = BatchedLogits {
        batch: found.len(),
        images: expected.logits.len(),
        rows: found,
    };
    compare(expected, &[logits]).verified
}

/// The network's own logits of prepared images: Burn's, or features of a frozen backbone times the classification layer
/// in double precision.
pub fn reference(network: &Network, images: &[Vec<f32>]) -> Result<Reference> {
    let network = network.valid();
    if let Some(backbone) = network.backbone() {
        return features_times_head(&network, backbone, images);
    }
    if images.is_empty() {
        return Ok(Reference::of_burn(vec![]));
    }
    let [channels, height, width] = network.image_shape();
    let shape = [images.len(), channels, height, width];
    let input = TensorData::new(images.concat(), shape);
    let logits = network.forward(Tensor::from_data(input, &tensors::device(&network)))?; // [N, K]
    Ok(Reference::of_burn(tensors::read_rows(logits)?))
}

impl Reference {
    fn of_burn(logits: Vec<Vec<f32>>) -> Self {
        Self {
            tolerance: BURN_TOLERANCE * largest(&logits),
            logits,
            computed_by: "Burn",
        }
    }
}

fn features_times_head(
    network: &Network,
    backbone: &Backbone,
    images: &[Vec<f32>],
) -> Result<Reference> {
    let fc = network.fc();
    let weight = tensors::read(fc.weight.val())?; // [K, D]
    let bias = match &fc.bias {
        Some(bias) => tensors::read(bias.val().unsqueeze())?, // [1, K]
        None => vec![0.0; network.num_classes()],
    };
    let (mut logits, mut largest_size) = (Vec::with_capacity(images.len()), 0.0);
    for image in images {
        let features = backbone.extractor.features(image, 1);
        let features = features.map_err(|error| features_failed(&error))?;
        let classes = weight.chunks_exact(backbone.width).zip(&bias);
        let row = classes.map(|(weight, bias)| {
            let terms = weight.iter().zip(&features);
            let terms = terms.map(|(w, f)| f64::from(*w) * f64::from(*f));
            let add = |(sum, size): (f64, f64), term: f64| (sum + term, size + term.abs());
            let (logit, size) = terms.chain([f64::from(*bias)]).fold((0.0, 0.0), add);
            largest_size = f64::max(largest_size, size);
            logit as f32
        });
        logits.push(row.collect());
    }
    Ok(Reference {
        logits,
        tolerance: feature_tolerance(backbone) * largest_size,
        computed_by: "features times head",
    })
}

fn features_failed(error: &dyn std::fmt::Display) -> Error {
    Error::refused(format!(
        "the features of an image cannot be computed: {error}"
    ))
}

/// How far a logit of this backbone's features may be off, relative to the sizes of its terms.
fn feature_tolerance(backbone: &Backbone) -> f64 {
    match backbone.file.is_single_precision {
        true => FEATURE_TOLERANCE,
        false => LOW_PRECISION_TOLERANCE,
    }
}

/// The largest finite |logit|.
fn largest(logits: &[Vec<f32>]) -> f64 {
    let finite = logits.iter().flatten().filter(|logit| logit.is_finite());
    finite.fold(0.0, |most, logit| most.max(f64::from(logit.abs())))
}

fn compare(reference: &Reference, found: &[BatchedLogits]) -> Agreement {
    let (expected, tolerance) = (&reference.logits, reference.tolerance);
    let mut agreement = Agreement {
        verified: true,
        reference: reference.computed_by.to_owned(),
        images: expected.len(),
        pairs: false,
        batches: found.iter().map(|logits| logits.batch).collect(),
        max_difference: 0.0,
        largest_logit: largest(expected),
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
            &Reference::of_burn(rows(expected)),
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
        let reference = Reference::of_burn(rows.clone());
        let empty = Reference::of_burn(vec![]);
        assert!(!compare(&reference, &[batched_logits(1, rows[..1].to_vec())]).verified);
        let short = vec![vec![10.0, -3.0], rows[1].clone()];
        assert!(!compare(&reference, &[batched_logits(1, short.clone())]).verified);
        assert!(!compare(&empty, &[batched_logits(1, vec![])]).verified);
        assert!(is_same(&reference, rows.clone()) && !is_same(&reference, short));
        // Only as many as were asked for count.
        let few = BatchedLogits {
            images: 1,
            ..batched_logits(1, rows[..1].to_vec())
        };
        assert!(compare(&reference, &[few]).verified);
    }
}
