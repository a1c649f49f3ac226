//! Runs the model on the calibration images with the values in between as outputs.

use std::collections::HashMap;

use data::preprocess::Preparer;
use onnx::Document;
use onnx::convert::Range;

use super::calibration::Calibration;
use crate::error::{Error, Result, chain};
use crate::eval::Unreadable;
use crate::taps::Taps;

/// Zero is in every range, so that it is an integer.
const NOTHING: Range = Range {
    low: 0.0,
    high: 0.0,
};

/// What was measured.
pub(super) struct Measured {
    pub(super) ranges: HashMap<String, Range>,
    /// Images that were read.
    pub(super) images: usize,
    pub(super) unreadable: Vec<Unreadable>,
}

/// The ranges of the `observed` values of a document.
pub(super) fn measure(
    document: &Document,
    observed: &[String],
    calibration: &Calibration,
) -> Result<Measured> {
    if calibration.images.is_empty() {
        return Err(Error::NoCalibration);
    }
    let inputs = document.inputs();
    let of_input = |name: &String| inputs.iter().any(|input| input.name == *name);
    let (given, made): (Vec<String>, Vec<String>) = observed.iter().cloned().partition(of_input);
    let shape = calibration.preprocess.output_shape();
    let mut taps = Taps::open(document, &made, shape, None)?;
    let mut ranges: HashMap<String, Range> = observed
        .iter()
        .map(|name| (name.clone(), NOTHING))
        .collect();
    let mut widen = |name: &str, values: &[f32]| {
        if let Some(range) = ranges.get_mut(name) {
            widen(range, values);
        }
    };
    let (mut images, mut unreadable) = (0, Vec::new());
    let mut preparer = Preparer::new(&calibration.preprocess);
    let mut image = vec![0.0; calibration.preprocess.output_len()];
    for path in &calibration.images {
        let read = data::decode::open(path, &calibration.limits);
        let read = read.and_then(|picture| preparer.apply_into(&picture, &mut image));
        if let Err(error) = read {
            unreadable.push(Unreadable {
                path: path.clone(),
                reason: chain(&error),
            });
            continue;
        }
        images += 1;
        for name in &given {
            widen(name, &image);
        }
        for tap in taps.run(&image)? {
            widen(&tap.name, &tap.numbers);
        }
    }
    if images == 0 {
        return Err(Error::NoImages);
    }
    Ok(Measured {
        ranges,
        images,
        unreadable,
    })
}

/// From the smallest to the largest number. Cutting off what is rare, by share or by least squares, came
/// out worse (`docs/precision.md`).
fn widen(range: &mut Range, values: &[f32]) {
    for value in values {
        range.low = range.low.min(*value);
        range.high = range.high.max(*value);
    }
}
