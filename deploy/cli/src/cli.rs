//! The command line as typed: clap's structs and nothing else.

mod bench;
mod convert;
mod cut;
mod diff;
mod doctor;
mod embed;
mod score;
mod tune;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use data::{Preprocess, Split};
use deploy::{Precision, Provider};

pub(crate) use bench::{BenchArgs, MeasuringArgs};
pub(crate) use convert::{ConvertArgs, KeepFp32};
pub(crate) use cut::CutArgs;
pub(crate) use diff::DiffArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use embed::{EmbedArgs, EncoderArgs, SearchArgs};
pub(crate) use score::{ManyImages, ScoreArgs};
pub(crate) use tune::TuneArgs;

/// Runs ONNX image classifiers through ONNX Runtime: scores, predictions, benchmarks, checks.
#[derive(Debug, Parser)]
#[command(name = "deploy", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print only results, warnings and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Show the log of ONNX Runtime
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// Commands of `deploy`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Score a model on labelled images
    Eval(Box<EvalArgs>),
    /// Classify images
    Predict(Box<PredictArgs>),
    /// Classify very many images, a part of them in each process, into Parquet files
    Score(Box<ScoreArgs>),
    /// Write the features of images into a file of NumPy or Parquet
    Embed(Box<EmbedArgs>),
    /// Write a backbone that ends at its features, for many machines to compute them
    ///
    /// `deploy score`, `deploy embed` and the Python class `Scorer` write tables of its features, and `trainer fit
    /// --feature-table` trains a classification layer on them.
    Cut(Box<CutArgs>),
    /// Find the images of a folder that are most like one
    Search(Box<SearchArgs>),
    /// Measure latency, throughput, memory and accuracy of models on providers
    Bench(Box<BenchArgs>),
    /// Find the fastest provider, precision, threads and batch for a model on this machine
    ///
    /// Another setting than the default is recommended only where it is shown to be faster. The intervals of all settings
    /// hold together with 99 % (Bonferroni).
    Tune(Box<TuneArgs>),
    /// Show inputs, outputs, size and card of a model file; needs no ONNX Runtime
    Info(InfoArgs),
    /// Check that this machine computes the golden samples of a model's card
    Check(CheckArgs),
    /// Convert a model to half precision or 8-bit integers, and compare it with the original
    Convert(Box<ConvertArgs>),
    /// Compare two models on the same images
    Diff(Box<DiffArgs>),
    /// Show or write the card that makes a model file self-describing
    #[command(subcommand)]
    Card(CardCommand),
    /// Show or clear the cache folder: data sets, weights, ONNX Runtime, engines, tuned settings
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Install or find the ONNX Runtime library
    #[command(subcommand)]
    Runtime(RuntimeCommand),
    /// Try every provider on this machine, and say how to fix those that do not run
    Doctor(DoctorArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Parses a share or a probability.
fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok();
    let value = value.filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// The model, and facts that its card lacks.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// The model file, or a run by its folder or name [default: the latest run]
    #[arg(long, value_name = "FILE|RUN")]
    pub(crate) model: Option<PathBuf>,
    /// The folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub(crate) runs: PathBuf,
    /// A file of class names, one per line in the order of the outputs; replaces the card's names
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Preprocessing steps from an image to the model's input; replaces the card's steps
    #[arg(long, value_name = "TEXT")]
    pub(crate) preprocess: Option<Preprocess>,
    /// The output to read, where the model has several [default: the card's, or the only one of class scores]
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// Meaning of the model's output [default: as the card says, or the graph and the numbers for drawn images]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) output_kind: Option<OutputKindArg>,
}

/// Meaning of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputKindArg {
    /// Class scores before the softmax
    Logits,
    /// Probabilities that sum to 1, or to 100; a single number for two classes is that of the second class
    Probabilities,
    /// A probability of each class for itself, such as several sigmoids; shown as they are
    Independent,
}

/// Provider, threads and locations.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct MachineArgs {
    /// Execution provider: `cpu`, `cuda[:N]`, `tensorrt[:N]`, `tensorrt-rtx[:N]` or `openvino[:gpu|:npu]`; a model that
    /// cannot run there is an error
    #[arg(long, default_value = "cpu")]
    pub(crate) provider: Provider,
    /// Let nodes that the provider cannot compute run on another one
    #[arg(long)]
    pub(crate) allow_fallback: bool,
    /// Number of threads [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    #[command(flatten)]
    pub(crate) location: LocationArgs,
}

/// Locations of the cache folder and ONNX Runtime.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct LocationArgs {
    /// The ONNX Runtime library to use: a file or its folder [env: ORT_DYLIB_PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) runtime: Option<PathBuf>,
    /// Download nothing
    #[arg(long)]
    pub(crate) offline: bool,
    /// The cache folder: data sets, weights, ONNX Runtime, converted models, engines [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}

/// The flags of `deploy eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The same as `--model`
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub(crate) file: Option<PathBuf>,
    /// A folder or a CSV file of labelled images, or for a verifier of identities or pairs; `builtin:insects`,
    /// `builtin:signatures` [default: the run's own data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// The split to score: `train`, `val` or `test`
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// Score exactly the images of this list, such as a run's `split.csv`
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// Images per run of the model [default: the model's own, or 8 on the CPU and 32 on a GPU]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: Option<u16>,
    /// Run the file as it is on the CPU, too, and report changed answers and McNemar's test
    #[arg(long)]
    pub(crate) reference: bool,
    /// Choose on validation images the least probability whose answers are right in this share of cases, such as 0.99,
    /// and show what that gives on the split
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) target_accuracy: Option<f64>,
    /// Treat an unreadable image as an error
    #[arg(long)]
    pub(crate) strict_images: bool,
    /// Write the scores as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the predictions as CSV: path,label,predicted,probability; of pairs path_a,path_b,label,answer,probability
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Use the setting that `deploy tune --save` found for this model here, in place of the flags for it
    #[arg(long, conflicts_with_all = ["provider", "precision", "threads", "batch"])]
    pub(crate) tuned: bool,
    /// Precision in which the model computes: `fp32`, `tf32` (CUDA), `bf16` (OpenVINO), `fp16` or `int8`
    #[arg(long, value_name = "PRECISION", default_value_t = Precision::Fp32)]
    pub(crate) precision: Precision,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// The flags of `deploy predict`.
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Image files, folders, patterns such as `photos/*.jpg`, or `-` for an image on standard input
    #[arg(required_unless_present = "pair", value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Two image files that a verifier compares; may be given several times
    #[arg(
        long,
        num_args = 2,
        value_names = ["A", "B"],
        conflicts_with_all = ["inputs", "top_k", "batch", "strict_images", "classes", "preprocess", "output", "output_kind", "precision", "tuned"]
    )]
    pub(crate) pair: Vec<PathBuf>,
    /// Number of classes to show for each image
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top_k: u16,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Images per run of the model
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: u16,
    /// Stop at an unreadable image
    #[arg(long)]
    pub(crate) strict_images: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Use the setting that `deploy tune --save` found for this model here, in place of the flags for it
    #[arg(long, conflicts_with_all = ["provider", "precision", "threads", "batch"])]
    pub(crate) tuned: bool,
    /// Precision in which the model computes: `fp32`, `tf32` (CUDA), `bf16` (OpenVINO), `fp16` or `int8`
    #[arg(long, value_name = "PRECISION", default_value_t = Precision::Fp32)]
    pub(crate) precision: Precision,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// Format of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    Text,
    /// One JSON object per line
    Jsonl,
    /// path,rank,label,probability; of pairs a,b,answer,probability,threshold (or distance)
    Csv,
}

/// A model by position or by flag.
#[derive(Debug, Args)]
pub(crate) struct ModelFileArgs {
    /// The same as `--model`
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub(crate) file: Option<PathBuf>,
    /// The model file, or a run by its folder or name [default: the latest run]
    #[arg(long, value_name = "FILE|RUN")]
    pub(crate) model: Option<PathBuf>,
    /// The folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub(crate) runs: PathBuf,
}

/// The flags of `deploy info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) model: ModelFileArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags of `deploy check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) model: ModelFileArgs,
    /// Precision in which the model computes: `fp32`, `tf32` (CUDA), `bf16` (OpenVINO), `fp16` or `int8`
    #[arg(long, value_name = "PRECISION", default_value_t = Precision::Fp32)]
    pub(crate) precision: Precision,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// Commands of `deploy card`.
#[derive(Debug, Subcommand)]
pub(crate) enum CardCommand {
    /// Print the card as JSON
    Show(ShowArgs),
    /// Write a card into a model file: a copy of another file's, or a new one from class names and preprocessing
    Attach(Box<AttachArgs>),
}

/// The flags of `deploy card show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) model: ModelFileArgs,
    /// Print the images and logits of the golden samples, too: some 20 kB
    #[arg(long)]
    pub(crate) golden: bool,
}

/// The flags of `deploy card attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The model file that gets the card, or a run by its folder or name
    #[arg(value_name = "MODEL")]
    pub(crate) file: PathBuf,
    /// Copy the card of this model file or run
    #[arg(long, value_name = "FILE|RUN", conflicts_with_all = ["classes", "preprocess", "output_kind"])]
    pub(crate) from: Option<PathBuf>,
    /// A file of class names, one per line in the order of the outputs; replaces those of the file's metadata
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Preprocessing steps from an image to the model's input
    #[arg(long, value_name = "TEXT", required_unless_present = "from")]
    pub(crate) preprocess: Option<Preprocess>,
    /// The output to read, where the model has several [default: the only one of class scores]
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// Meaning of the model's output [default: as the graph and the numbers for drawn images say]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) output_kind: Option<OutputKindArg>,
    /// The least probability of an answer, as `deploy eval --target-accuracy` chooses it; 0 takes it away [default: the
    /// card's]
    #[arg(long, value_name = "PROBABILITY", value_parser = share)]
    pub(crate) reject: Option<f64>,
    /// The file to write [default: the model file itself]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub(crate) runs: PathBuf,
    #[command(flatten)]
    pub(crate) location: LocationArgs,
}

/// Commands of `deploy cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Print the path of the folder
    Dir(CacheArgs),
    /// List its contents with their sizes
    List(CacheArgs),
    /// Remove unfinished downloads, converted models, unused runtimes, and engines and tuned settings of other runtimes
    Prune(PruneArgs),
}

/// Location of the cache folder.
#[derive(Clone, Debug, Args)]
pub(crate) struct CacheArgs {
    /// The cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}

/// The flags of `deploy cache prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove everything in it
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

/// Commands of `deploy runtime`.
#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
    /// Install ONNX Runtime for the CPU or with CUDA, TensorRT, or a plugin provider, into the cache folder
    Install(InstallArgs),
    /// List the installed libraries and mark the one that is used
    List(LocationArgs),
    /// Print the path of the library that is used
    Path(LocationArgs),
}

/// The flags of `deploy runtime install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// What to install
    #[arg(value_enum, default_value_t = Installed::Cpu)]
    pub(crate) what: Installed,
    /// Install from here. `cpu`: a wheel, a library, a folder that holds one, or the URL of a wheel; `cuda`: the
    /// folder of all wheels; `tensorrt`: the folder of NVIDIA's unpacked tar file; `openvino`,
    /// `tensorrt-rtx`: the wheel or a folder that holds it
    #[arg(long, value_name = "FILE|DIR|URL")]
    pub(crate) from: Option<String>,
    /// Major version of CUDA, for `cuda` [default: 13, or 12 where the driver or a GPU is too old]
    #[arg(long, value_name = "12|13", value_parser = clap::value_parser!(u32).range(12..=13))]
    pub(crate) cuda: Option<u32>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

/// Runtimes that can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Installed {
    /// ONNX Runtime for the CPU, 20 MB
    Cpu,
    /// ONNX Runtime with CUDA, cuDNN and the other libraries that it needs, 1.6 GB
    Cuda,
    /// TensorRT 10, from NVIDIA's tar file
    Tensorrt,
    /// TensorRT for RTX, for GPUs of NVIDIA's from Ampere on, 146 MB; runs with ONNX Runtime for the CPU
    TensorrtRtx,
    /// OpenVINO for processors, GPUs and NPUs of Intel, 53 MB; runs with ONNX Runtime for the CPU
    Openvino,
}
