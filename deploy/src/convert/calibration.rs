//! Calibration set: the images on which ranges of values are measured. Measures nothing.

use std::path::PathBuf;

#[cfg(feature = "eval")]
use data::{Dataset, Sample};
use onnx::convert::Scheme;
use pixels::{Limits, Preprocess};

/// Number of calibration images: `docs/precision.md` says what more of them bring.
pub const DEFAULT_IMAGES: usize = 128;

/// Images, and how they are prepared.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// The image files.
    pub images: Vec<PathBuf>,
    /// Steps from an image to the model's input.
    pub preprocess: Preprocess,
    /// Quantisation scheme.
    pub scheme: Scheme,
    /// Limits on files that are decoded.
    pub limits: Limits,
}

#[cfg(feature = "eval")]
impl Calibration {
    /// Stratified sample of about `count` training images: of each class as many as its share, the same images
    /// for the same seed, and all of them where there are fewer.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # for (class, count) in [("ants", 20), ("bees", 60)] {
    /// #     std::fs::create_dir(folder.path().join(class))?;
    /// #     for i in 0..count {
    /// #         std::fs::write(folder.path().join(class).join(format!("{i}.jpg")), "")?;
    /// #     }
    /// # }
    /// # let root = folder.path();
    /// use classifold::convert::{Calibration, Scheme};
    ///
    /// let dataset = classifold::data::Dataset::open(root, 0)?; // 14 ants and 42 bees to train with
    /// let preprocess = classifold::Preprocess::imagenet();
    /// let calibration = Calibration::choose(&dataset, 8, 0, preprocess, Scheme::Asymmetric);
    /// let ants = calibration.images.iter().filter(|path| path.starts_with(root.join("ants")));
    /// assert_eq!((ants.count(), calibration.images.len()), (2, 8));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn choose(
        dataset: &Dataset,
        count: usize,
        seed: u64,
        preprocess: Preprocess,
        scheme: Scheme,
    ) -> Self {
        let all = dataset.train.len().max(1);
        let share = |class_size: usize| {
            // Rounded to the nearest number, and at least one image of each class.
            let chosen = ((class_size * count + all / 2) / all).clamp(1, class_size.max(1));
            let chosen = chosen.min(class_size);
            [class_size - chosen, chosen]
        };
        let samples: Vec<&Sample> = dataset.train.iter().collect();
        let [_, chosen] = data::split::stratified(samples, |sample| sample.label, seed, share);
        Self {
            images: chosen
                .into_iter()
                .map(|sample| sample.path.clone())
                .collect(),
            preprocess,
            scheme,
            limits: Limits::default(),
        }
    }
}
