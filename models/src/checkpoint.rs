//! Weights from a PyTorch checkpoint (`.pth`): tensors by name. Knows no network.
//!
//! The crate `pytorch-reader` reads the file; its pickle machine calls nothing. What the crate leaves unbounded is
//! refused here before it sees the file: pickles of many opcodes, compressed archives, tar archives.

mod pickle;

use crate::error::{Error, Result};
use onnx::Tensor;
use pytorch_reader::{DType, PytorchReader};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use zip::{CompressionMethod, ZipArchive};

/// No checkpoint is larger: some ten times the largest network that is converted.
const MAX_BYTES: u64 = 256 << 20;
/// How many names an error lists.
const MAX_LISTED: usize = 4;

/// The tensors of a checkpoint that no layer has taken yet, and what was wrong with those that were asked for.
pub(crate) struct Weights {
    path: PathBuf,
    tensors: BTreeMap<String, pytorch_reader::Tensor>,
    missing: Vec<String>,
    misshapen: Vec<String>,
}

impl Weights {
    /// Opens a checkpoint: a dictionary of tensors, as `torch.save(model.state_dict(), FILE)` writes it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let refused = |reason: String| refusal(path, &reason);
        check_container(path).map_err(|error| refused(error.to_string()))?;
        let reader = PytorchReader::new(path).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            tensors: reader.into_tensors().into_iter().collect(),
            missing: vec![],
            misshapen: vec![],
        })
    }

    /// Reads the tensor `name` and removes it from the list; `None` where it is missing or of another shape, which
    /// [`Weights::finish`] reports.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        let Some(tensor) = self.tensors.remove(name) else {
            self.missing.push(format!("`{name}`"));
            return Ok(None);
        };
        // Before the values are read: a file may claim any shape.
        if tensor.shape() != shape || tensor.dtype() != DType::F32 {
            self.misshapen.push(format!(
                "`{name}` is {:?} {:?}, not F32 {shape:?}",
                tensor.dtype(),
                tensor.shape(),
            ));
            return Ok(None);
        }
        let bytes = tensor
            .read()
            .map_err(|error| refusal(&self.path, &error.to_string()))?;
        let values = bytes.as_chunks().0.iter().copied().map(f32::from_ne_bytes);
        Ok(Some(Tensor::f32(shape, values.collect())?))
    }

    /// Checks that the checkpoint had exactly the tensors that were asked for.
    pub(crate) fn finish(self, network: &str) -> Result<()> {
        let extra = self.tensors.into_keys();
        // Counts of training steps, which inference does not need.
        let extra = extra.filter(|name| !name.ends_with(".num_batches_tracked"));
        let extra: Vec<String> = extra.map(|name| format!("`{name}`")).collect();
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
            hint: Some(format!(
                "give a checkpoint of {network} for ImageNet-1k, with the names of `EfficientNet-PyTorch`"
            )),
        })
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

fn refusal(path: &Path, reason: &str) -> Error {
    Error::Invalid {
        message: format!(
            "`{}` cannot be read as a PyTorch checkpoint: {reason}",
            path.display()
        ),
        hint: Some(
            "give the weights alone, as `torch.save(model.state_dict(), FILE)` writes them".into(),
        ),
    }
}

/// Refuses what could cost more memory or time than its size suggests, or asks for code.
fn check_container(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > MAX_BYTES {
        return Err(invalid(format!(
            "it has {size} bytes; the most are {MAX_BYTES}"
        )));
    }
    let mut header = vec![];
    (&mut file)
        .take(TAR_MAGIC_AT + 5)
        .read_to_end(&mut header)?;
    file.rewind()?;
    if header.starts_with(b"PK") {
        return check_zip(file);
    }
    // A sparse entry of a few bytes may claim any number of zeros.
    if header.get(TAR_MAGIC_AT as usize..) == Some(b"ustar") {
        return Err(invalid("it is a tar archive of PyTorch before 0.1.10"));
    }
    let mut reader = BufReader::new(file);
    for _ in 0..LEGACY_PICKLES {
        pickle::check(&mut reader)?;
        // A pickle alone, without tensors.
        if reader.fill_buf()?.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Where a tar archive has its magic number.
const TAR_MAGIC_AT: u64 = 257;

/// Pickles before the values of PyTorch's format up to 1.5: magic number, version, system, dictionary, storage keys.
const LEGACY_PICKLES: usize = 5;

/// Checks an archive of PyTorch 1.6 and later: `data.pkl`, and an entry for the values of each tensor.
fn check_zip(file: File) -> io::Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(file))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        // `torch.save` compresses nothing, so that no entry unpacks to more than the file has.
        if entry.compression() != CompressionMethod::Stored {
            return Err(invalid(format!("its entry `{name}` is compressed")));
        }
        if name.ends_with("constants.pkl") {
            return Err(invalid("it is a TorchScript archive, a program"));
        }
        if name.ends_with("data.pkl") {
            let mut reader = BufReader::new(entry.by_ref().take(MAX_BYTES));
            pickle::check(&mut reader)?;
        }
    }
    Ok(())
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

#[cfg(test)]
mod tests;
