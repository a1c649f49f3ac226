//! Preprocessing of a network's images, decided once for a run, with what it was decided by.
//!
//! A backbone's own is believed in this order: `--preprocess`, the card or the metadata in its file, a JSON file beside it, what is
//! known of its bytes, and last ImageNet's, with a warning.

use std::fmt;
use std::path::PathBuf;

use console::Printer;
use data::preprocess::{Color, Dtype, Order};
use data::{BackboneDescription, Card, Preprocess, catalog};
use onnx::proto::DataType;
use onnx::{Dim, Document, ModelFile};
use serde::{Deserialize, Serialize};

use crate::backbone::InputImages;
use crate::context::TrainingContext;
use crate::error::{Error, Result};
use crate::output_files::{file_name, save_json};
use crate::recipe::Recipe;
use crate::resolve;
use crate::run_dir::RunDir;

mod channels;
mod graph;
#[cfg(test)]
mod tests;

/// The source of a preprocessing that was typed.
const FLAG: &str = "--preprocess";

/// The network of a recipe without a backbone.
const CUSTOM: &str = "the custom ResNet";

/// Height and width of images where a file leaves them open.
const DEFAULT_SIZE: usize = 224;

/// Images that a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInput {
    /// `[C, H, W]` or `[H, W, C]`, with 1, 3 or 4 channels; none where the file leaves an axis open.
    pub dims: [Option<usize>; 3],
    pub dtype: Dtype,
}

impl ImageInput {
    /// The images of a recipe's custom ResNet.
    fn custom(recipe: &Recipe) -> Self {
        Self {
            dims: [recipe.num_channels(), recipe.size, recipe.size].map(Some),
            dtype: Dtype::F32,
        }
    }

    /// The one input of a file; none where it takes no images.
    fn of_document(document: &Document) -> Option<Self> {
        let inputs = document.inputs();
        let [input] = inputs.as_slice() else {
            return None;
        };
        let dtype = match input.elem_type {
            DataType::Float => Dtype::F32,
            DataType::Float16 => Dtype::F16,
            DataType::Uint8 => Dtype::U8,
            _ => return None,
        };
        let [_, dims @ ..] = input.dims.as_slice() else {
            return None;
        };
        let dims: &[Dim; 3] = dims.try_into().ok()?;
        let fixed = |dim: &Dim| match dim {
            Dim::Fixed(size) => usize::try_from(*size).ok().filter(|size| *size > 0),
            Dim::Named(_) | Dim::Unknown => None,
        };
        let input = Self {
            dims: dims.each_ref().map(fixed),
            dtype,
        };
        input.axes().is_some().then_some(input)
    }

    /// Order of the axes, channels, height and width.
    fn axes(&self) -> Option<(Order, usize, [Option<usize>; 2])> {
        match self.dims {
            [Some(channels @ (1 | 3 | 4)), height, width] => {
                Some((Order::Nchw, channels, [height, width]))
            }
            [height, width, Some(channels @ (1 | 3 | 4))] => {
                Some((Order::Nhwc, channels, [height, width]))
            }
            [None, height, width] => Some((Order::Nchw, 3, [height, width])),
            _ => None,
        }
    }

    /// ImageNet's preprocessing for this input: the shorter side resized to 256/224 of the input's and its centre
    /// cropped, or both sides resized where the input is not square; mean and standard deviation of ImageNet.
    pub fn imagenet(&self) -> Result<Preprocess> {
        let (order, channels, size) = self.axes().unwrap_or((Order::Nchw, 3, [None; 2]));
        let [height, width] = size.map(|side| side.unwrap_or(DEFAULT_SIZE));
        let geometry = if height == width {
            // The ratio of resize to crop that torchvision's weights are evaluated with, 256 : 224.
            let short = (height * 256).div_ceil(224);
            format!("resize_short({short}, bilinear, antialias)|center_crop({height})")
        } else {
            format!("resize({height}, {width}, bilinear, antialias)")
        };
        let color = match channels {
            1 => "gray",
            4 => "rgba",
            _ => "rgb",
        };
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

    fn num_channels(&self) -> usize {
        self.axes().map_or(3, |(_, channels, _)| channels)
    }

    /// The same input with another number of channels.
    fn with_channels(mut self, num_channels: usize) -> Self {
        let axis = match self.axes() {
            Some((Order::Nhwc, ..)) => 2,
            _ => 0,
        };
        self.dims[axis] = Some(num_channels);
        self
    }

    fn is_fitted_by(&self, preprocess: &Preprocess) -> bool {
        let mut dims = self.dims.iter().zip(preprocess.output_shape());
        dims.all(|(dim, side)| dim.is_none_or(|dim| dim == side))
            && preprocess.layout().1 == self.dtype
    }
}

impl fmt::Display for ImageInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims = self
            .dims
            .map(|dim| dim.map_or("any".into(), |dim| dim.to_string()));
        write!(f, "[{}]", dims.join(", "))?;
        match self.dtype {
            Dtype::F32 => Ok(()),
            Dtype::F16 => f.write_str(" in half precision"),
            Dtype::U8 => f.write_str(" in bytes"),
        }
    }
}

/// A backbone's file, read for what it says of its images.
struct BackboneImages {
    path: PathBuf,
    sha256: String,
    document: Document,
    /// None where the file takes no images; whoever opens it as a network says so.
    input: Option<ImageInput>,
}

impl BackboneImages {
    /// The backbone of a recipe, if it has one.
    fn open(recipe: &Recipe, context: &TrainingContext<'_>) -> Result<Option<Self>> {
        let Some(name) = recipe.backbone.as_deref() else {
            return Ok(None);
        };
        let path = resolve::backbone_path(name, &context.cache, context.offline, context.printer)?;
        let file = ModelFile::open(&path)?;
        let document = Document::from_file(&file)?;
        let input = ImageInput::of_document(&document);
        Ok(Some(Self {
            sha256: file.sha256().to_owned(),
            input,
            document,
            path,
        }))
    }

    /// The row of the catalog for exactly this file.
    fn known(&self) -> Option<&'static catalog::Backbone> {
        catalog::BACKBONES
            .iter()
            .find(|row| row.sha256 == self.sha256)
    }

    fn name(&self) -> String {
        file_name(&self.path)
    }
}

/// Preprocessing of a network's images; `preprocess.json` of a run keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputPreprocess {
    pub preprocess: Preprocess,
    /// What it was decided by, such as `card of net.onnx`; it names no folder of this machine.
    pub source: String,
    /// The one that the backbone was made for, where it is given another number of channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone_preprocess: Option<Preprocess>,
    /// Licence of the backbone's weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone_licence: Option<String>,
    /// Where the backbone's weights are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone_source: Option<String>,
    /// What speaks against it, for the log of a new run.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl InputPreprocess {
    fn new(preprocess: Preprocess, source: impl Into<String>) -> Self {
        Self {
            preprocess,
            source: source.into(),
            backbone_preprocess: None,
            backbone_licence: None,
            backbone_source: None,
            warnings: vec![],
        }
    }

    /// Decides for the network of a new run. It opens no network, since the size of
    /// the images that a backbone leaves open is that of its preprocessing.
    ///
    /// # Errors
    /// When what describes the preprocessing cannot be read or honoured, or does not fit the network's input.
    pub fn decide(recipe: &Recipe, context: &TrainingContext<'_>) -> Result<Self> {
        let backbone = BackboneImages::open(recipe, context)?;
        let typed = recipe
            .preprocess
            .as_ref()
            .map(|typed| Self::new(typed.0.clone(), FLAG));
        let Some(backbone) = backbone else {
            let own = match typed {
                Some(typed) => typed,
                None => {
                    let steps = ImageInput::custom(recipe).imagenet()?;
                    Self::new(steps, "of the custom ResNet")
                }
            };
            return own.fitting(&ImageInput::custom(recipe), CUSTOM);
        };
        let Some(input) = backbone.input else {
            return Ok(Self::new(Preprocess::imagenet(), "of no images"));
        };
        let network = format!("`{}`", backbone.name());
        let num_channels = recipe.channels.unwrap_or(input.num_channels());
        let mut decided = match typed {
            Some(typed) if num_channels == input.num_channels() => typed,
            None if num_channels == input.num_channels() => Self::of_backbone(&backbone, &input)?,
            typed => Self::of_backbone(&backbone, &input)?
                .fitting(&input, &network)?
                .with_channels(num_channels, typed, &network)?,
        };
        if let Some(known) = backbone.known() {
            decided.backbone_licence.get_or_insert(known.licence.into());
            decided.backbone_source.get_or_insert(known.source.into());
        }
        decided.fitting(&input.with_channels(num_channels), &network)
    }

    /// For a backbone whose first convolution is replaced.
    fn with_channels(
        self,
        num_channels: usize,
        typed: Option<Self>,
        network: &str,
    ) -> Result<Self> {
        let Some(changed) = channels::changed(&self.preprocess, num_channels) else {
            let own = match self.preprocess.color() {
                Color::Gray => "grey images",
                Color::Rgba => "RGBA images",
                Color::Rgb | Color::Bgr => "RGB images",
            };
            return Err(Error::refused_with_hint(
                format!(
                    "{network} is for {own}: a network for RGB images alone can be given 1 or 4 channels"
                ),
                "leave out `--channels`",
            ));
        };
        let (preprocess, source) = match typed {
            Some(typed) => (typed.preprocess, typed.source),
            None => (changed?, self.source.clone()),
        };
        Ok(Self {
            preprocess,
            source,
            backbone_preprocess: Some(self.preprocess),
            ..self
        })
    }

    /// The images that the network takes.
    pub fn images(&self) -> InputImages {
        let own = self.backbone_preprocess.as_ref();
        InputImages {
            shape: self.preprocess.output_shape(),
            channel_mix: own.map(|own| channels::mix(own, &self.preprocess)),
        }
    }

    /// What a run keeps.
    ///
    /// # Errors
    /// When it cannot be read or does not fit the network's input.
    pub fn of_run(run: &RunDir, recipe: &Recipe, context: &TrainingContext<'_>) -> Result<Self> {
        let backbone = BackboneImages::open(recipe, context)?;
        let (input, network) = match &backbone {
            Some(backbone) => (backbone.input, format!("`{}`", backbone.name())),
            None => (Some(ImageInput::custom(recipe)), CUSTOM.into()),
        };
        let mut input = input.unwrap_or_else(|| ImageInput::custom(recipe));
        let path = run.preprocess();
        let kept = if path.is_file() {
            serde_json::from_slice(&fs_err::read(&path)?)?
        } else if let Some(typed) = &recipe.preprocess {
            Self::new(typed.0.clone(), FLAG)
        } else {
            // Earlier releases kept no file and always took ImageNet's.
            Self::new(input.imagenet()?, "ImageNet's, of an earlier release")
        };
        if kept.backbone_preprocess.is_some() {
            input = input.with_channels(kept.preprocess.color().channels());
        }
        kept.fitting(&input, &network)
    }

    pub fn save(&self, run: &RunDir) -> Result<()> {
        save_json(&run.preprocess(), self)
    }

    /// Logs the steps with their source, and warns of what speaks against them.
    pub fn log(&self, printer: &Printer) {
        let Self {
            source, preprocess, ..
        } = self;
        printer.log(format!("preprocessing ({source}): {preprocess}"));
        if let Some(own) = &self.backbone_preprocess {
            let [own, new] = [own, preprocess].map(|steps| steps.color().channels());
            printer.log(format!(
                "the backbone's first convolution is changed from {own} channels to {new}"
            ));
        }
        for warning in &self.warnings {
            printer.warn(warning);
        }
    }

    /// The preprocessing of a backbone's file without `--preprocess`.
    fn of_backbone(backbone: &BackboneImages, input: &ImageInput) -> Result<Self> {
        let file = backbone.name();
        let (order, size) = input
            .axes()
            .map_or((Order::Nchw, [None; 2]), |(order, _, size)| (order, size));
        let (card, metadata) = (card(backbone)?, backbone.document.metadata());
        let described = BackboneDescription {
            path: &backbone.path,
            sha256: &backbone.sha256,
            card: card.as_ref(),
            metadata: &metadata,
            layout: (order, input.dtype),
            size: size[0].zip(size[1]),
        };
        if let Some(found) = described.preprocess()? {
            return Ok(Self {
                backbone_licence: found.licence,
                backbone_source: found.weights_source,
                ..Self::new(found.preprocess, found.source)
            });
        }
        let assumed = format!(
            "no preprocessing is known for `{file}`; ImageNet's is taken; a wrong one costs 1 to 3 points: \
             `--preprocess`"
        );
        let inside = graph::normalization(&backbone.document).map(|operator| {
            format!(
                "`{file}` begins with `{operator}` by a constant: it may normalise its images itself, and ImageNet's \
                 mean and deviation come on top of that"
            )
        });
        Ok(Self {
            warnings: [Some(assumed), inside].into_iter().flatten().collect(),
            ..Self::new(input.imagenet()?, "ImageNet's, assumed")
        })
    }

    /// The preprocessing itself, where its result is what the network takes.
    fn fitting(self, input: &ImageInput, network: &str) -> Result<Self> {
        if input.is_fitted_by(&self.preprocess) {
            return Ok(self);
        }
        let result = ImageInput {
            dims: self.preprocess.output_shape().map(Some),
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

/// The card in a backbone's file.
fn card(backbone: &BackboneImages) -> Result<Option<Card>> {
    let metadata = backbone.document.metadata();
    let pairs = metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    Card::from_pairs(pairs).map_err(|error| {
        let hint = format!("give the preprocessing yourself: `{FLAG} TEXT`");
        Error::refused_with_hint(format!("`{}`: {error}", backbone.name()), hint)
    })
}
