//! IO binding: runs of one batch size over fixed buffers, without allocation. On a GPU images go through pinned
//! memory, and copies are timed apart from the computation. Knows no files.

use std::fmt;
use std::time::{Duration, Instant};

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, RunOptions, Session as OrtSession};
use ort::value::{DynTensor, Shape, TensorElementType};

use crate::error::{Error, Result, chain};
use crate::session::{Session, tensor_io};

/// Source of the input of a bound run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Copied from the host to the device in every run, and the scores back.
    Host,
    /// Left on the device by [`Bound::fill`]; the scores stay there until [`Bound::outputs`] copies them.
    Resident,
}

/// Time of a run by phase. On the CPU nothing is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// From pinned memory to the device, until it is there.
    pub to_device: Option<Duration>,
    /// The model, until the device has finished.
    pub compute: Duration,
    /// The scores, back into the host's memory.
    pub from_device: Option<Duration>,
}

impl Phases {
    /// Sum of the phases.
    pub fn total(&self) -> Duration {
        self.to_device.unwrap_or_default() + self.compute + self.from_device.unwrap_or_default()
    }
}

/// A session with buffers for one batch size; see [`Session::bind`].
#[derive(Debug)]
pub struct Bound<'s> {
    session: &'s mut Session,
    buffers: BoundBuffers,
}

impl<'s> Bound<'s> {
    pub(super) fn new(session: &'s mut Session, batch: usize, feed: Feed) -> Result<Self> {
        let buffers = session.new_buffers(batch, feed)?;
        Ok(Self { session, buffers })
    }

    /// Writes prepared images `[batch, C, H, W]` into the input buffer; where the input stays on a device,
    /// also copies them there.
    ///
    /// # Errors
    /// `images` has another length; the copy fails.
    pub fn fill(&mut self, images: &[f32]) -> Result<()> {
        let expected = self.buffers.batch * self.session.image_shape.iter().product::<usize>();
        if images.len() != expected {
            return Err(Error::input_length(
                self.buffers.batch,
                expected,
                images.len(),
            ));
        }
        self.buffers.fill(images).map_err(run_error)
    }

    /// Runs the model once on what the input buffer holds, and waits until it is done.
    ///
    /// # Errors
    /// ONNX Runtime stops.
    pub fn run(&mut self) -> Result<Phases> {
        self.buffers
            .run(&mut self.session.session)
            .map_err(run_error)
    }

    /// The scores of the last run, `[batch, K]`.
    ///
    /// # Errors
    /// They cannot be copied from the device.
    pub fn outputs(&self) -> Result<Vec<f32>> {
        self.buffers.outputs().map_err(run_error)
    }
}

pub(super) fn run_error(e: ort::Error) -> Error {
    Error::run(chain(&e))
}

/// Memory of a session's buffers.
#[derive(Debug, Clone)]
pub(super) enum Memory {
    /// The CPU's memory.
    Cpu,
    /// Images are written to pinned memory, and the device computes on its own. Scores are read from the host's
    /// usual memory: ONNX Runtime does not copy from a device into pinned memory.
    Gpu {
        pinned: MemoryInfo<'static>,
        device: MemoryInfo<'static>,
    },
}

impl Memory {
    /// The memory of an NVIDIA GPU and the pinned one of its host.
    pub(super) fn gpu(device: i32) -> ort::Result<Self> {
        let info = |location, kind| MemoryInfo::new(location, device, AllocatorType::Device, kind);
        Ok(Self::Gpu {
            pinned: info(AllocationDevice::CUDA_PINNED, MemoryType::CPUOutput)?,
            device: info(AllocationDevice::CUDA, MemoryType::Default)?,
        })
    }
}

/// Names, element types and shapes of buffers.
#[derive(Debug)]
pub(super) struct BufferLayout<'a> {
    pub(super) batch: usize,
    pub(super) feed: Feed,
    pub(super) input: &'a str,
    pub(super) element: TensorElementType,
    pub(super) input_dims: Vec<usize>,
    pub(super) output: &'a str,
    pub(super) output_element: TensorElementType,
    pub(super) output_dims: Vec<usize>,
    /// Number of the CUDA graph; `None` records none.
    pub(super) graph: Option<u32>,
}

/// The buffers of one batch size, bound to a session.
pub(super) struct BoundBuffers {
    pub(super) batch: usize,
    feed: Feed,
    input: String,
    element: TensorElementType,
    binding: IoBinding,
    /// Input and output in the host's memory.
    host: [DynTensor; 2],
    /// The same on a GPU.
    device: Option<[DynTensor; 2]>,
    options: RunOptions,
}

impl fmt::Debug for BoundBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundBuffers")
            .field("batch", &self.batch)
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}

// SAFETY: buffers are only used through `&mut`, or read through `&` while no run is under way; ONNX Runtime's
// values belong to no thread, as `ort` says of sessions and bindings, which are `Send`.
#[expect(unsafe_code, reason = "`ort`'s values are not `Send`")]
unsafe impl Send for BoundBuffers {}

impl BoundBuffers {
    pub(super) fn new(
        session: &OrtSession,
        memory: &Memory,
        layout: &BufferLayout<'_>,
    ) -> ort::Result<Self> {
        let pair = |input: &Allocator, output: &Allocator| -> ort::Result<[DynTensor; 2]> {
            Ok([
                DynTensor::new(input, layout.element, shape(&layout.input_dims))?,
                DynTensor::new(output, layout.output_element, shape(&layout.output_dims))?,
            ])
        };
        let host = Allocator::default();
        let (mut host, mut device) = match memory {
            Memory::Cpu => (pair(&host, &host)?, None),
            Memory::Gpu { pinned, device } => {
                let pinned = Allocator::new(session, pinned.clone())?;
                let device = Allocator::new(session, device.clone())?;
                (pair(&pinned, &host)?, Some(pair(&device, &device)?))
            }
        };
        let mut binding = session.create_binding()?;
        // On a GPU the model reads and writes device memory; copies are our own, to be timed.
        let [input, output] = device.as_mut().unwrap_or(&mut host);
        binding.bind_input(layout.input, input)?;
        binding.bind_output(layout.output, output)?;
        let mut options = RunOptions::new()?;
        options.set(GRAPH, graph_id(layout.graph))?;
        Ok(Self {
            batch: layout.batch,
            feed: layout.feed,
            input: layout.input.to_owned(),
            element: layout.element,
            binding,
            host,
            device,
            options,
        })
    }

    pub(super) fn fill(&mut self, images: &[f32]) -> ort::Result<()> {
        let [host, _] = &mut self.host;
        tensor_io::write_images(self.element, images, host)?;
        match (&mut self.device, self.feed) {
            (Some([device, _]), Feed::Resident) => host.copy_into(device),
            (Some(_), Feed::Host) => Ok(()),
            // A plugin whose memory is not ONNX Runtime's own gets a copy, which is made when the input is bound.
            (None, _) => self.binding.bind_input(self.input.as_str(), host),
        }
    }

    /// Copies and runs wait for their own work alone, so that several sessions overlap.
    pub(super) fn run(&mut self, session: &mut OrtSession) -> ort::Result<Phases> {
        let copies = self.feed == Feed::Host && self.device.is_some();
        let mut to_device = None;
        if copies && let Some([device, _]) = &mut self.device {
            let start = Instant::now();
            self.host[0].copy_into(device)?;
            to_device = Some(start.elapsed());
        }
        let start = Instant::now();
        session.run_binding_with_options(&self.binding, &self.options)?;
        let compute = start.elapsed();
        let mut from_device = None;
        if copies && let Some([_, device]) = &self.device {
            let start = Instant::now();
            device.copy_into(&mut self.host[1])?;
            from_device = Some(start.elapsed());
        }
        Ok(Phases {
            to_device,
            compute,
            from_device,
        })
    }

    pub(super) fn outputs(&self) -> ort::Result<Vec<f32>> {
        match (&self.device, self.feed) {
            (Some([_, device]), Feed::Resident) => {
                tensor_io::to_f32(&device.to(AllocationDevice::CPU, 0)?)
            }
            _ => tensor_io::to_f32(&self.host[1]),
        }
    }
}

/// The run option that numbers CUDA graphs.
pub(super) const GRAPH: &str = "gpu_graph_id";

/// `-1` neither records nor replays; 0 is ONNX Runtime's own.
pub(super) fn graph_id(graph: Option<u32>) -> String {
    graph.map_or("-1".to_owned(), |number| number.to_string())
}

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims.iter().map(|dim| *dim as i64))
}
