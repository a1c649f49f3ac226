//! Execution provider: the CPU, CUDA, TensorRT, TensorRT for RTX or OpenVINO. Knows no session and none of its options.

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
    /// NVIDIA's GPUs from Ampere on through TensorRT for RTX, a plugin of ONNX Runtime.
    TensorRtRtx {
        /// Number of the GPU.
        device: u32,
    },
    /// Intel's processors, GPUs and NPUs through OpenVINO, a plugin of ONNX Runtime.
    OpenVino {
        /// Kind of the device.
        device: OpenVinoDevice,
    },
}

/// Kind of a device of OpenVINO. Of several GPUs OpenVINO takes the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OpenVinoDevice {
    /// The processor.
    #[default]
    Cpu,
    /// A GPU of Intel's.
    Gpu,
    /// A neural processing unit of Intel's.
    Npu,
}

impl OpenVinoDevice {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Gpu, Self::Npu];

    /// Its name, as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Npu => "npu",
        }
    }
}

impl Provider {
    /// Its name without the device: `cpu`, `cuda`, `tensorrt`, `tensorrt-rtx`, `openvino`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda { .. } => "cuda",
            Self::TensorRt { .. } => "tensorrt",
            Self::TensorRtRtx { .. } => "tensorrt-rtx",
            Self::OpenVino { .. } => "openvino",
        }
    }

    /// Number of NVIDIA's GPU; `None` elsewhere.
    pub fn device(self) -> Option<u32> {
        match self {
            Self::Cpu | Self::OpenVino { .. } => None,
            Self::Cuda { device } | Self::TensorRt { device } | Self::TensorRtRtx { device } => {
                Some(device)
            }
        }
    }

    /// OpenVINO on the processor.
    pub const fn openvino() -> Self {
        Self::OpenVino {
            device: OpenVinoDevice::Cpu,
        }
    }

    /// Whether it computes on the processor, on the cores that decode images as well.
    pub fn is_on_cpu(self) -> bool {
        matches!(
            self,
            Self::Cpu
                | Self::OpenVino {
                    device: OpenVinoDevice::Cpu
                }
        )
    }

    /// Whether it needs an ONNX Runtime that was built with CUDA.
    pub fn needs_cuda(self) -> bool {
        matches!(self, Self::Cuda { .. } | Self::TensorRt { .. })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str(self.name()),
            Self::Cuda { device } | Self::TensorRt { device } | Self::TensorRtRtx { device } => {
                write!(f, "{}:{device}", self.name())
            }
            Self::OpenVino { device } => write!(f, "{}:{}", self.name(), device.name()),
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
            Some((name, device)) => (name, Some(device)),
            None => (text, None),
        };
        let number = || device.map_or(Ok(0), |device| device.parse().map_err(|_| wrong()));
        match (name, device) {
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda { device: number()? }),
            ("tensorrt", _) => Ok(Self::TensorRt { device: number()? }),
            ("tensorrt-rtx", _) => Ok(Self::TensorRtRtx { device: number()? }),
            ("openvino", device) => {
                let named = |known: &OpenVinoDevice| known.name() == device.unwrap_or("cpu");
                let device = OpenVinoDevice::ALL.into_iter().find(named);
                Ok(Self::OpenVino {
                    device: device.ok_or_else(wrong)?,
                })
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_read_and_written() {
        for text in [
            "cpu",
            "cuda:0",
            "cuda:3",
            "tensorrt:1",
            "tensorrt-rtx:1",
            "openvino:cpu",
            "openvino:npu",
        ] {
            assert_eq!(text.parse::<Provider>().unwrap().to_string(), text);
        }
        assert_eq!(
            "cuda".parse::<Provider>().unwrap(),
            Provider::Cuda { device: 0 }
        );
        let device = OpenVinoDevice::Cpu;
        assert_eq!(
            "openvino".parse::<Provider>().unwrap(),
            Provider::OpenVino { device }
        );
    }

    #[test]
    fn what_is_no_provider_is_named() {
        for text in [
            "",
            "gpu",
            "cpu:0",
            "cuda:",
            "cuda:x",
            "CUDA",
            "cuda:-1",
            "openvino:",
            "openvino:0",
        ] {
            let error = text.parse::<Provider>().unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("`{text}`")),
                "{error}"
            );
        }
    }
}
