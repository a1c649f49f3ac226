//! Runs the model on the calibration images with the values in between as outputs.

use std::collections::HashMap;
use std::path::Path;

use data::preprocess::Preparer;
use onnx::convert::Range;
use onnx::proto::DataType;
use onnx::{Dim, Document, ValueInfo, surgery};
use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, TensorRef};

use super::calibration::Calibration;
use crate::error::{Error, Result, chain};
use crate::eval::Unreadable;
use crate::runtime;

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

/// The ranges of the `observed` values of a document that `path` was read into.
pub(super) fn measure(
    path: &Path,
    document: &Document,
    observed: &[String],
    calibration: &Calibration,
) -> Result<Measured> {
    if calibration.images.is_empty() {
        return Err(Error::NoCalibration);
    }
    let mut probe = Probe::open(path, document, observed, calibration)?;
    let (mut images, mut unreadable) = (0, Vec::new());
    let len = calibration.preprocess.output_len();
    let mut preparer = Preparer::new(&calibration.preprocess);
    let mut batch = Vec::with_capacity(probe.batch * len);
    for path in &calibration.images {
        let start = batch.len();
        batch.resize(start + len, 0.0);
        let read = data::decode::open(path, &calibration.limits);
        let read = read.and_then(|image| preparer.apply_into(&image, &mut batch[start..]));
        if let Err(error) = read {
            batch.truncate(start);
            unreadable.push(Unreadable {
                path: path.clone(),
                reason: chain(&error),
            });
            continue;
        }
        images += 1;
        if batch.len() == probe.batch * len {
            probe.run(&batch)?;
            batch.clear();
        }
    }
    if images == 0 {
        return Err(Error::NoImages);
    }
    if !batch.is_empty() {
        // A model of a fixed batch size sees some images twice.
        let given = batch.len();
        let padded = (given..probe.batch * len).map(|at| batch[at % given]);
        let padded: Vec<f32> = padded.collect();
        batch.extend(padded);
        probe.run(&batch)?;
    }
    Ok(Measured {
        ranges: probe.names.into_iter().zip(probe.ranges).collect(),
        images,
        unreadable,
    })
}

/// A session that gives the values in between.
struct Probe {
    session: Session,
    input: String,
    elem_type: DataType,
    batch: usize,
    image_shape: [usize; 3],
    /// The input first, where it is observed; then the outputs.
    names: Vec<String>,
    ranges: Vec<Range>,
}

impl Probe {
    fn open(
        path: &Path,
        document: &Document,
        observed: &[String],
        calibration: &Calibration,
    ) -> Result<Self> {
        let inputs = document.inputs();
        let not = |found: String| Error::NotAClassifier {
            path: path.to_owned(),
            expected: "one input [N, C, H, W] of f32 or u8".to_owned(),
            found,
        };
        let [input] = inputs.as_slice() else {
            return Err(not(format!("{} inputs", inputs.len())));
        };
        if !matches!(input.elem_type, DataType::Float | DataType::Uint8) {
            return Err(not(input.to_string()));
        }
        let (given, made): (Vec<String>, Vec<String>) = observed
            .iter()
            .cloned()
            .partition(|name| *name == input.name);
        let mut exposed = document.clone();
        let output = |name: &String| ValueInfo {
            ranked: false,
            ..ValueInfo::new(name, DataType::Float, Vec::new())
        };
        let outputs: Vec<ValueInfo> = made.iter().map(output).collect();
        surgery::set_outputs(exposed.graph_mut(), &outputs);
        surgery::prune(exposed.graph_mut());
        let refused = |e: ort::Error| Error::ModelLoad {
            path: path.to_owned(),
            reason: chain(&e),
        };
        let mut builder = Session::builder(runtime::environment()?).map_err(refused)?;
        let session = builder
            .commit_from_memory(&exposed.to_bytes())
            .map_err(refused)?;
        let batch = match input.dims.first() {
            Some(Dim::Fixed(size)) => usize::try_from(*size).unwrap_or(1).max(1),
            _ => 1,
        };
        let names: Vec<String> = given.into_iter().chain(made).collect();
        Ok(Self {
            session,
            input: input.name.clone(),
            elem_type: input.elem_type,
            batch,
            image_shape: calibration.preprocess.output_shape(),
            ranges: vec![NOTHING; names.len()],
            names,
        })
    }

    /// Widens the ranges to the values of one batch.
    fn run(&mut self, images: &[f32]) -> Result<()> {
        let failed = |e: ort::Error| Error::Run { reason: chain(&e) };
        let [a, b, c] = self.image_shape;
        let shape = [self.batch, a, b, c];
        let value: SessionInputValue<'_> = match self.elem_type {
            DataType::Uint8 => {
                let bytes = images.iter().map(|v| v.round().clamp(0.0, 255.0) as u8);
                let bytes: Vec<u8> = bytes.collect();
                Tensor::from_array((shape, bytes)).map_err(failed)?.into()
            }
            _ => TensorRef::from_array_view((shape, images))
                .map_err(failed)?
                .into(),
        };
        let outputs = self.session.run([value]).map_err(failed)?;
        for (name, range) in self.names.iter().zip(&mut self.ranges) {
            if *name == self.input {
                widen(range, images);
                continue;
            }
            let missing = || Error::Run {
                reason: format!("there is no output `{name}`"),
            };
            let output = outputs.get(name.as_str()).ok_or_else(missing)?;
            widen(range, output.try_extract_tensor::<f32>().map_err(failed)?.1);
        }
        Ok(())
    }
}

/// From the smallest to the largest number. Cutting off what is rare, by share or by least squares, came
/// out worse (`docs/precision.md`).
fn widen(range: &mut Range, values: &[f32]) {
    for value in values {
        range.low = range.low.min(*value);
        range.high = range.high.max(*value);
    }
}
