//! Backbone: an ONNX file with its features, and the engine that computes them.
//!
//! Knows the file and where its features are, but no network and no runtime: whoever opens the file brings one as a
//! [`FeatureExtractor`].

use std::fmt;
use std::path::{Path, PathBuf};

use onnx::proto::DataType;
use onnx::{ChannelMix, Dim, Document, FeatureCut, ModelFile, ValueInfo, surgery};

use crate::error::{Error, Result};

/// Computes features, in an engine of its own.
pub trait FeatureExtractor: fmt::Debug + Send + Sync {
    /// Features `[N, D]` of `count` prepared images `[N, C, H, W]` or `[N, H, W, C]`, as the file takes them.
    ///
    /// # Errors
    /// The engine fails.
    fn features(
        &self,
        images: &[f32],
        count: usize,
    ) -> std::result::Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>>;
}

/// An ONNX file as a backbone: which of its values are the features.
#[derive(Debug, Clone)]
pub struct BackboneFile {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Where its features are.
    pub cut: FeatureCut,
    /// Its one input, of rank 4.
    pub input: ValueInfo,
    /// Numbers stored in what computes the features.
    pub num_parameters: usize,
    /// Whether it computes in single precision throughout.
    pub is_single_precision: bool,
    /// How the channels that it was made for come from those that it takes; none where they are the same.
    pub channel_mix: Option<ChannelMix>,
}

impl BackboneFile {
    /// Reads a file and finds its features; `cut_at` names them instead.
    ///
    /// # Errors
    /// The file cannot be read, does not take one batch of images, stores no weights, or has no features that
    /// can be used.
    pub fn open(path: &Path, cut_at: Option<&str>) -> Result<Self> {
        let file = ModelFile::open(path)?;
        let mut document = Document::from_file(&file)?;
        document.check_external_data()?;
        let input = image_input(path, &document)?;
        let cut = match cut_at {
            Some(value) => FeatureCut::at(&document, value)?,
            None => FeatureCut::find(&document)?,
        };
        cut.cut(&mut document).map_err(|error| Error::Invalid {
            message: format!("`{}` cannot be a backbone: {error}", path.display()),
            hint: error.hint(),
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            sha256: file.sha256().to_owned(),
            cut,
            input,
            num_parameters: num_parameters(&document),
            is_single_precision: onnx::is_single_precision(document.graph()),
            channel_mix: None,
        })
    }

    /// The same network for images of other channels: its first convolution is replaced.
    ///
    /// # Errors
    /// Something else than a plain convolution reads the images.
    pub fn with_channels(mut self, mix: ChannelMix) -> Result<Self> {
        self.channel_mix = Some(mix);
        self.input = image_input(&self.path, &self.document(false)?)?;
        self.num_parameters = num_parameters(&self.features(false)?);
        Ok(self)
    }

    /// What its features depend on besides images and engine: the bytes of the file, and changed channels.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.channel_mix {
            Some(mix) => format!("{} {mix}", self.sha256),
            None => self.sha256.clone(),
        }
    }

    /// The file's document; with `free_batch` it takes any number of images.
    ///
    /// # Errors
    /// The file has changed or is missing.
    pub fn document(&self, free_batch: bool) -> Result<Document> {
        let file = ModelFile::open(&self.path)?;
        // The cut was found in exactly that file.
        if file.sha256() != self.sha256 {
            return Err(changed(&self.path));
        }
        let mut document = Document::from_file(&file)?;
        document.inline_external_data()?;
        if let Some(mix) = &self.channel_mix {
            mix.apply(&mut document).map_err(|error| Error::Invalid {
                message: format!("`{}`: {error}", self.path.display()),
                hint: error.hint(),
            })?;
        }
        if free_batch {
            surgery::set_batch_dynamic(document.graph_mut());
        }
        Ok(document)
    }

    /// The document up to its features: its one output is `features`, `[batch, D]`.
    ///
    /// # Errors
    /// The file has changed or is missing.
    pub fn features(&self, free_batch: bool) -> Result<Document> {
        let mut document = self.document(free_batch)?;
        self.cut.cut(&mut document)?;
        Ok(document)
    }

    /// The number of images that the file takes at a time; `None` where it takes any.
    #[must_use]
    pub fn fixed_batch(&self) -> Option<usize> {
        self.input.dims.first().and_then(fixed)
    }

    /// Shape of an image where the file fixes it: `[C, H, W]` or `[H, W, C]`.
    #[must_use]
    pub fn image_dims(&self) -> [Option<usize>; 3] {
        [1, 2, 3].map(|axis| self.input.dims.get(axis).and_then(fixed))
    }
}

fn fixed(dim: &Dim) -> Option<usize> {
    match dim {
        Dim::Fixed(size) => usize::try_from(*size).ok().filter(|size| *size > 0),
        _ => None,
    }
}

/// Numbers that a document stores.
fn num_parameters(document: &Document) -> usize {
    let sizes = document.graph().initializer.iter().map(|tensor| {
        let dims = tensor.dims.iter();
        let dims = dims.map(|&dim| usize::try_from(dim).unwrap_or(0));
        dims.product::<usize>()
    });
    sizes.sum()
}

/// The one input of a graph that takes images.
fn image_input(path: &Path, document: &Document) -> Result<ValueInfo> {
    let mut inputs = document.inputs();
    // `problem` is the predicate of a sentence about the file.
    let refuse = |problem: String| {
        let hint = "take a network with one input [batch, channels, height, width], such as `--backbone resnet18`";
        Error::Invalid {
            message: format!("`{}` {problem}", path.display()),
            hint: Some(hint.into()),
        }
    };
    if inputs.len() != 1 {
        let names: Vec<_> = inputs
            .iter()
            .take(3)
            .map(|input| format!("`{}`", input.name))
            .collect();
        let more = if inputs.len() > 3 { ", ..." } else { "" };
        let (count, names) = (inputs.len(), names.join(", "));
        let problem = format!("has {count} inputs ({names}{more}), not one of images");
        return Err(refuse(problem));
    }
    let input = inputs.remove(0);
    let types = [DataType::Float, DataType::Float16, DataType::Uint8];
    if !types.contains(&input.elem_type) || input.dims.len() != 4 {
        let problem = format!("takes no images: its input is `{input}`");
        return Err(refuse(problem));
    }
    if document.graph().initializer.is_empty()
        && document
            .all_nodes()
            .iter()
            .all(|node| node.op_type() != "Constant")
    {
        return Err(refuse("stores no weights".into()));
    }
    Ok(input)
}

/// A backbone file, opened by an engine.
#[derive(Debug)]
pub struct Backbone {
    /// The file.
    pub file: BackboneFile,
    /// Number of features D.
    pub width: usize,
    /// Shape of a prepared image: `[C, H, W]` or `[H, W, C]`.
    pub image_shape: [usize; 3],
    /// Whether its graph takes any number of images at a time.
    pub takes_any_batch: bool,
    /// Computes the features.
    pub extractor: Box<dyn FeatureExtractor>,
}

/// The file is not the one that was imported.
fn changed(path: &Path) -> Error {
    Error::Invalid {
        message: format!("`{}` has changed since it was imported", path.display()),
        hint: Some("put the original file back, or train again".into()),
    }
}
