//! Weights from a checkpoint: tensors by name, as PyTorch (`.pth`) and safetensors keep them. Knows no network.

mod pickle;
mod pytorch;
mod safetensors_file;

use crate::error::{Error, Result};
use onnx::proto::DataType;
use onnx::{Tensor, TensorData};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No checkpoint is larger than an ONNX file can be.
const MAX_BYTES: u64 = onnx::proto::MAX_BYTES;
/// No axis of a weight is longer: products of three fit 64 bits.
const MAX_DIM: usize = 1 << 20;
/// How many names an error lists.
const MAX_LISTED: usize = 4;

/// A tensor in a file, whose values are not read yet.
struct Stored {
    /// Its name in the file, with everything that stands before the network's own names.
    name: String,
    shape: Vec<usize>,
    elem_type: DataType,
    read: Box<dyn Fn() -> io::Result<Vec<u8>>>,
}

/// The tensors of a checkpoint that no layer has taken yet, and what was wrong with those that were asked for.
pub(crate) struct Weights {
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
    /// Bytes that may still be read: a view in a pickle may claim more values than its file has.
    budget: u64,
    missing: Vec<String>,
    misshapen: Vec<String>,
}

impl Weights {
    /// Opens a checkpoint: a dictionary of tensors, as `torch.save(model.state_dict(), FILE)` and safetensors write
    /// it, or one that holds such a dictionary among other things.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut format = "PyTorch checkpoint";
        let mut file = File::open(path).map_err(|error| Error::Invalid {
            message: format!("cannot read `{}`: {error}", path.display()),
            hint: None,
        })?;
        let mut open = || {
            let size = file.metadata()?.len();
            if size > MAX_BYTES {
                return Err(invalid(format!(
                    "it has {size} bytes; the most are {MAX_BYTES}"
                )));
            }
            let mut head = [0; 9];
            let tensors = match file.read_exact(&mut head) {
                Ok(()) if safetensors_file::is_one(&head) => {
                    format = "safetensors file";
                    safetensors_file::read(path)?
                }
                _ => pytorch::read(path)?,
            };
            Ok((size, tensors))
        };
        let (budget, tensors) =
            open().map_err(|error: io::Error| refusal(path, format, &error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            tensors: tensors.into_iter().collect(),
            budget,
            missing: vec![],
            misshapen: vec![],
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The first few names, for an error.
    pub(crate) fn some_names(&self) -> String {
        let names = self.tensors.keys().map(|name| format!("`{name}`"));
        listed(&names.collect::<Vec<_>>())
    }

    /// The shape of a tensor; none where it is missing, or has an axis that no weight has.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        let shape = self.tensors.get(name)?.shape.as_slice();
        let is_sound = shape.iter().all(|dim| (1..=MAX_DIM).contains(dim));
        is_sound.then_some(shape)
    }

    /// The length of one axis of a tensor, as [`Weights::shape`].
    pub(crate) fn dim(&self, name: &str, axis: usize) -> Option<usize> {
        self.shape(name)?.get(axis).copied()
    }

    /// How many of the names that `name` gives for 0, 1 and so on there are, up to the first that is missing.
    pub(crate) fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|index| self.has(&name(*index))).count()
    }

    /// Keeps the tensors of one network, found by the name of one of them, without what stands before their names
    /// (`module.`, `state_dict.`). Of several networks, that with averaged weights is taken. Returns whether there is
    /// one.
    pub(crate) fn select(&mut self, anchor: &str) -> Result<bool> {
        let before = |name: &String| {
            let before = name.strip_suffix(anchor)?;
            (before.is_empty() || before.ends_with('.')).then(|| before.to_owned())
        };
        let prefixes: Vec<String> = self.tensors.keys().filter_map(before).collect();
        // timm's and DINO's names for them.
        let is_averaged = |prefix: &&String| prefix.contains("ema") || prefix.contains("teacher");
        let mut averaged = prefixes.iter().filter(is_averaged);
        let prefix = match (prefixes.as_slice(), averaged.next(), averaged.next()) {
            ([], ..) => return Ok(false),
            ([prefix], ..) | (_, Some(prefix), None) => prefix,
            _ => {
                let prefixes: Vec<String> = prefixes.iter().map(|p| format!("`{p}`")).collect();
                return Err(Error::Invalid {
                    message: format!(
                        "`{}` holds several networks, whose tensors begin with {}",
                        self.path.display(),
                        listed(&prefixes)
                    ),
                    hint: Some(
                        "save the weights of one: `torch.save(model.state_dict(), FILE)`".into(),
                    ),
                });
            }
        };
        let tensors = std::mem::take(&mut self.tensors).into_iter();
        self.tensors = tensors
            .filter_map(|(name, stored)| {
                Some((name.strip_prefix(prefix.as_str())?.to_owned(), stored))
            })
            .collect();
        Ok(true)
    }

    /// Gives every tensor the name that `rename` makes of its own.
    pub(crate) fn rename(&mut self, rename: impl Fn(&str) -> String) {
        let tensors = std::mem::take(&mut self.tensors).into_iter();
        self.tensors = tensors
            .map(|(name, stored)| (rename(&name), stored))
            .collect();
    }

    /// Leaves out tensors that inference does not need.
    pub(crate) fn ignore(&mut self, is_unneeded: impl Fn(&str) -> bool) {
        self.tensors.retain(|name, _| !is_unneeded(name));
    }

    /// Reads the tensor `name` in single precision and removes it from the list; `None` where it is missing or of
    /// another shape, which [`Weights::finish`] reports.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        let Some(stored) = self.tensors.remove(name) else {
            self.missing.push(format!("`{name}`"));
            return Ok(None);
        };
        let Some(size) = float_size(stored.elem_type).filter(|_| stored.shape == shape) else {
            self.misshapen.push(format!(
                "`{}` is {:?} {:?}, not {shape:?}",
                stored.name, stored.elem_type, stored.shape,
            ));
            return Ok(None);
        };
        let refused = |reason: &str| refusal(&self.path, "checkpoint", reason);
        // Before the values are read: a file may claim any shape.
        let count = shape.iter().fold(size, |product: u64, dim| {
            product.saturating_mul(*dim as u64)
        });
        self.budget = self.budget.checked_sub(count).ok_or_else(|| {
            refused(&format!(
                "with `{}`, its tensors claim more values than it has bytes for",
                stored.name
            ))
        })?;
        let bytes = (stored.read)().map_err(|error| refused(&error.to_string()))?;
        let tensor = Tensor::new(shape, decode(stored.elem_type, &bytes))?;
        let values = tensor.as_f32()?.into_owned();
        Ok(Some(Tensor::f32(shape, values)?))
    }

    /// Checks that the checkpoint had exactly the tensors that were asked for; `hint` says what else to do.
    pub(crate) fn finish(self, network: &str, hint: &str) -> Result<()> {
        // Counts of training steps, which inference does not need.
        let extra = self.tensors.into_iter();
        let extra = extra.filter(|(name, _)| !name.ends_with("num_batches_tracked"));
        let extra: Vec<String> = extra
            .map(|(_, stored)| format!("`{}`", stored.name))
            .collect();
        let problems: Vec<String> = [
            ("missing", self.missing),
            ("of another type or shape", self.misshapen),
            ("not part of the network", extra),
        ]
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(problem, names)| format!("{} {problem}: {}", names.len(), listed(names)))
        .collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Invalid {
            message: format!(
                "`{}` does not hold the weights of {network}; tensors\n  {}",
                self.path.display(),
                problems.join("\n  ")
            ),
            hint: Some(hint.to_owned()),
        })
    }
}

/// Bytes of an element, where it is a floating-point number.
fn float_size(elem_type: DataType) -> Option<u64> {
    match elem_type {
        DataType::Double => Some(8),
        DataType::Float => Some(4),
        DataType::Float16 | DataType::Bfloat16 => Some(2),
        _ => None,
    }
}

/// Floating-point numbers of bytes in the order of this machine.
fn decode(elem_type: DataType, bytes: &[u8]) -> TensorData {
    let halves = || bytes.as_chunks().0.iter().copied().map(u16::from_ne_bytes);
    match elem_type {
        DataType::Double => {
            let numbers = bytes.as_chunks().0.iter().copied();
            TensorData::F64(numbers.map(f64::from_ne_bytes).collect())
        }
        DataType::Float16 => TensorData::F16(halves().collect()),
        DataType::Bfloat16 => TensorData::BF16(halves().collect()),
        _ => {
            let numbers = bytes.as_chunks().0.iter().copied();
            TensorData::F32(numbers.map(f32::from_ne_bytes).collect())
        }
    }
}

/// The first few of `names`, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(MAX_LISTED)].join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn refusal(path: &Path, format: &str, reason: &str) -> Error {
    Error::Invalid {
        message: format!(
            "`{}` cannot be read as a {format}: {reason}",
            path.display()
        ),
        hint: Some(
            "give the weights alone, as `torch.save(model.state_dict(), FILE)` writes them".into(),
        ),
    }
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

#[cfg(test)]
mod tests;
