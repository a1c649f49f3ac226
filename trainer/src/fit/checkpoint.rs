//! A run's whole state in one safetensors file; knows neither loader nor loop.
//!
//! The tensors are the network's, by their own names, so that `safetensors.torch.load_file` gives
//! a state dict; the optimiser's state is the tensor `optimizer.burnpack` (bytes in Burn's own
//! format); everything else is JSON in the header's metadata, under `state`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, DType, Tensor, TensorData};
use fs_err as fs;
use models::Network;
use serde::{Deserialize, Serialize};

use super::epoch::Progress;
use super::rows::EpochRow;
use super::safetensors::{self, Dtype, Entry};
use super::schedule::Scheduler;
use super::stopping::Stopping;
use crate::error::{Error, Result};
use crate::recipe::OptimizerKind;

const OPTIMIZER: &str = "optimizer.burnpack";
const FORMAT: &str = "onnx-classifier checkpoint 1";

/// Everything of a run but its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The network's name.
    pub network: String,
    /// Class names in output order.
    pub classes: Vec<String>,
    /// The epoch in progress, counted from 1.
    pub epoch: usize,
    /// How far that epoch's training has come.
    pub train: Progress,
    /// Training steps of an epoch.
    pub steps_per_epoch: usize,
    /// The optimiser.
    pub optimizer: OptimizerKind,
    /// The learning rates.
    pub scheduler: Scheduler,
    /// The best epoch so far.
    pub stopping: Stopping,
    /// The epochs that are done.
    pub rows: Vec<EpochRow>,
    /// The ids by which the optimiser knows the trainable parameters, in module order.
    pub parameter_ids: Vec<u64>,
}

/// A run's state: network, optimiser, and all else.
#[derive(Clone)]
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, TensorData>,
    optimizer: Vec<u8>,
    state: State,
}

impl Checkpoint {
    /// Takes the state of a network in training.
    pub(crate) fn take(
        network: &Network,
        optimizer: &ModuleOptimizer,
        state: &State,
    ) -> Result<Self> {
        let bytes = optimizer.into_bytes().map_err(|error| Error::Burn {
            what: "the optimiser's state cannot be saved",
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: PathBuf::new(),
            // NB: `valid` brings the running statistics up to date first.
            tensors: network.valid().state().into_iter().collect(),
            optimizer: bytes.to_vec(),
            state: State {
                parameter_ids: parameter_ids(network),
                ..state.clone()
            },
        })
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] names the file when it is truncated or is no checkpoint.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)?;
        Self::parse(path, &bytes).map_err(|reason| Error::Checkpoint {
            path: path.to_path_buf(),
            reason,
        })
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, String> {
        let (entries, metadata) = safetensors::read(bytes)?;
        if metadata.get("format").map(String::as_str) != Some(FORMAT) {
            return Err(format!("its `format` is not `{FORMAT}`"));
        }
        let state = metadata.get("state").ok_or("it has no `state`")?;
        let state: State = serde_json::from_str(state).map_err(|e| format!("its `state`: {e}"))?;
        if state.epoch == 0 {
            return Err("its `state` is in epoch 0".into());
        }
        let mut tensors = BTreeMap::new();
        let mut optimizer = None;
        for entry in entries {
            match (entry.dtype, entry.name.as_str()) {
                (Dtype::U8, OPTIMIZER) => optimizer = Some(entry.bytes.to_vec()),
                (Dtype::F32, _) => {
                    let data = tensor(&entry);
                    tensors.insert(entry.name, data);
                }
                (_, name) => return Err(format!("`{name}` is not a known tensor")),
            }
        }
        let optimizer = optimizer.ok_or_else(|| format!("it has no `{OPTIMIZER}`"))?;
        Ok(Self {
            path: path.to_path_buf(),
            tensors,
            optimizer,
            state,
        })
    }

    /// Writes the checkpoint to all of `paths`, in this order and each in one step, so that a kill
    /// leaves each either as it was or whole. They share their bytes on disk where it can link.
    pub(crate) fn save(&mut self, paths: &[PathBuf]) -> Result<()> {
        let Some((first, others)) = paths.split_first() else {
            return Ok(());
        };
        let bytes = self.to_bytes()?;
        data::write::atomically(first, &bytes)?;
        for path in others {
            if link(first, path).is_err() {
                data::write::atomically(path, &bytes)?;
            }
        }
        self.path.clone_from(first);
        Ok(())
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut entries = Vec::with_capacity(self.tensors.len() + 1);
        for (name, data) in &self.tensors {
            if data.dtype() != DType::F32 {
                return Err(Error::Burn {
                    what: "the checkpoint cannot be made",
                    reason: format!("`{name}` is {:?}, not 32-bit float", data.dtype()),
                });
            }
            let (name, shape) = (name.clone(), data.shape().to_vec());
            entries.push(Entry {
                name,
                dtype: Dtype::F32,
                shape,
                bytes: data.as_bytes(),
            });
        }
        entries.push(Entry {
            name: OPTIMIZER.into(),
            dtype: Dtype::U8,
            shape: vec![self.optimizer.len()],
            bytes: &self.optimizer,
        });
        let state = serde_json::to_string(&self.state)?;
        let metadata = BTreeMap::from([("format", FORMAT.to_string()), ("state", state)]);
        Ok(safetensors::write(&entries, &metadata)?)
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network's tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorData> {
        &self.tensors
    }

    /// Class names in output order.
    pub fn classes(&self) -> &[String] {
        &self.state.classes
    }

    /// Everything but the tensors.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last epoch that is done, counted from 1; 0 before the first.
    pub fn epochs_done(&self) -> usize {
        self.state.epoch - 1
    }

    /// The network with this checkpoint's weights and running statistics.
    ///
    /// # Errors
    /// When the network has other tensors.
    pub fn network(&self, network: Network) -> Result<Network> {
        Ok(network.load_state(&self.tensors)?)
    }

    /// The optimiser with this checkpoint's state, for `network`.
    pub(crate) fn optimizer(
        &self,
        network: &Network,
        optimizer: ModuleOptimizer,
    ) -> Result<ModuleOptimizer> {
        let failed = |reason: String| Error::Checkpoint {
            path: self.path.clone(),
            reason,
        };
        // Burn leaves out, without a word, what belongs to a parameter it does not know.
        if parameter_ids(network) != self.state.parameter_ids {
            return Err(failed("other parameters are trained now than then".into()));
        }
        optimizer
            .from_bytes(Bytes::from_bytes_vec(self.optimizer.clone()))
            .map_err(|error| failed(format!("its optimiser state: {error}")))
    }
}

fn tensor(entry: &Entry<'_>) -> TensorData {
    let (words, _) = entry.bytes.as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    TensorData::new(values, entry.shape.clone())
}

/// Puts a second name to a file, in place of any file of that name, in one step.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = to.with_file_name(name);
    fs::hard_link(from, &temporary)?;
    fs::rename(&temporary, to).inspect_err(|_| {
        fs::remove_file(&temporary).unwrap_or_default();
    })?;
    // `rename` does nothing, and leaves both, where the two names are one file already.
    fs::remove_file(&temporary).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn parameter_ids(network: &Network) -> Vec<u64> {
    struct Ids(Vec<u64>);
    impl ModuleVisitor for Ids {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.0.push(param.id.val());
            }
        }
    }
    let mut ids = Ids(vec![]);
    network.visit(&mut ids);
    ids.0
}
