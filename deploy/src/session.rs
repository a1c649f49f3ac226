//! The engine that runs a model through ONNX Runtime. Knows no labels and no files of images.

use std::path::{Path, PathBuf};

use half::f16;
use ort::session::Session as OrtSession;
use ort::session::SessionInputValue;
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, TensorRef};

use crate::engine::Engine;
use crate::error::{Error, Result, chain};
use crate::provider::Provider;
use crate::runtime;

/// How a session is made.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// What computes.
    pub provider: Provider,
    /// Threads inside an operation; `None` is one per core.
    pub threads: Option<usize>,
    /// Shape of one image as prepared (`[C, H, W]` or `[H, W, C]`): needed where the model leaves it open.
    pub image_shape: Option<[usize; 3]>,
    /// The output to read, where the model has several.
    pub output: Option<String>,
}

/// How many images a model takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Any number.
    Dynamic,
    /// Exactly so many: smaller batches are padded, larger ones cut.
    Fixed(usize),
}

/// A model opened in ONNX Runtime.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    session: OrtSession,
    input: String,
    input_type: TensorElementType,
    output: String,
    batch: Batch,
    image_shape: [usize; 3],
    num_outputs: usize,
}

impl Session {
    /// Opens a model. The runtime must have been loaded ([`crate::runtime::load`]).
    ///
    /// # Errors
    /// The runtime refuses the model or the provider, or the model is not an image classifier.
    pub fn open(path: &Path, options: &SessionOptions) -> Result<Self> {
        let session = commit(path, options)?;
        let not = |expected: &str, found: String| Error::NotAClassifier {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let [input] = session.inputs() else {
            return Err(not(
                "one input",
                format!("{} inputs", session.inputs().len()),
            ));
        };
        let (input_type, dims) = tensor(input);
        if !matches!(
            input_type,
            TensorElementType::Float32 | TensorElementType::Float16 | TensorElementType::Uint8
        ) {
            let found = format!("input `{}` of {input_type}", input.name());
            return Err(not("an input of f32, f16 or u8", found));
        }
        let [first, image_dims @ ..] = dims.as_slice() else {
            return Err(not(
                "an input [N, C, H, W]",
                format!("a scalar `{}`", input.name()),
            ));
        };
        let image_dims: &[i64; 3] = image_dims.try_into().map_err(|_| {
            not(
                "an input [N, C, H, W]",
                format!("an input {}", shape(&dims)),
            )
        })?;
        let image_shape = image_shape(path, image_dims, options.image_shape)?;
        let batch = usize::try_from(*first).ok().filter(|n| *n > 0);
        let output =
            pick_output(&session, options.output.as_deref()).map_err(|f| not("one output", f))?;
        let num_outputs = scores(output).map_err(|found| not("an output [N, K]", found))?;
        let mut opened = Self {
            path: path.to_owned(),
            input: input.name().to_owned(),
            input_type,
            output: output.name().to_owned(),
            batch: batch.map_or(Batch::Dynamic, Batch::Fixed),
            image_shape,
            num_outputs: num_outputs.unwrap_or(0),
            session,
        };
        if num_outputs.is_none() {
            opened.measure()?;
        }
        Ok(opened)
    }

    /// Name of the input.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Name of the output that is read.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// How many images the model takes at a time.
    pub fn batch(&self) -> Batch {
        self.batch
    }

    /// Shape of one image: `[C, H, W]`, or `[H, W, C]`.
    pub fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    /// Runs `batch` prepared images, one after the other in `images`: `[batch, num_outputs]`.
    ///
    /// A model of a fixed batch size gets padded or cut batches.
    ///
    /// # Errors
    /// `images` has another length, or ONNX Runtime stops.
    pub fn run(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>> {
        let len = self.image_len();
        if images.len() != batch * len {
            return Err(Error::InputLength {
                batch,
                expected: batch * len,
                found: images.len(),
            });
        }
        let size = match self.batch {
            Batch::Fixed(size) if size != batch => size,
            _ if batch == 0 => return Ok(Vec::new()),
            _ => return self.run_exactly(images, batch),
        };
        let mut scores = Vec::with_capacity(batch * self.num_outputs);
        for part in images.chunks(size * len) {
            let count = part.len() / len;
            if count == size {
                scores.extend(self.run_exactly(part, size)?);
            } else {
                let mut padded = part.to_vec();
                padded.resize(size * len, 0.0);
                scores.extend(&self.run_exactly(&padded, size)?[..count * self.num_outputs]);
            }
        }
        Ok(scores)
    }

    /// Numbers that come out for each image: `K`.
    pub fn num_outputs(&self) -> usize {
        self.num_outputs
    }

    /// Learns the number of outputs by running zeros.
    fn measure(&mut self) -> Result<()> {
        let batch = match self.batch {
            Batch::Dynamic => 1,
            Batch::Fixed(n) => n,
        };
        let zeros = vec![0.0; batch * self.image_len()];
        let scores = self.run_exactly(&zeros, batch)?;
        self.num_outputs = scores.len() / batch;
        Ok(())
    }

    fn image_len(&self) -> usize {
        self.image_shape.iter().product()
    }

    /// One call of ONNX Runtime.
    fn run_exactly(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>> {
        let failed = |e: ort::Error| Error::Run { reason: chain(&e) };
        let [a, b, c] = self.image_shape;
        let value = input_value(self.input_type, images, [batch, a, b, c]).map_err(failed)?;
        let inputs: [SessionInputValue<'_>; 1] = [value];
        let outputs = self.session.run(inputs).map_err(failed)?;
        let output = outputs
            .get(self.output.as_str())
            .ok_or_else(|| Error::Run {
                reason: format!("there is no output `{}`", self.output),
            })?;
        let scores = floats(output).map_err(failed)?;
        let per_image = scores.len() / batch.max(1);
        let fits = scores.len() == per_image * batch
            && (self.num_outputs == 0 || per_image == self.num_outputs);
        if !fits || per_image == 0 {
            return Err(Error::NotAClassifier {
                path: self.path.clone(),
                expected: format!("{} scores for each of {batch} images", self.num_outputs),
                found: format!("{} numbers", scores.len()),
            });
        }
        Ok(scores)
    }
}

impl Engine for Session {
    fn run(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>> {
        Session::run(self, images, batch)
    }

    fn num_outputs(&self) -> usize {
        self.num_outputs
    }
}

/// Opens the model with the provider; every provider asked for must start.
fn commit(path: &Path, options: &SessionOptions) -> Result<OrtSession> {
    let refused = |e: &dyn std::error::Error| match options.provider {
        Provider::Cpu => Error::ModelLoad {
            path: path.to_owned(),
            reason: chain(e),
        },
        provider => Error::ProviderFailed {
            provider: provider.to_string(),
            reason: chain(e),
        },
    };
    let environment = runtime::environment()?;
    let builder = OrtSession::builder(environment).map_err(|e| refused(&e))?;
    let builder = match options.threads {
        Some(threads) => builder
            .with_intra_threads(threads)
            .map_err(|e| refused(&e))?,
        None => builder,
    };
    let mut builder = builder
        .with_execution_providers(options.provider.dispatches()?)
        .map_err(|e| refused(&e))?;
    let load = |e: ort::Error| Error::ModelLoad {
        path: path.to_owned(),
        reason: chain(&e),
    };
    builder.commit_from_file(path).map_err(load)
}

/// The value that is fed, in the model's own element type.
pub(crate) fn input_value(
    element: TensorElementType,
    images: &[f32],
    shape: [usize; 4],
) -> ort::Result<SessionInputValue<'_>> {
    Ok(match element {
        TensorElementType::Float16 => {
            let halves: Vec<f16> = images.iter().copied().map(f16::from_f32).collect();
            Tensor::from_array((shape, halves))?.into()
        }
        TensorElementType::Uint8 => {
            let bytes: Vec<u8> = images
                .iter()
                .map(|v| v.round().clamp(0.0, 255.0) as u8)
                .collect();
            Tensor::from_array((shape, bytes))?.into()
        }
        _ => TensorRef::from_array_view((shape, images))?.into(),
    })
}

/// The numbers of an output, whatever their precision.
fn floats(output: &DynValue) -> ort::Result<Vec<f32>> {
    let element = output.dtype().tensor_type();
    Ok(match element {
        Some(TensorElementType::Float16) => output
            .try_extract_tensor::<f16>()?
            .1
            .iter()
            .map(|v| v.to_f32())
            .collect(),
        Some(TensorElementType::Float64) => output
            .try_extract_tensor::<f64>()?
            .1
            .iter()
            .map(|v| *v as f32)
            .collect(),
        _ => output.try_extract_tensor::<f32>()?.1.to_vec(),
    })
}

/// Element type and dimensions; open dimensions are -1. Not a tensor: a scalar of undefined type.
fn tensor(outlet: &Outlet) -> (TensorElementType, Vec<i64>) {
    let dtype = outlet.dtype();
    match (dtype.tensor_type(), dtype.tensor_shape()) {
        (Some(element), Some(shape)) => (element, shape.to_vec()),
        _ => (TensorElementType::Undefined, Vec::new()),
    }
}

fn pick_output<'s>(
    session: &'s OrtSession,
    name: Option<&str>,
) -> std::result::Result<&'s Outlet, String> {
    let outputs = session.outputs();
    match (name, outputs) {
        (Some(name), _) => outputs
            .iter()
            .find(|output| output.name() == name)
            .ok_or_else(|| format!("no output `{name}`")),
        (None, [output]) => Ok(output),
        (None, _) => Err(format!("{} outputs", outputs.len())),
    }
}

/// `K` of an output `[N, K]` or `[N, K, 1, 1]`; `None` where the file leaves it open.
fn scores(output: &Outlet) -> std::result::Result<Option<usize>, String> {
    let (element, dims) = tensor(output);
    let float = matches!(
        element,
        TensorElementType::Float32 | TensorElementType::Float16 | TensorElementType::Float64
    );
    if !float {
        return Err(format!("output `{}` of {element}", output.name()));
    }
    match dims.as_slice() {
        // Some exporters leave out the shape of the output.
        [] => Ok(None),
        [_, classes, rest @ ..] if rest.iter().all(|dim| *dim == 1) => {
            Ok(usize::try_from(*classes).ok().filter(|k| *k > 0))
        }
        _ => Err(format!("an output {}", shape(&dims))),
    }
}

/// The model's image shape, completed by what the preprocessing makes.
fn image_shape(path: &Path, dims: &[i64; 3], given: Option<[usize; 3]>) -> Result<[usize; 3]> {
    let fixed = dims.map(|dim| usize::try_from(dim).ok().filter(|dim| *dim > 0));
    let fits = |given: [usize; 3]| (0..3).all(|i| fixed[i].is_none_or(|dim| dim == given[i]));
    match given {
        Some(given) if fits(given) => Ok(given),
        None if fixed.iter().all(Option::is_some) => Ok(fixed.map(Option::unwrap_or_default)),
        _ => Err(Error::ShapeDiffers {
            path: path.to_owned(),
            expected: shape(dims),
            found: given.map_or("nothing".to_owned(), |given| {
                shape(&given.map(|d| d as i64))
            }),
        }),
    }
}

/// Dimensions as text; open ones are `?`.
fn shape(dims: &[i64]) -> String {
    let dims: Vec<String> = dims
        .iter()
        .map(|d| {
            if *d < 0 {
                "?".to_owned()
            } else {
                d.to_string()
            }
        })
        .collect();
    format!("[{}]", dims.join(", "))
}
