//! Ranges of the values inside a model, measured on the calibration images. Quantises nothing.

use std::collections::HashMap;

use onnx::Document;
use onnx::convert::Range;
use pixels::Unreadable;
use pixels::preprocess::PreprocessBuffers;

use super::calibration::Calibration;
use crate::error::{Error, Result, chain};
use crate::taps::Taps;

/// Zero is in every range, so that it is an integer: padding and ReLU then cost no accuracy.
const ONLY_ZERO: Range = Range {
    low: 0.0,
    high: 0.0,
};

/// Ranges by value, and the images that they come from.
#[derive(Debug, Clone)]
pub(super) struct MeasuredRanges {
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
) -> Result<MeasuredRanges> {
    if calibration.images.is_empty() {
        return Err(Error::no_calibration());
    }
    let inputs = document.inputs();
    let is_input = |name: &String| inputs.iter().any(|input| input.name == *name);
    // The graph does not compute its input: that is the prepared image itself.
    let (inputs, computed): (Vec<String>, Vec<String>) =
        observed.iter().cloned().partition(is_input);
    let shape = calibration.preprocess.output_shape();
    let mut taps = Taps::open(document, &computed, shape, None)?;
    let mut ranges: HashMap<String, Range> = observed
        .iter()
        .map(|name| (name.clone(), ONLY_ZERO))
        .collect();
    let mut widen = |name: &str, values: &[f32]| {
        if let Some(range) = ranges.get_mut(name) {
            widen(range, values);
        }
    };
    let (mut images, mut unreadable) = (0, Vec::new());
    let color = calibration.preprocess.color();
    let mut buffers = PreprocessBuffers::new(&calibration.preprocess);
    let mut image = vec![0.0; calibration.preprocess.output_len()];
    for path in &calibration.images {
        let read = pixels::decode::open_as(path, color, &calibration.limits);
        let read = read.and_then(|decoded| buffers.apply_into(&decoded, &mut image));
        if let Err(error) = read {
            unreadable.push(Unreadable {
                path: path.clone(),
                reason: chain(&error),
            });
            continue;
        }
        images += 1;
        for name in &inputs {
            widen(name, &image);
        }
        for tap in taps.run(&image)? {
            widen(&tap.name, &tap.numbers);
        }
    }
    if images == 0 {
        return Err(Error::no_images());
    }
    Ok(MeasuredRanges {
        ranges,
        images,
        unreadable,
    })
}

/// Widens a range to the smallest and the largest number. Percentiles and least squares were measured and are
/// no better (`docs/precision.md`).
fn widen(range: &mut Range, values: &[f32]) {
    for value in values {
        range.low = range.low.min(*value);
        range.high = range.high.max(*value);
    }
}
