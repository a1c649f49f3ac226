//! Everything that can be wrong between a file and a prediction.

use std::io;
use std::path::{Path, PathBuf};

use crate::missing::Lack;
use crate::wheels::{GPU_PREFIX, VERSION};

/// What went wrong, with the data to say so.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No ONNX Runtime library was found.
    #[error("no ONNX Runtime library was found{}", looked_at(searched))]
    NoRuntime {
        /// The folders that were looked at.
        searched: Vec<PathBuf>,
    },
    /// The library that was named cannot be read.
    #[error("the ONNX Runtime library `{}` cannot be read", path.display())]
    RuntimeMissing {
        /// The library.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no ONNX Runtime that this build can use.
    #[error(
        "`{}` is not a usable ONNX Runtime library\n  expected: {expected}\n  found:    {found}",
        path.display()
    )]
    RuntimeUnfit {
        /// The library.
        path: PathBuf,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The system's loader refuses the library.
    #[error("the ONNX Runtime library `{}` does not load: {reason}", path.display())]
    RuntimeLoad {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// One process holds one ONNX Runtime.
    #[error(
        "this process uses `{}` already and cannot load `{}` as well",
        loaded.display(),
        asked.display()
    )]
    RuntimeDiffers {
        /// The library in use.
        loaded: PathBuf,
        /// The other one.
        asked: PathBuf,
    },
    /// The installation stopped.
    #[error("cannot {what}: {reason}")]
    Install {
        /// The step.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// Nothing can be written into the cache folder.
    #[error("cannot {what}: {reason}")]
    CacheReadOnly {
        /// The step.
        what: String,
        /// What the system says.
        reason: String,
    },
    /// ONNX Runtime with CUDA, or TensorRT, cannot be installed.
    #[error("cannot {what}: {reason}")]
    GpuInstall {
        /// The step.
        what: String,
        /// Why it failed.
        reason: String,
        /// What to do about it.
        fix: String,
    },
    /// A download or an installed file is not the pinned one.
    #[error(
        "`{}` is not the pinned file\n  expected: SHA-256 {expected}\n  found:    SHA-256 {found}",
        path.display()
    )]
    HashDiffers {
        /// The file, or the address it came from.
        path: PathBuf,
        /// The pinned hash.
        expected: String,
        /// The file's hash.
        found: String,
    },
    /// The text names no provider.
    #[error("`{text}` is no provider\n  expected: cpu, cuda, cuda:N, tensorrt or tensorrt:N")]
    ProviderName {
        /// The text given.
        text: String,
    },
    /// Nothing is converted for this precision.
    #[error("no file is converted to `{precision}`\n  expected: fp16 or int8")]
    NotConverted {
        /// The precision asked for.
        precision: &'static str,
    },
    /// 8-bit integers need images to calibrate on.
    #[error("`int8` needs training images to measure the ranges of values on")]
    NoCalibration,
    /// The library was built without this provider.
    #[error(
        "provider `{provider}` cannot start: `{}` was built without it\n  \
         expected: {expected}\n  found:    {found}",
        library.display()
    )]
    ProviderMissing {
        /// The provider asked for.
        provider: String,
        /// The library in use.
        library: PathBuf,
        /// ONNX Runtime's name of it.
        expected: &'static str,
        /// The providers that the library has.
        found: String,
    },
    /// The provider is there and does not start.
    #[error("provider `{provider}` cannot start: {reason}")]
    ProviderFailed {
        /// The provider asked for.
        provider: String,
        /// What ONNX Runtime says.
        reason: String,
    },
    /// Nodes that compute run elsewhere than where they were asked to.
    #[error("not all of the model runs on `{provider}`\n  elsewhere: {}", nodes.join("\n             "))]
    NodesElsewhere {
        /// The provider asked for.
        provider: String,
        /// A line for each other provider, with its nodes.
        nodes: Vec<String>,
    },
    /// The runtime does not say where nodes run.
    #[error("this ONNX Runtime does not say whether the model runs on `{provider}`")]
    PlacementUnknown {
        /// The provider asked for.
        provider: String,
    },
    /// The text names no precision.
    #[error("`{text}` is no precision\n  expected: fp32, tf32, fp16 or int8")]
    PrecisionName {
        /// The text given.
        text: String,
    },
    /// The provider cannot compute so.
    #[error("provider `{provider}` does not compute in {precision}")]
    PrecisionUnsupported {
        /// The precision asked for.
        precision: &'static str,
        /// The provider asked for.
        provider: String,
    },
    /// The file is of another precision than was asked for, and no provider changes that.
    #[error(
        "`{}` cannot be run in {expected} as it is\n  expected: a file of {expected}\n  found:    {found}",
        path.display()
    )]
    PrecisionDiffers {
        /// The model.
        path: PathBuf,
        /// The precision asked for.
        expected: &'static str,
        /// The file's.
        found: &'static str,
    },
    /// What the provider needs of the machine is not there.
    #[error("provider `{provider}` cannot start: {lack}")]
    ProviderNotReady {
        /// The provider asked for.
        provider: String,
        /// The first thing that is missing.
        lack: Box<Lack>,
    },
    /// The file cannot be read as ONNX.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    /// An image, a folder, a card or a preprocessing text is wrong.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// ONNX Runtime does not open the model.
    #[error("ONNX Runtime does not open `{}`: {reason}", path.display())]
    ModelLoad {
        /// The model.
        path: PathBuf,
        /// What ONNX Runtime says.
        reason: String,
    },
    /// The model is newer than the runtime.
    #[error(
        "`{}` is newer than ONNX Runtime {version}\n  expected: {expected}\n  found:    {found}",
        path.display()
    )]
    ModelNewer {
        /// The model.
        path: PathBuf,
        /// The runtime in use.
        version: String,
        /// What the runtime knows.
        expected: String,
        /// What the file needs.
        found: String,
    },
    /// The model does something else than classify images.
    #[error(
        "`{}` is not an image classifier\n  expected: {expected}\n  found:    {found}",
        path.display()
    )]
    NotAClassifier {
        /// The model.
        path: PathBuf,
        /// What a classifier has.
        expected: String,
        /// What this file has.
        found: String,
    },
    /// The file carries no card, and what it would say was not given.
    #[error("`{}` does not say {what}: it carries no model card", path.display())]
    NoCard {
        /// The model.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The class names do not fit the output.
    #[error(
        "the class names do not fit `{}`\n  expected: {expected} names\n  found:    {found}",
        path.display()
    )]
    ClassCount {
        /// The model.
        path: PathBuf,
        /// Outputs of the model.
        expected: usize,
        /// Names given.
        found: usize,
    },
    /// The preprocessing makes another shape than the model takes.
    #[error(
        "the preprocessing does not fit `{}`\n  expected: {expected}\n  found:    {found}",
        path.display()
    )]
    ShapeDiffers {
        /// The model.
        path: PathBuf,
        /// The model's input.
        expected: String,
        /// What the preprocessing makes.
        found: String,
    },
    /// The data has classes that the model does not know.
    #[error(
        "`{}` knows {} classes but the data has {}\n  expected: {}\n  found:    {}",
        path.display(),
        expected.len(),
        found.len(),
        names(expected),
        names(found)
    )]
    ClassesDiffer {
        /// The model.
        path: PathBuf,
        /// Its classes.
        expected: Vec<String>,
        /// The classes of the data.
        found: Vec<String>,
    },
    /// Prepared numbers of the wrong length.
    #[error("{batch} images of this model are {expected} numbers, {found} given")]
    InputLength {
        /// Images in the batch.
        batch: usize,
        /// Numbers that they are.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// The model, or the engine built from it, does not take so many images at a time.
    #[error(
        "`{}` does not take {found} images at a time\n  expected: {}",
        path.display(),
        sizes(*smallest, *largest)
    )]
    BatchSize {
        /// The model.
        path: PathBuf,
        /// The smallest number that it takes.
        smallest: usize,
        /// The largest.
        largest: usize,
        /// The number asked for.
        found: usize,
    },
    /// ONNX Runtime stopped while running the model.
    #[error("the model stopped: {reason}")]
    Run {
        /// What ONNX Runtime says.
        reason: String,
    },
    /// There is nothing to evaluate.
    #[error("there are no images to evaluate")]
    NoImages,
    /// An image cannot be read, and that was to be an error.
    #[error("`{}` cannot be read: {reason}", path.display())]
    Unreadable {
        /// The image.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file carries no golden samples.
    #[error("`{}` carries no golden samples to check", path.display())]
    NoGolden {
        /// The model.
        path: PathBuf,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of error it is, for programs.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The ONNX Runtime library or a provider of it.
    Runtime,
    /// The model file.
    Model,
    /// The images or their folder.
    Data,
    /// What the caller asked for.
    Usage,
}

impl From<data::files::Error> for Error {
    fn from(error: data::files::Error) -> Self {
        Self::Data(error.into())
    }
}

impl From<data::pixels::Error> for Error {
    fn from(error: data::pixels::Error) -> Self {
        Self::Data(error.into())
    }
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoRuntime { .. }
            | Self::RuntimeMissing { .. }
            | Self::RuntimeUnfit { .. }
            | Self::RuntimeLoad { .. }
            | Self::RuntimeDiffers { .. }
            | Self::Install { .. }
            | Self::CacheReadOnly { .. }
            | Self::GpuInstall { .. }
            | Self::ProviderNotReady { .. }
            | Self::HashDiffers { .. }
            | Self::ProviderMissing { .. }
            | Self::ProviderFailed { .. }
            | Self::NodesElsewhere { .. }
            | Self::PlacementUnknown { .. } => Kind::Runtime,
            Self::Onnx(_)
            | Self::ModelLoad { .. }
            | Self::ModelNewer { .. }
            | Self::NotAClassifier { .. }
            | Self::NoCard { .. }
            | Self::Run { .. }
            | Self::NoGolden { .. } => Kind::Model,
            Self::Data(_) | Self::NoImages | Self::Unreadable { .. } => Kind::Data,
            Self::ProviderName { .. }
            | Self::PrecisionName { .. }
            | Self::PrecisionUnsupported { .. }
            | Self::PrecisionDiffers { .. }
            | Self::BatchSize { .. }
            | Self::NotConverted { .. }
            | Self::NoCalibration
            | Self::ClassCount { .. }
            | Self::ShapeDiffers { .. }
            | Self::ClassesDiffer { .. }
            | Self::InputLength { .. } => Kind::Usage,
        }
    }

    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRuntime { .. } => {
                "run `deploy runtime install`, or give the library with `--runtime FILE`"
            }
            Self::RuntimeMissing { .. } => {
                "check the path given by `--runtime` or `ORT_DYLIB_PATH`"
            }
            Self::RuntimeUnfit { path, .. } if is_gpu(path) => "run `deploy runtime install cuda`",
            Self::RuntimeUnfit { .. } | Self::RuntimeLoad { .. } => {
                "run `deploy runtime install` and leave out `--runtime` and `ORT_DYLIB_PATH`"
            }
            Self::Install { .. } => {
                return Some(format!(
                    "fetch the wheel on a machine with a network (`pip download --no-deps \
                     onnxruntime=={VERSION}`), then run `deploy runtime install --from FILE`"
                ));
            }
            Self::CacheReadOnly { .. } => {
                "choose a folder that can be written to with `--cache DIR`"
            }
            Self::GpuInstall { fix, .. } => fix,
            Self::ProviderNotReady { lack, .. } => &lack.fix,
            Self::HashDiffers { .. } => "download the file again, from its official address",
            Self::ProviderMissing { .. } => {
                "run `deploy runtime install cuda`, or use `--provider cpu`"
            }
            Self::NodesElsewhere { .. } => {
                "to accept that, add `--allow-fallback`; `--verbose` shows why ONNX Runtime did so"
            }
            Self::PlacementUnknown { .. } => {
                return Some(format!(
                    "use ONNX Runtime {VERSION}, or accept any placement with `--allow-fallback`"
                ));
            }
            Self::PrecisionUnsupported { .. } => {
                "use `--precision fp32`, or a GPU with `--provider cuda`"
            }
            Self::PrecisionDiffers { expected, .. } => {
                return Some(format!(
                    "convert it with `deploy convert --precision {expected}`"
                ));
            }
            Self::ModelNewer { .. } => {
                "export it with an older opset, or give a newer library with `--runtime FILE`"
            }
            Self::ProviderFailed { .. } => "run `deploy doctor`, or use `--provider cpu`",
            Self::NoCalibration => "give the folder of the images with `--data DIR`",
            Self::Onnx(error) => return error.hint(),
            Self::Data(error) => return error.hint(),
            Self::NotAClassifier { .. } => {
                "only classifiers with one image input and one output of class scores are run"
            }
            Self::NoCard { .. } => {
                "give `--classes FILE` and `--preprocess TEXT`, or write them into the file with \
                 `deploy card attach`"
            }
            Self::ClassCount { .. } => "give one class name per line, in the order of the outputs",
            Self::ShapeDiffers { .. } => "give the steps that this model needs with `--preprocess`",
            Self::ClassesDiffer {
                expected, found, ..
            } => return Some(unknown(expected, found)),
            Self::Unreadable { .. } => {
                "repair or remove the files; HEIC and AVIF must be converted to JPEG first"
            }
            Self::NoGolden { .. } => "write them into the file with `deploy card attach`",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Whether a library lies in the folder of a GPU runtime that was installed.
fn is_gpu(library: &Path) -> bool {
    library
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|name| name.to_string_lossy().starts_with(GPU_PREFIX))
}

fn unknown(expected: &[String], found: &[String]) -> String {
    let unknown: Vec<String> = found
        .iter()
        .filter(|name| !expected.contains(name))
        .cloned()
        .collect();
    format!(
        "remove {} from the data or use a model that was trained with {}",
        names(&unknown),
        if unknown.len() == 1 { "it" } else { "them" }
    )
}

/// Numbers of images as text.
fn sizes(smallest: usize, largest: usize) -> String {
    match (smallest, largest) {
        (n, m) if n == m => n.to_string(),
        (n, usize::MAX) => format!("{n} or more"),
        (n, m) => format!("{n} to {m}"),
    }
}

fn looked_at(searched: &[PathBuf]) -> String {
    if searched.is_empty() {
        return String::new();
    }
    let folders: Vec<String> = searched
        .iter()
        .map(|p| format!("`{}`", p.display()))
        .collect();
    format!("; looked at {}", folders.join(", "))
}

/// At most eight names.
fn names(names: &[String]) -> String {
    let shown = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 8 {
        format!("{shown}, ...")
    } else {
        shown
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
