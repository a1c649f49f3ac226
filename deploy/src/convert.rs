//! Conversion of a model file to half precision, or post-training quantisation to 8-bit integers. Knows no
//! operators: [`onnx::convert`] changes the graph; here the model is run on calibration images, and its card is
//! kept.

mod batch;
mod calibration;
mod ranges;

use std::path::{Path, PathBuf};

use fs_err as fs;
use onnx::convert::{Half, QuantizableNode, Quantized};
use onnx::{Document, ModelFile};
use pixels::card::PREFIX;
use pixels::{Card, Unreadable};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use batch::dynamic_batch;
pub use calibration::{Calibration, DEFAULT_IMAGES};
pub use onnx::convert::Scheme;

use ranges::MeasuredRanges;

use crate::error::{Error, Result};
use crate::precision::Precision;

/// Part of the cache key: counted up when a conversion gives other files than before.
const VERSION: u32 = 3;

/// A converted file in the cache folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it was in the cache already.
    pub reused: bool,
}

/// Result of quantisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Int8 {
    /// What was changed in the graph.
    pub graph: Quantized,
    /// Images that the ranges come from.
    pub images: usize,
    /// Images that could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// The nodes of a file in 8-bit integers that stay in single precision.
#[derive(Clone)]
pub struct NodeChoice<'a> {
    /// Everything that the choice depends on beside the model and its calibration, such as the provider and the machine
    /// on which nodes were timed: part of a kept file's name.
    pub key: String,
    /// Called where there is no kept file yet: names of [`Quantizer::nodes`].
    pub choose: &'a dyn Fn(&Quantizer) -> Result<Vec<String>>,
}

/// Writes `model` to `out` with weights and values in half precision. Input and output stay in single
/// precision. The card stays, but for its scores: they are the original file's.
///
/// ```no_run
/// use classifold::onnx::ModelFile;
///
/// let file = ModelFile::open("model.onnx".as_ref())?;
/// let half = classifold::convert::fp16(&file, "model.fp16.onnx".as_ref())?;
/// println!("{} constants in half precision", half.halved);
/// # Ok::<(), classifold::Error>(())
/// ```
///
/// # Errors
/// The file is damaged, an operator cannot be converted, or `out` cannot be written.
pub fn fp16(model: &ModelFile, out: &Path) -> Result<Half> {
    let mut document = Document::from_file(model)?;
    let half = onnx::convert::to_half(&mut document)?;
    update_card(&mut document, Precision::Fp16, None)?;
    document.save(out)?;
    Ok(half)
}

/// Writes `model` to `out` with 8-bit integers (QDQ), whose ranges are measured on `calibration`. Input and
/// output stay in single precision. ONNX Runtime must have been loaded ([`crate::runtime::load`]).
///
/// # Errors
/// As [`fp16`]; ONNX Runtime does not run the model, or no image can be read.
pub fn int8(model: &ModelFile, out: &Path, calibration: &Calibration) -> Result<Int8> {
    Quantizer::new(model, calibration)?.save(out, &[])
}

/// Whether the nodes of the names `kept` can stay in single precision, known before anything is measured.
///
/// # Errors
/// The file cannot be quantised, there is no such node, or no product would compute with integers.
pub fn check_kept(model: &ModelFile, kept: &[String]) -> Result<()> {
    let mut document = Document::from_file(model)?;
    onnx::convert::prepare(&mut document)?;
    Ok(onnx::convert::check_kept(&document, kept)?)
}

/// A model whose ranges were measured: it is quantised as often as needed, each time with other nodes that stay in single
/// precision.
#[derive(Debug, Clone)]
pub struct Quantizer {
    document: Document,
    measured: MeasuredRanges,
    scheme: Scheme,
}

impl Quantizer {
    /// Measures the ranges of a model's values on `calibration`. ONNX Runtime must have been loaded
    /// ([`crate::runtime::load`]).
    ///
    /// # Errors
    /// As [`int8`].
    pub fn new(model: &ModelFile, calibration: &Calibration) -> Result<Self> {
        let mut document = Document::from_file(model)?;
        onnx::convert::prepare(&mut document)?;
        let observed = onnx::convert::calibrated_values(&document)?;
        let measured = ranges::measure(&document, &observed, calibration)?;
        Ok(Self {
            document,
            measured,
            scheme: calibration.scheme,
        })
    }

    /// The nodes that can compute with integers, in the order of the graph.
    ///
    /// # Errors
    /// The types of the graph are not known.
    pub fn nodes(&self) -> Result<Vec<QuantizableNode>> {
        Ok(onnx::convert::quantizable_nodes(&self.document)?)
    }

    /// The model with 8-bit integers, in memory. The [nodes](Self::nodes) of the names `kept` stay in single precision.
    ///
    /// # Errors
    /// There is no such node, or no product would compute with integers.
    pub fn quantize(&self, kept: &[String]) -> Result<ModelFile> {
        Ok(ModelFile::from_bytes(self.document(kept)?.0.to_bytes())?)
    }

    /// Writes what [`quantize`](Self::quantize) returns to `out`.
    ///
    /// # Errors
    /// As [`quantize`](Self::quantize), or `out` cannot be written.
    pub fn save(&self, out: &Path, kept: &[String]) -> Result<Int8> {
        let (document, graph) = self.document(kept)?;
        document.save(out)?;
        Ok(Int8 {
            graph,
            images: self.measured.images,
            unreadable: self.measured.unreadable.clone(),
        })
    }

    fn document(&self, kept: &[String]) -> Result<(Document, Quantized)> {
        let mut document = self.document.clone();
        let (ranges, scheme) = (&self.measured.ranges, self.scheme);
        let graph = onnx::convert::quantize(&mut document, ranges, scheme, kept)?;
        update_card(&mut document, Precision::Int8, Some(self.measured.images))?;
        Ok((document, graph))
    }
}

/// The converted file in the cache folder's `converted`, written where it is not there. Its name is a hash of
/// everything that it depends on: model (with external data), precision, calibration (scheme, preprocessing,
/// content of the images) and the version of the conversion. So it is never another model's.
///
/// # Errors
/// As [`fp16`] and [`int8`]; int8 without images.
pub fn cached(
    model: &ModelFile,
    precision: Precision,
    calibration: Option<&Calibration>,
    cache: &Path,
) -> Result<ConvertedFile> {
    match (precision, calibration) {
        (Precision::Fp16, _) => {
            let key = key(model, precision, None, "")?;
            kept_file(model, precision, &key, cache, |out| {
                fp16(model, out).map(drop)
            })
        }
        (Precision::Int8, Some(calibration)) => {
            let choice = NodeChoice {
                key: String::new(),
                choose: &|_| Ok(Vec::new()),
            };
            cached_int8(model, calibration, &choice, cache)
        }
        (Precision::Int8, None) => Err(Error::no_calibration()),
        (Precision::Fp32 | Precision::Tf32 | Precision::Bf16, _) => {
            Err(Error::not_converted(precision.name()))
        }
    }
}

/// As [`cached`], of a file in 8-bit integers some of whose nodes may stay in single precision. The name of the file also
/// depends on the key of the choice.
///
/// # Errors
/// As [`int8`], and those of the choice.
pub fn cached_int8(
    model: &ModelFile,
    calibration: &Calibration,
    choice: &NodeChoice<'_>,
    cache: &Path,
) -> Result<ConvertedFile> {
    let precision = Precision::Int8;
    let key = key(model, precision, Some(calibration), &choice.key)?;
    kept_file(model, precision, &key, cache, |out| {
        let quantizer = Quantizer::new(model, calibration)?;
        let kept = (choice.choose)(&quantizer)?;
        quantizer.save(out, &kept).map(drop)
    })
}

/// The file of a key in the cache folder; `write` writes it where it is not there.
fn kept_file(
    model: &ModelFile,
    precision: Precision,
    key: &str,
    cache: &Path,
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<ConvertedFile> {
    let folder = cache.join("converted");
    let stem = model
        .path()
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let path = folder.join(format!("{stem}.{precision}.{key}.onnx"));
    // A file that a crash of the machine left half written has no header, and is written again.
    if onnx::Header::open(&path).is_ok() {
        return Ok(ConvertedFile { path, reused: true });
    }
    fs::create_dir_all(&folder).map_err(files::Error::writing(&folder))?;
    write(&path)?;
    Ok(ConvertedFile {
        path,
        reused: false,
    })
}

/// SHA-256 of what a converted file depends on, its first 32 hexadecimal digits.
fn key(
    model: &ModelFile,
    precision: Precision,
    calibration: Option<&Calibration>,
    choice: &str,
) -> Result<String> {
    let mut document = Document::from_file(model)?;
    // The weights may lie in another file, and must be part of the hash.
    document.inline_external_data()?;
    let mut hasher = Sha256::new();
    hasher.update(Sha256::digest(document.to_bytes()));
    hasher.update(format!("\n{VERSION}\n{precision}\n{choice}\n"));
    if let Some(calibration) = calibration {
        hasher.update(format!(
            "{:?}\n{}\n",
            calibration.scheme, calibration.preprocess
        ));
        for path in &calibration.images {
            let failed = files::Error::reading(path);
            hasher.update(files::hash::sha256(path).map_err(failed)?);
        }
    }
    let mut key = files::hash::hex(&hasher.finalize());
    key.truncate(32);
    Ok(key)
}

/// Writes precision and calibration into the card, where there is one, and removes the scores: they are the
/// original file's.
fn update_card(document: &mut Document, precision: Precision, images: Option<usize>) -> Result<()> {
    let metadata = document.metadata();
    let pairs = metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let Some(mut card) = Card::from_pairs(pairs)? else {
        return Ok(());
    };
    let options = &mut card.provenance.options;
    options.insert("precision".to_owned(), Value::from(precision.name()));
    if let Some(images) = images {
        options.insert("calibration_images".to_owned(), Value::from(images));
    }
    card.provenance.scores.clear();
    document.set_metadata(PREFIX, &card.to_pairs());
    Ok(())
}

#[cfg(test)]
mod tests;
