//! Preprocessing of a network's images, decided once for a run, with what it was decided by.
//!
//! A backbone's own is believed in this order: `--preprocess`, the card in its file, a JSON file beside it, what is
//! known of its bytes, and last ImageNet's, with a warning.

use std::fmt;
use std::path::Path;

use console::Printer;
use data::preprocess::{Dtype, Order};
use data::{Card, Preprocess, preprocessor_config};
use models::Network;
use onnx::proto::DataType;
use onnx::{Document, Header};
use serde::{Deserialize, Serialize};

use crate::context::TrainingContext;
use crate::error::{Error, Result};
use crate::output_files::{file_name, save_json};
use crate::recipe::Recipe;
use crate::resolve;
use crate::run_dir::RunDir;

mod graph;
mod known;
#[cfg(test)]
mod tests;

/// The source of a preprocessing that was typed.
const FLAG: &str = "--preprocess";

/// Images that a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInput {
    /// `[C, H, W]` or `[H, W, C]`, with 1 or 3 channels.
    pub shape: [usize; 3],
    /// Which of these numbers are fixed; the others are a default.
    pub is_fixed: [bool; 3],
    pub dtype: Dtype,
}

impl ImageInput {
    /// The images of a network.
    pub fn of(network: &Network) -> Self {
        let (shape, backbone) = (network.image_shape(), network.backbone());
        let dtype = backbone.map(|backbone| backbone.file.input.elem_type);
        Self {
            shape,
            is_fixed: match backbone {
                Some(backbone) => backbone.file.image_dims().map(|dim| dim.is_some()),
                None => [true; 3],
            },
            dtype: match dtype {
                Some(DataType::Float16) => Dtype::F16,
                Some(DataType::Uint8) => Dtype::U8,
                _ => Dtype::F32,
            },
        }
    }

    /// Order of the axes, channels, height and width.
    fn axes(&self) -> Result<(Order, usize, (usize, usize))> {
        match self.shape {
            [channels @ (1 | 3), height, width] => Ok((Order::Nchw, channels, (height, width))),
            [height, width, channels @ (1 | 3)] => Ok((Order::Nhwc, channels, (height, width))),
            shape => Err(Error::refused(format!(
                "an input {shape:?} is no image of 1 or 3 channels"
            ))),
        }
    }

    /// ImageNet's preprocessing for this input: the shorter side resized to 256/224 of the input's and its centre
    /// cropped, or both sides resized where the input is not square; mean and standard deviation of ImageNet.
    pub fn imagenet(&self) -> Result<Preprocess> {
        let (order, channels, (height, width)) = self.axes()?;
        let geometry = if height == width {
            // The ratio of resize to crop that torchvision's weights are evaluated with, 256 : 224.
            let short = (height * 256).div_ceil(224);
            format!("resize_short({short}, bilinear, antialias)|center_crop({height})")
        } else {
            format!("resize({height}, {width}, bilinear, antialias)")
        };
        let color = if channels == 1 { "gray" } else { "rgb" };
        let text = format!("decode({color}, exif)|{geometry}");
        let text = match (self.dtype, channels) {
            // A network that takes bytes scales them itself.
            (Dtype::U8, _) => text,
            // The means of ImageNet's three channels.
            (_, 1) => format!("{text}|scale(1/255)|normalize(mean=0.449, std=0.226)"),
            _ => format!("{text}|scale(1/255)|normalize(imagenet)"),
        };
        Ok(text.parse::<Preprocess>()?.with_layout(order, self.dtype))
    }

    fn is_fitted_by(&self, preprocess: &Preprocess) -> bool {
        let shape = preprocess.output_shape();
        let fits = |axis: usize| !self.is_fixed[axis] || shape[axis] == self.shape[axis];
        (0..3).all(fits) && preprocess.layout().1 == self.dtype
    }
}

impl fmt::Display for ImageInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shape)?;
        match self.dtype {
            Dtype::F32 => Ok(()),
            Dtype::F16 => f.write_str(" in half precision"),
            Dtype::U8 => f.write_str(" in bytes"),
        }
    }
}

/// Preprocessing of a network's images; `preprocess.json` of a run keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputPreprocess {
    pub preprocess: Preprocess,
    /// What it was decided by, such as `card of net.onnx`; it names no folder of this machine.
    pub source: String,
    /// Licence of the backbone's weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone_licence: Option<String>,
    /// Where the backbone's weights are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone_source: Option<String>,
}

impl InputPreprocess {
    fn new(preprocess: Preprocess, source: impl Into<String>) -> Self {
        Self {
            preprocess,
            source: source.into(),
            backbone_licence: None,
            backbone_source: None,
        }
    }

    /// Decides for the network of a new run, and warns where nothing is known.
    ///
    /// # Errors
    /// When what describes the preprocessing cannot be read or honoured, or does not fit the network's input.
    pub fn decide(
        recipe: &Recipe,
        network: &Network,
        context: &TrainingContext<'_>,
    ) -> Result<Self> {
        let (input, printer) = (ImageInput::of(network), context.printer);
        let Some(name) = recipe.backbone.as_deref() else {
            let decided = match &recipe.preprocess {
                Some(typed) => Self::new(typed.0.clone(), FLAG),
                None => Self::new(input.imagenet()?, "of the custom ResNet"),
            };
            return decided.fitting(&input, "the custom ResNet");
        };
        let path = resolve::backbone_path(name, &context.cache, context.offline, printer)?;
        let sha256 = network.backbone_sha256().unwrap_or_default();
        let decided = match &recipe.preprocess {
            Some(typed) => Self::new(typed.0.clone(), FLAG),
            None => Self::of_backbone(&path, sha256, &input, printer)?,
        };
        decided
            .with_known_origin(sha256)
            .fitting(&input, &format!("`{}`", file_name(&path)))
    }

    /// What a run keeps.
    ///
    /// # Errors
    /// When it cannot be read or does not fit the network's input.
    pub fn of_run(run: &RunDir, recipe: &Recipe, network: &Network) -> Result<Self> {
        let input = ImageInput::of(network);
        let path = run.preprocess();
        let kept = if path.is_file() {
            serde_json::from_slice(&fs_err::read(&path)?)?
        } else if let Some(typed) = &recipe.preprocess {
            Self::new(typed.0.clone(), FLAG)
        } else {
            // Earlier releases kept no file and always took ImageNet's.
            Self::new(input.imagenet()?, "ImageNet's, of an earlier release")
        };
        kept.fitting(&input, &network.name())
    }

    pub fn save(&self, run: &RunDir) -> Result<()> {
        save_json(&run.preprocess(), self)
    }

    /// The line of the log.
    pub fn line(&self) -> String {
        format!("preprocessing ({}): {}", self.source, self.preprocess)
    }

    /// The preprocessing of a backbone's file without `--preprocess`.
    fn of_backbone(
        path: &Path,
        sha256: &str,
        input: &ImageInput,
        printer: &Printer,
    ) -> Result<Self> {
        let file = file_name(path);
        let metadata = Header::open(path)?.metadata;
        let pairs = metadata
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let card = Card::from_pairs(pairs).map_err(|error| {
            let hint = format!("give the preprocessing yourself: `{FLAG} TEXT`");
            Error::refused_with_hint(format!("`{file}`: {error}"), hint)
        })?;
        if let Some(card) = card {
            let origin = card.provenance;
            return Ok(Self {
                preprocess: card.preprocess,
                source: format!("card of {file}"),
                backbone_licence: origin.backbone_licence,
                backbone_source: origin.backbone_source,
            });
        }
        let (order, _, size) = input.axes()?;
        if let Some(found) = preprocessor_config::find(path, Some(size))? {
            return Ok(Self {
                // Only the network's file knows its layout.
                preprocess: found.preprocess.with_layout(order, input.dtype),
                source: format!("{} of {file}", file_name(&found.path)),
                backbone_licence: found.licence,
                backbone_source: found.source,
            });
        }
        if let Some(weights) = known::find(sha256) {
            let source = format!("known for {}", weights.name);
            return Ok(Self::new(weights.preprocess.parse()?, source));
        }
        printer.warn(format!(
            "no preprocessing is known for `{file}`; ImageNet's is taken; a wrong one costs 1 to 3 points: \
             `--preprocess`"
        ));
        if let Some(operator) = graph::normalization(&Document::open(path)?) {
            printer.warn(format!(
                "`{file}` begins with `{operator}` by a constant: it may normalise its images itself, and ImageNet's \
                 mean and deviation come on top of that"
            ));
        }
        Ok(Self::new(input.imagenet()?, "ImageNet's, assumed"))
    }

    /// With what is known of the weights by their bytes.
    fn with_known_origin(mut self, sha256: &str) -> Self {
        if let Some(weights) = known::find(sha256) {
            self.backbone_licence.get_or_insert(weights.licence.into());
            self.backbone_source.get_or_insert(weights.source.into());
        }
        self
    }

    /// The preprocessing itself, where its result is what the network takes.
    fn fitting(self, input: &ImageInput, network: &str) -> Result<Self> {
        if input.is_fitted_by(&self.preprocess) {
            return Ok(self);
        }
        let result = ImageInput {
            shape: self.preprocess.output_shape(),
            is_fixed: [true; 3],
            dtype: self.preprocess.layout().1,
        };
        let subject = match self.source.as_str() {
            FLAG => format!("`{FLAG}`"),
            source => format!("the preprocessing ({source})"),
        };
        Err(Error::refused_with_hint(
            format!("{subject} ends in {result}, {network} takes {input}"),
            format!("ImageNet's would be `{FLAG} \"{}\"`", input.imagenet()?),
        ))
    }
}
