//! Execution provider: the CPU, CUDA or TensorRT. Knows no session and none of its options.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// An execution provider of ONNX Runtime.
///
/// ```
/// let provider: classifold_machine::Provider = "cuda:1".parse()?;
/// assert_eq!(provider, classifold_machine::Provider::Cuda { device: 1 });
/// assert_eq!(provider.to_string(), "cuda:1");
/// # Ok::<(), classifold_machine::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Provider {
    /// The CPU.
    #[default]
    Cpu,
    /// NVIDIA GPUs through CUDA.
    Cuda {
        /// Number of the GPU.
        device: u32,
    },
    /// NVIDIA GPUs through TensorRT; nodes that it does not support run on CUDA, where a fallback is allowed.
    TensorRt {
        /// Number of the GPU.
        device: u32,
    },
}

impl Provider {
    /// Its name without the number of the GPU: `cpu`, `cuda`, `tensorrt`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda { .. } => "cuda",
            Self::TensorRt { .. } => "tensorrt",
        }
    }

    /// Number of the GPU; `None` is the CPU.
    pub fn device(self) -> Option<u32> {
        match self {
            Self::Cpu => None,
            Self::Cuda { device } | Self::TensorRt { device } => Some(device),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device() {
            None => f.write_str(self.name()),
            Some(device) => write!(f, "{}:{device}", self.name()),
        }
    }
}

impl FromStr for Provider {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::ProviderName {
            text: text.to_owned(),
        };
        let (name, device) = match text.split_once(':') {
            Some((name, device)) => (name, Some(device.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        match (name, device) {
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", device) => Ok(Self::Cuda {
                device: device.unwrap_or(0),
            }),
            ("tensorrt", device) => Ok(Self::TensorRt {
                device: device.unwrap_or(0),
            }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_read_and_written() {
        for text in ["cpu", "cuda:0", "cuda:3", "tensorrt:1"] {
            assert_eq!(text.parse::<Provider>().unwrap().to_string(), text);
        }
        assert_eq!(
            "cuda".parse::<Provider>().unwrap(),
            Provider::Cuda { device: 0 }
        );
    }

    #[test]
    fn what_is_no_provider_is_named() {
        for text in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "CUDA", "cuda:-1"] {
            let error = text.parse::<Provider>().unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("`{text}`")),
                "{error}"
            );
        }
    }
}
