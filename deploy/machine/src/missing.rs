//! Missing requirement of a provider, as people read it. Knows nothing of the probe.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A requirement without which a provider does not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingRequirement {
    /// The problem, as a sentence without full stop.
    pub what: String,
    /// What is required.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub fix: String,
}

impl fmt::Display for MissingRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n  expected: {}\n  found:    {}",
            self.what, self.expected, self.found
        )
    }
}

/// The fix that installs ONNX Runtime with CUDA and cuDNN.
pub(crate) const INSTALL_CUDA: &str = "run `deploy runtime install cuda`";

impl MissingRequirement {
    pub(crate) fn new(what: String, expected: &str, found: &str, fix: &str) -> Self {
        Self {
            what,
            expected: expected.to_owned(),
            found: found.to_owned(),
            fix: fix.to_owned(),
        }
    }

    /// The fix for a library of NVIDIA's or a provider library that is missing or wrong.
    pub(crate) fn library_fix(name: &str, cuda: Option<u32>) -> String {
        if is_tensorrt(name) {
            return tensorrt_fix(cuda);
        }
        INSTALL_CUDA.to_owned()
    }
}

/// Whether a library comes with TensorRT.
pub(crate) fn is_tensorrt(name: &str) -> bool {
    name.starts_with("libnvinfer") || name.starts_with("libnvonnxparser")
}

/// How to install TensorRT.
pub(crate) fn tensorrt_fix(cuda: Option<u32>) -> String {
    format!(
        "download the tar file of TensorRT 10 for Linux and CUDA {} from NVIDIA's page `TensorRT \
         Download`, unpack it and run `deploy runtime install tensorrt --from FOLDER`",
        cuda.unwrap_or(13)
    )
}
