//! What computes: the CPU, CUDA or TensorRT. A provider that was asked for runs or is an error. How each
//! is set up, is in a file of its own.

pub(crate) mod cpu;
mod cuda;
pub(crate) mod tensorrt;

use std::fmt;
use std::str::FromStr;

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};

use crate::error::{Error, Result, chain};
use crate::precision::Precision;
use crate::runtime;

/// An execution provider of ONNX Runtime.
///
/// ```
/// let provider: deploy::Provider = "cuda:1".parse()?;
/// assert_eq!(provider, deploy::Provider::Cuda { device: 1 });
/// assert_eq!(provider.to_string(), "cuda:1");
/// # Ok::<(), deploy::Error>(())
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
    /// NVIDIA GPUs through TensorRT; what it cannot take runs on CUDA, where a fallback is allowed.
    TensorRt {
        /// Number of the GPU.
        device: u32,
    },
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { device } => write!(f, "cuda:{device}"),
            Self::TensorRt { device } => write!(f, "tensorrt:{device}"),
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

/// What a session asks of its provider.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) precision: Precision,
    /// The CPU's memory arena.
    pub(crate) arena: bool,
    /// The launches of a run are recorded once and replayed.
    pub(crate) graph: bool,
    /// What TensorRT builds, and where that is kept.
    pub(crate) tensorrt: tensorrt::Request,
}

impl Provider {
    /// Its name without the number of the GPU, as in [`crate::placement::Placement::nodes`].
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

    /// What is registered with a session, in order of preference. Every one must start.
    pub(crate) fn dispatches(self, request: &Request) -> Result<Vec<ExecutionProviderDispatch>> {
        let cpu = ep::CPU::default()
            .with_arena_allocator(request.arena)
            .build();
        let list = match self {
            Self::Cpu => vec![cpu],
            Self::Cuda { device } => {
                self.check::<ep::CUDA>()?;
                let cuda = cuda::preset(id(device), request.precision, request.graph);
                vec![cuda.build(), cpu]
            }
            Self::TensorRt { device } => {
                self.check::<ep::TensorRT>()?;
                self.check::<ep::CUDA>()?;
                let tensorrt = tensorrt::preset(id(device), request);
                // What is left for CUDA is not replayed: TensorRT's recording would not hold it.
                let cuda = cuda::preset(id(device), request.precision, false);
                vec![tensorrt.build(), cuda.build(), cpu]
            }
        };
        Ok(list
            .into_iter()
            .map(ExecutionProviderDispatch::error_on_failure)
            .collect())
    }

    /// Whether the library was built with the provider.
    fn check<P: ExecutionProvider>(self) -> Result<()> {
        let failed = |e: ort::Error| Error::ProviderFailed {
            provider: self.to_string(),
            reason: chain(&e),
        };
        if P::is_available().map_err(failed)? {
            return Ok(());
        }
        let mut found = vec!["CPUExecutionProvider"];
        for (name, there) in [
            (ep::CUDA::NAME, ep::CUDA::is_available()),
            (ep::TensorRT::NAME, ep::TensorRT::is_available()),
        ] {
            if there.unwrap_or(false) {
                found.push(name);
            }
        }
        Err(Error::ProviderMissing {
            provider: self.to_string(),
            library: runtime::loaded()
                .map(|found| found.path.clone())
                .unwrap_or_default(),
            expected: P::NAME,
            found: found.join(", "),
        })
    }
}

/// The number as ONNX Runtime takes it.
pub(crate) fn id(device: u32) -> i32 {
    i32::try_from(device).unwrap_or(i32::MAX)
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
