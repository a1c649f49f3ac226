//! Backbones whose preprocessing, licence and origin are known by the bytes of their file.

/// Published weights.
pub(super) struct KnownWeights {
    sha256: &'static str,
    pub(super) name: &'static str,
    /// Steps as text.
    pub(super) preprocess: &'static str,
    /// SPDX identifier.
    pub(super) licence: &'static str,
    pub(super) source: &'static str,
}

const KNOWN: [KnownWeights; 1] = [KnownWeights {
    sha256: "4e8f8653e7a2222b3904cc3fe8e304cd8b339ce1d05fd24688162f86fb6df52c",
    name: "resnet18",
    preprocess: "resize_short(256, bilinear, antialias)|center_crop(224)|scale(1/255)|normalize(imagenet)",
    licence: "Apache-2.0",
    source: "ONNX model zoo, resnet18-v1-7",
}];

/// The weights of a file, if they are known.
pub(super) fn find(sha256: &str) -> Option<&'static KnownWeights> {
    KNOWN.iter().find(|weights| weights.sha256 == sha256)
}
