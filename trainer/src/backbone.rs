//! Backbone in ONNX Runtime: opened, and proven on images. It knows no head and no loop.

mod proof;

use std::error::Error as StdError;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use deploy::session::Batch;
use deploy::taps::FeatureShape;
use deploy::{Session, SessionOptions};
use models::{Backbone, BackboneFile, FeatureExtractor};
use onnx::{ChannelMix, CutRule, ModelFile};

pub use proof::{Proof, prove, prove_import, prove_on};

use crate::error::{Error, Result};

/// A session of the frozen part, shared by threads.
#[derive(Debug)]
struct SharedSession(Mutex<Session>);

impl FeatureExtractor for SharedSession {
    fn features(
        &self,
        images: &[f32],
        count: usize,
    ) -> Result<Vec<f32>, Box<dyn StdError + Send + Sync>> {
        let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(session.run(images, count)?)
    }
}

/// Prepared images that a network takes.
#[derive(Clone, Debug)]
pub struct InputImages {
    /// `[C, H, W]` or `[H, W, C]`, which a backbone's file may leave open.
    pub shape: [usize; 3],
    /// How the channels that a backbone was made for come from these; none where they are the same.
    pub channel_mix: Option<ChannelMix>,
}

impl From<[usize; 3]> for InputImages {
    fn from(shape: [usize; 3]) -> Self {
        Self {
            shape,
            channel_mix: None,
        }
    }
}

/// Opens an ONNX file as a backbone in ONNX Runtime, which must be loaded. `cut_at` names the value that
/// holds the features, where the graph's own classification layer does not tell.
///
/// # Errors
/// The file cannot be read, takes no images, has no features, or ONNX Runtime refuses it.
pub fn open(
    path: &Path,
    cut_at: Option<&str>,
    images: impl Into<InputImages>,
    threads: usize,
) -> Result<Arc<Backbone>> {
    let InputImages {
        shape: image_shape,
        channel_mix,
    } = images.into();
    let mut file = BackboneFile::open(path, cut_at)?;
    if let Some(mix) = channel_mix {
        file = file.with_channels(mix)?;
    }
    check_shape(&file, image_shape)?;
    if matches!(file.cut.rule, CutRule::Named | CutRule::Output) {
        let value = &file.cut.values[0];
        file.cut.pooled = FeatureShape::of(&file.document(false)?, value, image_shape)?.is_map;
    }
    let takes_any_batch = match file.fixed_batch() {
        None => true,
        Some(_) => {
            let features = file.features(false)?;
            deploy::convert::dynamic_batch(&features, Some(image_shape))?.is_some()
        }
    };
    let bytes = file.features(takes_any_batch)?.to_bytes();
    let session = Session::from_file(
        &ModelFile::from_bytes(bytes)?,
        &SessionOptions {
            // Two images are tried: some exporters open the batch axis and leave a batch of 1 in the graph.
            batches: vec![],
            ..session_options(image_shape, threads)
        },
    )?;
    Ok(Arc::new(Backbone {
        width: session.num_outputs(),
        image_shape,
        takes_any_batch: takes_any_batch && session.batch() == Batch::Dynamic,
        extractor: Box::new(SharedSession(Mutex::new(session))),
        file,
    }))
}

/// More features than this take much space in the cache, and more images to learn from.
const MANY_FEATURES: usize = 8192;

/// What a user should know of a backbone before it is used.
pub fn warnings(backbone: &Backbone) -> Vec<String> {
    let (name, width) = (backbone.file.path.display(), backbone.width);
    let many = (width > MANY_FEATURES).then(|| {
        format!(
            "`{name}` gives {width} features, {} KB an image in the cache; `--cut-at` names a later value",
            width * 4 / 1000
        )
    });
    let fixed = (!backbone.takes_any_batch).then(|| {
        let batch = backbone.file.fixed_batch().unwrap_or(1);
        let images = if batch == 1 {
            "one image".to_owned()
        } else {
            format!("{batch} images")
        };
        format!("`{name}` takes {images} at a time, and so will the exported model")
    });
    [many, fixed].into_iter().flatten().collect()
}

/// How a session of the frozen part is opened: images are run one at a time.
pub(crate) fn session_options(image_shape: [usize; 3], threads: usize) -> SessionOptions {
    SessionOptions {
        threads: Some(threads),
        // The file may leave the size of its images open.
        image_shape: Some(image_shape),
        batches: vec![1],
        ..SessionOptions::default()
    }
}

/// Refuses images of another shape than the file's.
fn check_shape(file: &BackboneFile, image_shape: [usize; 3]) -> Result<()> {
    let mut dims = file.image_dims().into_iter().zip(image_shape);
    if dims.all(|(own, prepared)| own.is_none_or(|own| own == prepared)) {
        return Ok(());
    }
    Err(Error::refused_with_hint(
        format!(
            "`{}` does not take images {image_shape:?}: its input is `{}`",
            file.path.display(),
            file.input
        ),
        "take a network for images of one, three or four channels: [batch, channels, height, width] or [batch, \
         height, width, channels]",
    ))
}
