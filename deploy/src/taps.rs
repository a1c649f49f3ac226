//! Intermediate activations: values inside a graph, read while it runs on one image. Knows no classes and no
//! files of images.

use std::path::PathBuf;

use half::f16;
use onnx::{Dim, Document, surgery};
use ort::session::Session as OrtSession;
use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorElementType};

use crate::error::{Error, Result, chain};
use crate::presets::cpu;
use crate::runtime;
use crate::session::tensor_io;

/// A model on the CPU whose outputs are values inside its graph.
#[derive(Debug)]
pub struct Taps {
    session: OrtSession,
    input: String,
    input_type: TensorElementType,
    shape: [usize; 4],
    names: Vec<String>,
}

/// A value of a graph, read while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Tap {
    /// Its name in the graph.
    pub name: String,
    /// Its shape.
    pub dims: Vec<usize>,
    /// Its numbers in row-major order, whatever type they have in the graph.
    pub numbers: Vec<f32>,
}

impl Taps {
    /// Opens a copy of `document` that puts out `values` and computes nothing else, on the CPU.
    /// `image_shape` is that of a prepared image, `[C, H, W]` or `[H, W, C]`. The runtime must have
    /// been loaded ([`crate::runtime::load`]).
    ///
    /// Reading the output of a convolution keeps ONNX Runtime from fusing it with the batch norm behind it: the
    /// value is the file's own.
    ///
    /// # Errors
    /// The graph has no such value or not one image input, or the runtime refuses it.
    pub fn open(
        document: &Document,
        values: &[String],
        image_shape: [usize; 3],
        threads: Option<usize>,
    ) -> Result<Self> {
        let path = document
            .path()
            .map_or_else(|| PathBuf::from("(no file)"), PathBuf::from);
        let mut document = document.clone();
        surgery::expose(document.graph_mut(), values);
        document.check()?;
        surgery::prune(document.graph_mut());
        document.inline_external_data()?;
        let (input, batch) = match document.inputs().as_slice() {
            [input] if !input.ranked || input.dims.len() == 4 => {
                let batch = match input.dims.first() {
                    Some(Dim::Fixed(batch)) => usize::try_from(*batch).unwrap_or(1).max(1),
                    _ => 1,
                };
                (input.name.clone(), batch)
            }
            inputs => {
                let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
                let found = format!("{}: {}", inputs.len(), inputs.join("; "));
                return Err(Error::not_a_classifier(
                    &path,
                    "one input [N, C, H, W]",
                    &found,
                ));
            }
        };
        let load = |e: &dyn std::error::Error| Error::model_load(&path, &chain(e));
        let environment = runtime::environment()?;
        let builder = OrtSession::builder(environment).map_err(|e| load(&e))?;
        let mut builder = cpu::select(builder, environment).map_err(|e| load(&e))?;
        if let Some(threads) = threads {
            builder = builder.with_intra_threads(threads).map_err(|e| load(&e))?;
        }
        let session = builder
            .commit_from_memory(&document.to_bytes())
            .map_err(|e| load(&e))?;
        let input_type = session
            .inputs()
            .iter()
            .find(|known| known.name() == input)
            .and_then(|input| input.dtype().tensor_type())
            .unwrap_or(TensorElementType::Float32);
        let [a, b, c] = image_shape;
        Ok(Self {
            session,
            input,
            input_type,
            shape: [batch, a, b, c],
            names: values.to_vec(),
        })
    }

    /// Runs one prepared image: the values, in the order in which they were asked for. A model of
    /// a fixed batch size gets as many copies of the image, and values have that many first.
    ///
    /// # Errors
    /// `image` has another length, ONNX Runtime stops, or a value is no tensor of numbers.
    pub fn run(&mut self, image: &[f32]) -> Result<Vec<Tap>> {
        let [batch, ..] = self.shape;
        let expected: usize = self.shape[1..].iter().product();
        if image.len() != expected {
            return Err(Error::input_length(1, expected, image.len()));
        }
        let failed = |e: ort::Error| Error::run(chain(&e));
        // Where the file fixes the batch it must be full, and copies keep values comparable.
        let images = image.repeat(batch);
        let value = tensor_io::to_input(self.input_type, &images, self.shape).map_err(failed)?;
        let inputs: Vec<(&str, SessionInputValue<'_>)> = vec![(self.input.as_str(), value)];
        let outputs = self.session.run(inputs).map_err(failed)?;
        let read = |name: &String| {
            let value = outputs
                .get(name.as_str())
                .ok_or_else(|| Error::run(format!("there is no value `{name}`")))?;
            let (dims, numbers) = numbers(value).map_err(failed)?;
            Ok(Tap {
                name: name.clone(),
                dims,
                numbers,
            })
        };
        self.names.iter().map(read).collect()
    }
}

/// The shape of a value that is to be the features of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureShape {
    /// Number of features `D`.
    pub width: usize,
    /// Whether they have to be pooled: `[N, D, H, W]` with more than one pixel.
    pub is_map: bool,
}

impl FeatureShape {
    /// That of a value in a run with one blank image of `image_shape`; as [`Taps::open`].
    ///
    /// # Errors
    /// As [`Taps::open`] and [`Taps::run`]; the value is neither `[N, D]` nor `[N, D, H, W]`.
    pub fn of(document: &Document, value: &str, image_shape: [usize; 3]) -> Result<Self> {
        let mut taps = Taps::open(document, &[value.to_owned()], image_shape, Some(1))?;
        let zeros = vec![0.0; image_shape.iter().product()];
        let dims = taps.run(&zeros)?.swap_remove(0).dims;
        match *dims.as_slice() {
            [_, width] => Ok(Self {
                width,
                is_map: false,
            }),
            [_, width, h, w] => Ok(Self {
                width,
                is_map: h * w > 1,
            }),
            _ => Err(Error::no_feature_shape(document.path(), value, &dims)),
        }
    }
}

/// Shape and numbers of a value: integers, as quantised models have them, and truth values become floating-point.
fn numbers(value: &DynValue) -> ort::Result<(Vec<usize>, Vec<f32>)> {
    macro_rules! read {
        ($element:ty, $convert:expr) => {{
            let (shape, values) = value.try_extract_tensor::<$element>()?;
            let dims = shape.iter().map(|dim| usize::try_from(*dim).unwrap_or(0));
            (
                dims.collect(),
                values.iter().copied().map($convert).collect(),
            )
        }};
    }
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => read!(f16, f16::to_f32),
        Some(TensorElementType::Float64) => read!(f64, |v| v as f32),
        Some(TensorElementType::Int8) => read!(i8, f32::from),
        Some(TensorElementType::Uint8) => read!(u8, f32::from),
        Some(TensorElementType::Int32) => read!(i32, |v| v as f32),
        Some(TensorElementType::Int64) => read!(i64, |v| v as f32),
        // Masks of transformers.
        Some(TensorElementType::Bool) => read!(bool, |v| f32::from(u8::from(v))),
        _ => read!(f32, |v| v),
    })
}
