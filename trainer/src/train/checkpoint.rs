//! Checkpoint: a training's whole state in one safetensors file. It knows neither loader nor loop.
//!
//! The tensors are the network's, by their own names, so that `safetensors.torch.load_file` returns a state
//! dict. Of a frozen network they are those of its classification layer alone: the rest is in the
//! backbone's file, whose SHA-256 the state holds. Averaged weights stand beside them, under `average/`. The optimiser's state is the tensor
//! `optimizer.burnpack` (bytes in Burn's own format); everything else is JSON in the header's metadata,
//! under `state`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, DType, Tensor, TensorData};
use fs_err as fs;
use models::Network;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::state::{FORMAT, State};
use crate::error::{Error, Result};

const OPTIMIZER: &str = "optimizer.burnpack";
const STATE: &str = "state";
/// Before the names of averaged tensors.
const AVERAGE: &str = "average/";

/// Checkpoint: network, optimiser and everything else of a training.
#[derive(Clone)]
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, TensorData>,
    optimizer: Vec<u8>,
    state: State,
}

impl Checkpoint {
    /// Takes the state of a network in training, with the average of its weights.
    pub(crate) fn capture(
        network: &Network,
        average: Option<&Network>,
        optimizer: &ModuleOptimizer,
        state: &State,
    ) -> Result<Self> {
        let bytes = optimizer.into_bytes().map_err(|error| {
            Error::refused(format!("the optimiser's state cannot be saved: {error}"))
        })?;
        // NB: `valid` brings the running statistics up to date first.
        let mut tensors: BTreeMap<_, _> = network.valid().state().into_iter().collect();
        if let Some(average) = average {
            let averaged = average.state().into_iter();
            tensors.extend(averaged.map(|(name, data)| (format!("{AVERAGE}{name}"), data)));
        }
        Ok(Self {
            path: PathBuf::new(),
            tensors,
            optimizer: bytes.to_vec(),
            state: State {
                parameter_ids: parameter_ids(network),
                has_average: average.is_some(),
                ..state.clone()
            },
        })
    }

    /// Reads a checkpoint where there is one.
    pub fn open_if_any(path: &Path) -> Result<Option<Self>> {
        path.is_file().then(|| Self::open(path)).transpose()
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
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let header = SafeTensors::read_metadata(bytes)
            .map_err(|error| error.to_string())?
            .1;
        let state = header
            .metadata()
            .as_ref()
            .and_then(|pairs| pairs.get(STATE));
        let state = state.ok_or(format!("it has no `{STATE}`"))?;
        let state: State = serde_json::from_str(state).map_err(|e| format!("its `state`: {e}"))?;
        if !(1..=FORMAT).contains(&state.format) || state.epoch == 0 {
            let (format, epoch) = (state.format, state.epoch);
            return Err(format!(
                "its `state` is of format {format}, in epoch {epoch}"
            ));
        }
        let mut tensors = BTreeMap::new();
        let mut optimizer = None;
        for (name, view) in file.iter() {
            match (view.dtype(), name) {
                (Dtype::U8, OPTIMIZER) => optimizer = Some(view.data().to_vec()),
                (Dtype::F32, _) => {
                    tensors.insert(name.to_owned(), tensor(&view));
                }
                _ => return Err(format!("`{name}` is not a known tensor")),
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
        let failed =
            |reason: String| Error::refused(format!("the checkpoint cannot be written: {reason}"));
        let mut views = Vec::with_capacity(self.tensors.len() + 1);
        for (name, data) in &self.tensors {
            if data.dtype() != DType::F32 {
                return Err(failed(format!(
                    "`{name}` is {:?}, not 32-bit float",
                    data.dtype()
                )));
            }
            let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
            views.push((
                name.as_str(),
                view.map_err(|error| failed(error.to_string()))?,
            ));
        }
        let view = TensorView::new(Dtype::U8, vec![self.optimizer.len()], &self.optimizer);
        views.push((OPTIMIZER, view.map_err(|error| failed(error.to_string()))?));
        let state = HashMap::from([(STATE.to_owned(), serde_json::to_string(&self.state)?)]);
        safetensors::serialize(views, Some(state)).map_err(|error| failed(error.to_string()))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors of the last step's network by name; of a frozen network, those of its classification layer.
    pub fn tensors(&self) -> BTreeMap<String, TensorData> {
        self.tensors_of(false)
    }

    /// The averaged tensors, or those of the last step, without the prefix of the former.
    fn tensors_of(&self, average: bool) -> BTreeMap<String, TensorData> {
        if !self.state.has_average {
            return self.tensors.clone();
        }
        let tensors = self.tensors.iter().filter_map(|(name, data)| {
            let own = match (name.strip_prefix(AVERAGE), average) {
                (Some(own), true) => own,
                (None, false) => name,
                _ => return None,
            };
            Some((own.to_owned(), data.clone()))
        });
        tensors.collect()
    }

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

    /// The network that this checkpoint is the result of: with the averaged weights, where there are such.
    ///
    /// # Errors
    /// When the network has other tensors, or another frozen backbone.
    pub fn network(&self, network: Network) -> Result<Network> {
        self.check_backbone(&network)?;
        Ok(network.load_state(&self.tensors_of(self.state.has_average))?)
    }

    /// The network as training continues with it: with the weights of the last step.
    pub(crate) fn network_in_training(&self, network: Network) -> Result<Network> {
        self.check_backbone(&network)?;
        Ok(network.load_state(&self.tensors_of(false))?)
    }

    /// Refuses a network of another backbone than the one that this checkpoint leaves out.
    pub fn check_backbone(&self, network: &Network) -> Result<()> {
        let found = network.backbone_sha256().unwrap_or("none");
        match &self.state.backbone {
            Some(backbone) if backbone != found => Err(Error::refused_with_hint(
                format!(
                    "`{}` belongs to another backbone\n  expected: SHA-256 {backbone}\n  found:    SHA-256 {found}",
                    self.path.display()
                ),
                "restore the backbone's file; `backbone` in the run's `config.toml` names it",
            )),
            _ => Ok(()),
        }
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

fn tensor(view: &TensorView<'_>) -> TensorData {
    let (words, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    TensorData::new(values, view.shape().to_vec())
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
