//! The engine that runs a model through ONNX Runtime. Knows no labels and no files of images.

mod bind;
mod open;
mod outlets;
mod record;
pub(crate) mod values;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ort::session::{RunOptions, Session as OrtSession, SessionInputValue};
use ort::value::TensorElementType;

pub use bind::{Bound, Feed, Phases};
use bind::{Lane, Layout, Memory, failed};

pub use crate::options::SessionOptions;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::placement::Placement;
use crate::presets;
use crate::provider::Provider;

/// How many images a model takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Any number.
    Dynamic,
    /// Exactly so many: smaller batches are padded, larger ones cut.
    Fixed(usize),
}

/// What opening cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cold {
    /// Reading the model, dividing it among providers, loading its weights.
    pub session: Duration,
    /// Building the engine of TensorRT; `None` where one was kept, and elsewhere.
    pub build: Option<Duration>,
}

/// A model opened in ONNX Runtime.
///
/// A session belongs to one thread at a time and may move between threads; several on one GPU have a
/// stream each, so that one copies while another computes.
pub struct Session {
    path: PathBuf,
    session: OrtSession,
    input: String,
    input_type: TensorElementType,
    output: String,
    output_type: TensorElementType,
    /// Dimensions of the output without that of the batch; as found where the file leaves them open.
    output_dims: Vec<usize>,
    batch: Batch,
    /// The smallest and the largest number of images of one call.
    batches: (usize, usize),
    image_shape: [usize; 3],
    num_outputs: usize,
    placement: Placement,
    cold: Cold,
    notes: Vec<String>,
    memory: Memory,
    /// For calls without fixed buffers: nothing is recorded.
    plain: RunOptions,
    /// The batch whose launches are recorded, and the number of the next recording.
    graph: Option<(usize, u32)>,
    /// Whether a recording is replayed whatever its number.
    is_bound_once: bool,
    /// Buffers kept for [`Session::run`] on a GPU, the last used at the end. Never locked: the mutex lets
    /// threads share a session's descriptions.
    lanes: Mutex<Vec<Lane>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("path", &self.path)
            .field("batch", &self.batch)
            .field("image_shape", &self.image_shape)
            .field("num_outputs", &self.num_outputs)
            .field("placement", &self.placement)
            .finish_non_exhaustive()
    }
}

/// Sizes of batches for which buffers are kept: the usual one, and a last one that is smaller.
const LANES: usize = 2;

impl Session {
    /// Opens a model. The runtime must have been loaded ([`crate::runtime::load`]).
    ///
    /// # Errors
    /// The runtime refuses the model or the provider, nodes that compute run elsewhere, or the model is not
    /// an image classifier.
    pub fn open(path: &Path, options: &SessionOptions) -> Result<Self> {
        let start = Instant::now();
        let gpu = open::machine(options.provider);
        let opened = open::open(path, options, gpu.as_deref())?;
        let session = opened.session;
        let not = |expected: &str, found: String| Error::NotAClassifier {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let (input, input_type, dims) =
            outlets::image_input(&session).map_err(|(expected, found)| not(expected, found))?;
        let [first, image_dims @ ..] = dims;
        let image_shape = outlets::image_shape(path, &image_dims, options.image_shape)?;
        let batch = usize::try_from(first).ok().filter(|n| *n > 0);
        let output = outlets::pick_output(&session, options.output.as_deref())
            .map_err(|found| not("one output", found))?;
        let output_dims = outlets::scores(output).map_err(|f| not("an output [N, K]", f))?;
        let memory = match options.provider.device() {
            None => Memory::Cpu,
            Some(device) => Memory::gpu(presets::id(device)).map_err(failed)?,
        };
        let mut plain = RunOptions::new().map_err(failed)?;
        plain
            .set(bind::GRAPH, bind::graph_id(None))
            .map_err(failed)?;
        let recorded = options.batches.first().filter(|_| opened.graph);
        let mut session = Self {
            path: path.to_owned(),
            input,
            input_type,
            output: output.name().to_owned(),
            output_type: outlets::tensor(output).0,
            num_outputs: output_dims.iter().flatten().product(),
            output_dims: output_dims.unwrap_or_default(),
            batch: batch.map_or(Batch::Dynamic, Batch::Fixed),
            batches: batch.map_or(opened.batches, |batch| (batch, batch)),
            image_shape,
            placement: opened.placement,
            cold: Cold {
                session: Duration::ZERO,
                build: opened.build,
            },
            notes: opened.notes,
            memory,
            plain,
            graph: recorded.map(|batch| (*batch, 1)),
            is_bound_once: matches!(options.provider, Provider::TensorRt { .. }),
            lanes: Mutex::default(),
            session,
        };
        if session.output_dims.is_empty() {
            session.measure()?;
        }
        let build = session.cold.build.unwrap_or_default();
        session.cold.session = start.elapsed().saturating_sub(build);
        Ok(session)
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

    /// Where the nodes run, from the session's own record.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// What opening cost.
    pub fn cold(&self) -> Cold {
        self.cold
    }

    /// What is worth knowing of how it was opened, for people: an engine that was built anew, say.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Buffers for `batch` images, for runs without allocation and timed in phases.
    ///
    /// ```no_run
    /// use deploy::session::Feed;
    /// # use deploy::{Session, SessionOptions};
    ///
    /// let mut session = Session::open("model.onnx".as_ref(), &SessionOptions::default())?;
    /// let images = vec![0.0; 8 * session.image_shape().iter().product::<usize>()];
    /// let mut bound = session.bind(8, Feed::Host)?;
    /// bound.fill(&images)?;
    /// println!("{:?}", bound.run()?.compute);
    /// let scores = bound.outputs()?; // [8, K]
    /// # Ok::<(), deploy::Error>(())
    /// ```
    ///
    /// # Errors
    /// The model or the engine does not take `batch` images at a time; there is no memory.
    pub fn bind(&mut self, batch: usize, feed: Feed) -> Result<Bound<'_>> {
        Bound::new(self, batch, feed)
    }

    /// Buffers bound to this session.
    fn lane(&mut self, batch: usize, feed: Feed) -> Result<Lane> {
        let (smallest, largest) = self.batches;
        if !(smallest..=largest).contains(&batch) {
            return Err(Error::BatchSize {
                path: self.path.clone(),
                smallest,
                largest,
                found: batch,
            });
        }
        // Each recording is of its own buffers: it has a number of its own. TensorRT knows no numbers.
        if self.is_bound_once && self.graph.is_some_and(|(_, next)| next > 1) {
            return Err(Error::Run {
                reason: "a TensorRT session that records is bound once".to_owned(),
            });
        }
        let graph = match &mut self.graph {
            Some((recorded, next)) if *recorded == batch => {
                *next += 1;
                Some(*next - 1)
            }
            _ => None,
        };
        let layout = Layout {
            batch,
            feed,
            input: &self.input,
            element: self.input_type,
            input_dims: [&[batch][..], &self.image_shape].concat(),
            output: &self.output,
            output_element: self.output_type,
            output_dims: [&[batch][..], &self.output_dims].concat(),
            graph,
        };
        Lane::new(&self.session, &self.memory, &layout).map_err(failed)
    }

    /// Runs `batch` prepared images, one after the other in `images`: `[batch, num_outputs]`.
    ///
    /// A model of a fixed batch size, and an engine made for some sizes, get padded or cut batches.
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
        let (smallest, largest) = self.batches;
        if batch == 0 {
            return Ok(Vec::new());
        }
        if (smallest..=largest).contains(&batch) {
            return self.run_exactly(images, batch);
        }
        let mut scores = Vec::with_capacity(batch * self.num_outputs);
        for part in images.chunks(largest.saturating_mul(len)) {
            let count = part.len() / len;
            if count >= smallest {
                scores.extend(self.run_exactly(part, count)?);
            } else {
                let mut padded = part.to_vec();
                padded.resize(smallest * len, 0.0);
                let padded = self.run_exactly(&padded, smallest)?;
                scores.extend(&padded[..count * self.num_outputs]);
            }
        }
        Ok(scores)
    }

    /// Numbers that come out for each image: `K`.
    pub fn num_outputs(&self) -> usize {
        self.num_outputs
    }

    /// Learns the shape of the output by running zeros.
    fn measure(&mut self) -> Result<()> {
        let batch = self.batches.0;
        let zeros = vec![0.0; batch * self.image_len()];
        let (scores, dims) = self.call(&zeros, batch)?;
        self.num_outputs = scores.len() / batch;
        // `[N, K, ...]`; for one image some models leave out `N`.
        let whole = [&[batch][..], dims.get(1..).unwrap_or_default()].concat();
        self.output_dims = if whole == dims {
            dims[1..].to_vec()
        } else {
            vec![self.num_outputs]
        };
        Ok(())
    }

    fn image_len(&self) -> usize {
        self.image_shape.iter().product()
    }

    /// One call of ONNX Runtime: on a GPU over kept buffers, on the CPU over the images where they are.
    fn run_exactly(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>> {
        if matches!(self.memory, Memory::Cpu) {
            return Ok(self.call(images, batch)?.0);
        }
        let lanes = self.lanes();
        let mut lane = match lanes.iter().position(|lane| lane.batch == batch) {
            Some(at) => lanes.remove(at),
            None => self.lane(batch, Feed::Host)?,
        };
        let scores = lane
            .fill(images)
            .and_then(|()| lane.run(&mut self.session))
            .and_then(|_| lane.outputs())
            .map_err(failed)?;
        let lanes = self.lanes();
        if lanes.len() == LANES {
            lanes.remove(0);
        }
        lanes.push(lane);
        Ok(scores)
    }

    fn lanes(&mut self) -> &mut Vec<Lane> {
        self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call without buffers of its own: the scores and the output's dimensions.
    fn call(&mut self, images: &[f32], batch: usize) -> Result<(Vec<f32>, Vec<usize>)> {
        let [a, b, c] = self.image_shape;
        let value = values::input(self.input_type, images, [batch, a, b, c]).map_err(failed)?;
        let inputs: [SessionInputValue<'_>; 1] = [value];
        let outputs = self.session.run_with_options(inputs, &self.plain);
        let outputs = outputs.map_err(failed)?;
        let output = outputs
            .get(self.output.as_str())
            .ok_or_else(|| Error::Run {
                reason: format!("there is no output `{}`", self.output),
            })?;
        let scores = values::floats(output).map_err(failed)?;
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
        let dims = output.shape().iter().map(|dim| *dim as usize).collect();
        Ok((scores, dims))
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

#[cfg(test)]
mod tests;
