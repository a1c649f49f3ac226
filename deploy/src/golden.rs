//! Golden samples of a card: images with known outputs, which a machine reproduces if it decodes, resizes and
//! computes in the same way. Knows no provider.

use pixels::card::{ENCODE, Golden};

use crate::classifier::Classifier;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::precision::Precision;
use crate::prediction;
use crate::verifier::Verifier;

/// Tolerances of golden samples, relative to the largest |output|. bf16 has 8 times the rounding of fp16.
pub const TOLERANCES: [(&str, f64); 4] = [
    ("fp32", 1e-3),
    ("bf16", 0.1),
    ("fp16", 2e-2),
    ("int8", 0.25),
];

/// One golden sample, computed here and compared.
#[derive(Debug, Clone)]
pub struct GoldenResult {
    /// Name of the sample.
    pub name: String,
    /// Whether every output is within the tolerance.
    pub ok: bool,
    /// The largest difference, relative to the largest |output|.
    pub difference: f64,
    /// The largest difference allowed.
    pub tolerance: f64,
    /// The outputs that the card expects.
    pub expected: Vec<f32>,
    /// The outputs found here.
    pub found: Vec<f32>,
}

/// Classifies the card's golden samples and compares the model's outputs with the card's.
///
/// # Errors
/// There is nothing to compare; the model stops.
pub fn check(classifier: &Classifier) -> Result<Vec<GoldenResult>> {
    let golden = classifier
        .card()
        .map(|card| card.golden.as_slice())
        .unwrap_or_default();
    if golden.is_empty() {
        return Err(Error::no_golden(classifier.path()));
    }
    golden
        .iter()
        .map(|sample| compare(classifier, sample))
        .collect()
}

/// Runs standard drawn images in one run and one by one: an answer must not depend on the other images of a run.
///
/// # Errors
/// The model stops.
pub fn check_batch(classifier: &Classifier) -> Result<GoldenResult> {
    let mut images: Vec<Vec<f32>> = pixels::card::golden_images::images()
        .into_iter()
        .map(|(_, bytes)| classifier.prepare(&classifier.decode(&bytes)?))
        .collect::<Result<_>>()?;
    images.extend(images.first().cloned());
    let found = classifier.run(&images.concat(), images.len())?;
    let alone = images.iter().map(|image| classifier.run(image, 1));
    let expected = alone.collect::<Result<Vec<_>>>()?.concat();
    let difference = relative_difference(&expected, &found);
    // Other kernels may run at another size: half precision differs more, integers only where they mix images.
    let tolerance = match classifier.precision() {
        Precision::Bf16 => 0.1,
        Precision::Fp16 | Precision::Int8 => 2e-2,
        Precision::Fp32 | Precision::Tf32 => 1e-3,
    };
    Ok(GoldenResult {
        name: format!("{} images in one run", images.len()),
        ok: difference <= tolerance,
        difference,
        tolerance,
        expected,
        found,
    })
}

/// Creates golden samples of the standard drawn images from what this machine computes.
///
/// # Errors
/// The model stops, or its answer is not finite.
pub fn create_samples(classifier: &Classifier) -> Result<Vec<Golden>> {
    let tolerance = TOLERANCES.map(|(name, tolerance)| (name.to_owned(), tolerance));
    let create = |(name, bytes): (String, Vec<u8>)| {
        let outputs = outputs(classifier, &bytes)?;
        // JSON has no NaN: written into a card, it would make the file unreadable.
        prediction::check_finite(&outputs).map_err(|error| error.about(&name))?;
        Ok(Golden::new(
            &name,
            &bytes,
            outputs,
            tolerance.clone().into(),
        ))
    };
    pixels::card::golden_images::images()
        .into_iter()
        .map(|(name, bytes)| create((name.to_string(), bytes)))
        .collect()
}

fn outputs(classifier: &Classifier, bytes: &[u8]) -> Result<Vec<f32>> {
    classifier.run(&classifier.prepare(&classifier.decode(bytes)?)?, 1)
}

/// As [`check`], of a verifier: its golden samples are pairs of images with their score, or, of
/// its encoder, images with their features.
///
/// # Errors
/// As [`check`].
pub fn check_pairs(verifier: &Verifier) -> Result<Vec<GoldenResult>> {
    let golden = verifier.card().golden.as_slice();
    if golden.is_empty() {
        return Err(Error::no_golden(verifier.path()));
    }
    let is_encoder = verifier.card().comparison.is_some();
    let check = |sample: &Golden| {
        let first = verifier.encode_bytes(&sample.bytes()?)?;
        if is_encoder {
            return Ok(result(sample, verifier.model().precision, first));
        }
        let second = verifier.encode_bytes(&sample.second_bytes()?)?;
        let score = verifier.compare(&first, &second)?.score as f32;
        Ok(result(sample, verifier.model().precision, vec![score]))
    };
    golden.iter().map(check).collect()
}

/// As [`check`], of a backbone that was cut: its golden samples are images with their features.
///
/// # Errors
/// As [`check`].
pub fn check_features(encoder: &Encoder) -> Result<Vec<GoldenResult>> {
    let card = encoder.card().filter(|card| card.task == ENCODE);
    let golden = card.map_or(&[][..], |card| card.golden.as_slice());
    if golden.is_empty() {
        return Err(Error::no_golden(encoder.path()));
    }
    golden
        .iter()
        .map(|sample| compare(encoder.encoder(), sample))
        .collect()
}

fn compare(classifier: &Classifier, sample: &Golden) -> Result<GoldenResult> {
    let found = outputs(classifier, &sample.bytes()?)?;
    let precision = match classifier.precision() {
        // TF32 has no tolerance of its own.
        Precision::Tf32 => Precision::Fp32.name(),
        precision => precision.name(),
    };
    Ok(result(sample, precision, found))
}

fn result(sample: &Golden, precision: &str, found: Vec<f32>) -> GoldenResult {
    let standard = TOLERANCES
        .iter()
        .find(|(name, _)| *name == precision)
        .map_or(1e-3, |t| t.1);
    let tolerance = sample.tolerance.get(precision).copied().unwrap_or(standard);
    let expected = sample.logits.clone();
    let difference = relative_difference(&expected, &found);
    GoldenResult {
        name: sample.name.clone(),
        ok: difference <= tolerance,
        difference,
        tolerance,
        expected,
        found,
    }
}

/// The largest difference over the largest |expected|; infinite where lengths differ or a number is not finite in
/// one of the two alone.
fn relative_difference(expected: &[f32], found: &[f32]) -> f64 {
    if expected.len() != found.len() || expected.is_empty() {
        return f64::INFINITY;
    }
    let largest = expected
        .iter()
        .filter(|v| v.is_finite())
        .fold(f64::MIN_POSITIVE, |most, v| most.max(f64::from(v.abs())));
    let mut most = 0.0_f64;
    for (a, b) in expected.iter().zip(found) {
        let difference = f64::from(prediction::difference(*a, *b));
        if !difference.is_finite() {
            return f64::INFINITY;
        }
        most = most.max(difference);
    }
    most / largest
}

#[cfg(test)]
mod tests {
    use super::relative_difference;

    #[test]
    fn the_difference_is_relative_to_the_largest_output() {
        assert_eq!(relative_difference(&[-4.0, 1.0], &[-3.0, 1.0]), 0.25);
        assert_eq!(relative_difference(&[1.0], &[1.0]), 0.0);
        let masked = f32::NEG_INFINITY;
        assert_eq!(relative_difference(&[masked, 2.0], &[masked, 1.0]), 0.5);
    }

    #[test]
    fn what_cannot_be_compared_is_infinitely_different() {
        assert_eq!(relative_difference(&[1.0], &[1.0, 2.0]), f64::INFINITY);
        assert_eq!(relative_difference(&[1.0], &[f32::NAN]), f64::INFINITY);
        assert_eq!(relative_difference(&[], &[]), f64::INFINITY);
    }
}
