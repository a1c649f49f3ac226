//! Session: the engine that runs a model through ONNX Runtime. Knows no labels and no files of images.

mod bind;
mod io_spec;
mod node_assignment;
mod open;
pub(crate) mod tensor_io;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use onnx::{Detached, Document, ModelFile};
use ort::session::{RunOptions, Session as OrtSession, SessionInputValue};
use ort::value::TensorElementType;

pub use bind::{Bound, Feed, Phases};
use bind::{BoundBuffers, BufferLayout, Memory, run_error};
use io_spec::OutputShape;

pub use crate::options::SessionOptions;

use machine::Provider;

use crate::cancel::CancelToken;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::arithmetic;
use crate::placement::Placement;
use crate::presets;
use crate::runtime;

/// Batch size of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Any number.
    Dynamic,
    /// Exactly so many: smaller batches are padded, larger ones cut.
    Fixed(usize),
}

/// Cold start: what opening a session took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColdStart {
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
    /// As found where the file leaves it open.
    output_shape: OutputShape,
    batch: Batch,
    /// The smallest and the largest number of images of one call.
    batches: (usize, usize),
    /// Whether every image has a call of its own: answers would depend on the others of the call.
    is_one_by_one: bool,
    image_shape: [usize; 3],
    num_outputs: usize,
    placement: Placement,
    cold_start: ColdStart,
    notes: Vec<String>,
    memory: Memory,
    /// Run options of calls without fixed buffers: no launches are recorded.
    unbound_options: RunOptions,
    /// Run options of a call that may be cancelled.
    call_options: Option<Arc<RunOptions>>,
    /// Recording of launches (CUDA graph); `None` records nothing.
    graph: Option<GraphRecording>,
    /// Whether a recording is replayed whatever its number.
    is_bound_once: bool,
    /// Buffers kept for [`Session::run`] on a GPU, the last used at the end. Never locked: the mutex lets
    /// threads share a session's descriptions.
    kept_buffers: Mutex<Vec<BoundBuffers>>,
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

/// The runs whose launches a GPU records and replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GraphRecording {
    /// Images of a run that is recorded; others are not.
    batch: usize,
    /// Number of the next recording.
    next_id: u32,
}

/// Sizes of batches for which buffers are kept: the usual one, and a last one that is smaller.
const KEPT_BUFFERS: usize = 2;

impl Session {
    /// Opens a model. The runtime must have been loaded ([`crate::runtime::load`]).
    ///
    /// # Errors
    /// The runtime refuses the model or the provider, nodes that compute run elsewhere, or the model is not
    /// an image classifier.
    pub fn open(path: &Path, options: &SessionOptions) -> Result<Self> {
        Self::from_file(&ModelFile::open(path)?, options)
    }

    /// As [`Session::open`], of a file that was read.
    pub fn from_file(file: &ModelFile, options: &SessionOptions) -> Result<Self> {
        Self::from_detached(&file.detached()?, options)
    }

    /// A session of ONNX Runtime with other inputs than one of images, and where its nodes run.
    pub(crate) fn open_bare(
        file: &ModelFile,
        options: &SessionOptions,
    ) -> Result<(OrtSession, Placement)> {
        let opened = open::open(&file.detached()?, options, None)?;
        Ok((opened.session, opened.placement))
    }

    /// As [`Session::from_file`], for several sessions of one file: its data is read once.
    pub(crate) fn from_detached(model: &Detached, options: &SessionOptions) -> Result<Self> {
        let (start, path) = (Instant::now(), model.file.path());
        let gpu = open::describe_gpu(options.provider);
        let opened = open::open(model, options, gpu.as_deref())?;
        let session = opened.session;
        let not = |expected: &str, found: String| Error::not_a_classifier(path, expected, &found);
        let (input, input_type, dims) =
            io_spec::image_input(&session).map_err(|(expected, found)| not(expected, found))?;
        let [first, image_dims @ ..] = dims;
        let image_shape = io_spec::image_shape(path, &image_dims, options.image_shape)?;
        // Open dimensions are -1, and some exporters write 0.
        let batch = usize::try_from(first).ok().filter(|n| *n > 0);
        let output = io_spec::pick_output(&session, options.output.as_deref())
            .map_err(|found| not("one output", found))?;
        let output_shape =
            io_spec::output_shape(output, batch).map_err(|f| not("an output [N, K]", f))?;
        // The GPU's memory is reached through CUDA's provider, which plugins do without.
        let number = options.provider.device();
        let memory = match number.filter(|_| options.provider.needs_cuda()) {
            None => Memory::Cpu,
            Some(device) => Memory::gpu(presets::device_id(device)).map_err(run_error)?,
        };
        let recorded = options.batches.first().filter(|_| opened.graph);
        let mut session = Self {
            path: path.to_owned(),
            input,
            input_type,
            output: output.name().to_owned(),
            output_type: io_spec::tensor_type(output).0,
            num_outputs: 0,
            output_shape: OutputShape::default(),
            batch: batch.map_or(Batch::Dynamic, Batch::Fixed),
            batches: batch.map_or(opened.batches, |batch| (batch, batch)),
            is_one_by_one: false,
            image_shape,
            placement: opened.placement,
            cold_start: ColdStart {
                session: Duration::ZERO,
                build: opened.build,
            },
            notes: opened.notes,
            memory,
            unbound_options: unbound_options()?,
            call_options: None,
            // 0 is ONNX Runtime's own number.
            graph: recorded.map(|batch| GraphRecording {
                batch: *batch,
                next_id: 1,
            }),
            // TensorRT's provider replays its one recording, whatever number a run asks for.
            is_bound_once: matches!(options.provider, Provider::TensorRt { .. }),
            kept_buffers: Mutex::default(),
            session,
        };
        session.note_arithmetic(&Document::from_file(&model.file)?);
        match output_shape {
            Some(shape) => session.set_output_shape(shape),
            None => session.infer_output_shape()?,
        }
        let build = session.cold_start.build.unwrap_or_default();
        session.cold_start.session = start.elapsed().saturating_sub(build);
        // A caller that runs single images need not wait for more.
        if options.batches.is_empty() || options.batches.iter().any(|batch| *batch > 1) {
            session.check_open_batch();
        }
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

    /// The batch size of the model.
    pub fn batch(&self) -> Batch {
        self.batch
    }

    /// Shape of one image: `[C, H, W]`, or `[H, W, C]`.
    pub fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    /// Execution providers of the nodes, from the session's own record.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Time that opening took.
    pub fn cold_start(&self) -> ColdStart {
        self.cold_start
    }

    /// Notes for people on how the session was opened, such as that an engine was built anew.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Buffers for `batch` images, for runs without allocation and timed in phases.
    ///
    /// ```no_run
    /// use classifold::session::Feed;
    /// # use classifold::{Session, SessionOptions};
    ///
    /// let mut session = Session::open("model.onnx".as_ref(), &SessionOptions::default())?;
    /// let images = vec![0.0; 8 * session.image_shape().iter().product::<usize>()];
    /// let mut bound = session.bind(8, Feed::Host)?;
    /// bound.fill(&images)?;
    /// println!("{:?}", bound.run()?.compute);
    /// let scores = bound.outputs()?; // [8, K]
    /// # Ok::<(), classifold::Error>(())
    /// ```
    ///
    /// # Errors
    /// The model or the engine does not take `batch` images at a time; there is no memory.
    pub fn bind(&mut self, batch: usize, feed: Feed) -> Result<Bound<'_>> {
        Bound::new(self, batch, feed)
    }

    fn new_buffers(&mut self, batch: usize, feed: Feed) -> Result<BoundBuffers> {
        let (smallest, largest) = self.batches;
        if !(smallest..=largest).contains(&batch) {
            return Err(Error::batch_size(&self.path, self.batches, batch));
        }
        // Each recording is of its own buffers: it has a number of its own. TensorRT knows no numbers.
        if self.is_bound_once && self.graph.is_some_and(|graph| graph.next_id > 1) {
            return Err(Error::run("a TensorRT session that records is bound once"));
        }
        let graph = match &mut self.graph {
            Some(recording) if recording.batch == batch => {
                recording.next_id += 1;
                Some(recording.next_id - 1)
            }
            _ => None,
        };
        let layout = BufferLayout {
            batch,
            feed,
            input: &self.input,
            element: self.input_type,
            input_dims: [&[batch][..], &self.image_shape].concat(),
            output: &self.output,
            output_element: self.output_type,
            output_dims: self.output_shape.of_batch(batch),
            graph,
        };
        BoundBuffers::new(&self.session, &self.memory, &layout).map_err(run_error)
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
            return Err(Error::input_length(batch, batch * len, images.len()));
        }
        let (smallest, largest) = self.batches;
        if batch == 0 {
            return Ok(Vec::new());
        }
        let largest = if self.is_one_by_one { 1 } else { largest };
        if (smallest..=largest).contains(&batch) {
            return self.run_exactly(images, batch);
        }
        let mut scores = Vec::with_capacity(batch * self.num_outputs);
        for part in images.chunks(largest.saturating_mul(len)) {
            let count = part.len() / len;
            if count >= smallest {
                scores.extend(self.run_exactly(part, count)?);
            } else {
                // Copies of the last image fill the batch: other numbers could widen the range of the values.
                // Their scores are cut off below.
                let copies = part[(count - 1) * len..].repeat(smallest - count);
                let padded = [part, &copies].concat();
                let padded = self.run_exactly(&padded, smallest)?;
                scores.extend(&padded[..count * self.num_outputs]);
            }
        }
        Ok(scores)
    }

    /// Numbers per image that the model returns: `K`.
    pub fn num_outputs(&self) -> usize {
        self.num_outputs
    }

    /// Runs zeros to learn the shape of the output, which some exporters leave out.
    fn infer_output_shape(&mut self) -> Result<()> {
        let batch = self.batches.0;
        let zeros = vec![0.0; batch * self.image_len()];
        let (scores, dims) = self.run_unbound(&zeros, batch)?;
        let has_batch = dims.first() == Some(&batch);
        let dims = if has_batch { dims[1..].to_vec() } else { dims };
        if dims.iter().product::<usize>() * batch != scores.len() {
            let found = format!("{} numbers for {batch} images", scores.len());
            return Err(Error::not_a_classifier(
                &self.path,
                "an output [N, K]",
                &found,
            ));
        }
        self.set_output_shape(OutputShape { dims, has_batch });
        Ok(())
    }

    /// Gives every image a run of its own where an operator would mix them, and notes a batch norm that does.
    fn note_arithmetic(&mut self, document: &Document) {
        if let Some(operator) = arithmetic::across_images(document) {
            self.is_one_by_one = true;
            // A fixed batch is filled with copies.
            if self.batch == Batch::Dynamic {
                self.batches = (1, 1);
            }
            self.notes.push(format!(
                "`{operator}` takes its numbers from all images of a run: they are run one at a time"
            ));
        }
        if arithmetic::is_in_training(document) {
            self.notes.push(
                "its batch norm is in training mode: answers depend on the other images and on earlier runs; export \
                 it in evaluation mode"
                    .to_owned(),
            );
        }
        let old = runtime::loaded().filter(|library| !runtime::is_since(library, 29));
        if let (Some(library), Some(node)) = (old, arithmetic::average_beyond_padding(document)) {
            self.notes.push(format!(
                "`{node}`: ONNX Runtime {} averages over more pixels than PyTorch at the edge of images of some sizes \
                 (`ceil_mode` with `count_include_pad`): use 1.29 or newer, or export with opset 19",
                library.version
            ));
        }
    }

    fn set_output_shape(&mut self, shape: OutputShape) {
        if !shape.has_batch && self.batch != Batch::Fixed(1) {
            self.run_one_by_one("its output has no batch axis");
        }
        self.num_outputs = shape.dims.iter().product();
        self.output_shape = shape;
    }

    fn run_one_by_one(&mut self, why: &str) {
        self.batch = Batch::Fixed(1);
        self.batches = (1, 1);
        self.notes.push(format!("images are run one by one: {why}"));
    }

    /// Runs two images where the batch is open: some exporters open the axis of the input, and leave a batch of 1 in
    /// the graph.
    fn check_open_batch(&mut self) {
        // An engine of TensorRT was built for its sizes.
        if self.batches != (1, usize::MAX) {
            return;
        }
        let zeros = vec![0.0; 2 * self.image_len()];
        let Err(error) = self.run_unbound(&zeros, 2) else {
            return;
        };
        // Where one image fails as well, its batch is not why, and the first run says it.
        if self.run_unbound(&zeros[..self.image_len()], 1).is_ok() {
            self.run_one_by_one(&format!(
                "its batch axis is open, but two images fail: {error}"
            ));
        }
    }

    fn image_len(&self) -> usize {
        self.image_shape.iter().product()
    }

    /// One call of ONNX Runtime: on a GPU over kept buffers, on the CPU over the images where they are.
    fn run_exactly(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>> {
        // Kept buffers have run options of their own, which cannot be cancelled.
        if matches!(self.memory, Memory::Cpu) || self.call_options.is_some() {
            return Ok(self.run_unbound(images, batch)?.0);
        }
        let kept = self.kept_buffers();
        let mut buffers = match kept.iter().position(|buffers| buffers.batch == batch) {
            Some(index) => kept.remove(index),
            None => self.new_buffers(batch, Feed::Host)?,
        };
        let scores = buffers
            .fill(images)
            .and_then(|()| buffers.run(&mut self.session))
            .and_then(|_| buffers.outputs())
            .map_err(run_error)?;
        let kept = self.kept_buffers();
        if kept.len() == KEPT_BUFFERS {
            kept.remove(0);
        }
        kept.push(buffers);
        Ok(scores)
    }

    fn kept_buffers(&mut self) -> &mut Vec<BoundBuffers> {
        self.kept_buffers
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One call without buffers of its own: the scores and the output's dimensions.
    fn run_unbound(&mut self, images: &[f32], batch: usize) -> Result<(Vec<f32>, Vec<usize>)> {
        let [a, b, c] = self.image_shape;
        let value =
            tensor_io::to_input(self.input_type, images, [batch, a, b, c]).map_err(run_error)?;
        // By name: the image need not be the first input where others are optional.
        let inputs: Vec<(&str, SessionInputValue<'_>)> = vec![(self.input.as_str(), value)];
        let options = self.call_options.as_deref();
        let options = options.unwrap_or(&self.unbound_options);
        let outputs = self.session.run_with_options(inputs, options);
        let outputs = outputs.map_err(run_error)?;
        let output = outputs
            .get(self.output.as_str())
            .ok_or_else(|| Error::run(format!("there is no output `{}`", self.output)))?;
        let scores = tensor_io::to_f32(output).map_err(run_error)?;
        let per_image = scores.len() / batch.max(1);
        let fits = scores.len() == per_image * batch
            && (self.num_outputs == 0 || per_image == self.num_outputs);
        // A model that ignores the batch, or that gives one score per pixel, is no classifier.
        if !fits || per_image == 0 {
            let expected = format!("{} scores for each of {batch} images", self.num_outputs);
            let found = format!("{} numbers", scores.len());
            return Err(Error::not_a_classifier(&self.path, &expected, &found));
        }
        let dims = output.shape().iter().map(|dim| *dim as usize).collect();
        Ok((scores, dims))
    }
}

/// Run options without buffers of their own: no launches are recorded.
fn unbound_options() -> Result<RunOptions> {
    let mut options = RunOptions::new().map_err(run_error)?;
    options
        .set(bind::GRAPH, bind::graph_id(None))
        .map_err(run_error)?;
    Ok(options)
}

impl Engine for Session {
    fn run(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>> {
        Session::run(self, images, batch)
    }

    fn run_cancellable(
        &mut self,
        images: &[f32],
        batch: usize,
        token: &CancelToken,
    ) -> Result<Vec<f32>> {
        let options = Arc::new(unbound_options()?);
        let terminated = Arc::clone(&options);
        let terminate = move || {
            // It fails for options that are not there, and these are.
            let _ = terminated.terminate();
        };
        let registration = token.on_cancel(terminate);
        self.call_options = Some(options);
        let outputs = Session::run(self, images, batch);
        self.call_options = None;
        drop(registration);
        match token.is_cancelled() {
            true => Err(Error::cancelled()),
            false => outputs,
        }
    }

    fn num_outputs(&self) -> usize {
        self.num_outputs
    }
}

#[cfg(test)]
mod tests;
