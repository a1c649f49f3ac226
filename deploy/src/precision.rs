//! Numeric precision of inference, and whether a file must be converted for it. Converts nothing.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use machine::Provider;

use crate::error::{Error, Result};

/// Numeric precision in which a model computes. Its input and output stay `f32`.
///
/// ```
/// use classifold::{Precision, Provider};
///
/// let precision: Precision = "fp16".parse()?;
/// assert!(precision.converts(Provider::Cpu)?);
/// assert!(!precision.converts(Provider::TensorRt { device: 0 })?);
/// # Ok::<(), classifold::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    Fp32,
    /// Single precision with factors rounded to 10 bits of mantissa, on NVIDIA's tensor cores.
    Tf32,
    /// Single precision with factors rounded to 7 bits of mantissa (bfloat16), on processors that have it.
    Bf16,
    /// Half precision.
    Fp16,
    /// Bytes between quantise and dequantise nodes (QDQ), calibrated on images.
    Int8,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 5] = [Self::Fp32, Self::Tf32, Self::Bf16, Self::Fp16, Self::Int8];

    /// Its name, as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }

    /// Precision in which a file computes where this one is asked for: one of half precision or 8-bit integers (`own`,
    /// as [`Model::precision`](crate::Model::precision) says) does not compute in single precision.
    #[must_use]
    pub fn in_file(self, own: &str) -> Self {
        match (self, own.parse()) {
            (Self::Fp32 | Self::Tf32, Ok(own @ (Self::Fp16 | Self::Int8))) => own,
            _ => self,
        }
    }

    /// Whether the file must be converted for this precision on `provider`.
    ///
    /// TensorRT and OpenVINO compute an `fp32` file in half precision by themselves, OpenVINO in bf16, too; the CPU and
    /// CUDA compute as the file says. 8-bit integers always need a converted file: no provider knows the ranges of
    /// values.
    ///
    /// # Errors
    /// TF32 without CUDA, bf16 without OpenVINO.
    pub fn converts(self, provider: Provider) -> Result<bool> {
        let is_openvino = matches!(provider, Provider::OpenVino { .. });
        match (self, provider) {
            (Self::Tf32, provider) if !provider.needs_cuda() => {
                Err(Error::precision_unsupported(self.name(), provider.name()))
            }
            (Self::Bf16, provider) if !is_openvino => {
                Err(Error::precision_unsupported(self.name(), provider.name()))
            }
            (Self::Fp32 | Self::Tf32 | Self::Bf16, _)
            | (Self::Fp16, Provider::TensorRt { .. } | Provider::OpenVino { .. }) => Ok(false),
            (Self::Fp16 | Self::Int8, _) => Ok(true),
        }
    }

    /// Refuses a file of another precision (`own`) where the provider does not compute in this one by itself.
    pub(crate) fn check_file(self, provider: Provider, own: &str, path: &Path) -> Result<()> {
        if own == self.name() {
            return self.converts(provider).map(|_| ());
        }
        if self.converts(provider)? {
            return Err(Error::precision_differs(path, self.name(), own));
        }
        let is_rounded = matches!(self, Self::Bf16 | Self::Fp16);
        // OpenVINO rounds single precision; what is in integers or half precision already stays as it is.
        if matches!(provider, Provider::OpenVino { .. }) && is_rounded && own != Self::Fp32.name() {
            return Err(Error::precision_chosen(path, self.name(), own));
        }
        Ok(())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == text)
            .ok_or_else(|| Error::precision_name(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions_are_read_and_written() {
        for precision in Precision::ALL {
            let text = precision.to_string();
            assert_eq!(text.parse::<Precision>().unwrap(), precision);
        }
        for text in ["", "FP32", "bfloat16", "16"] {
            let error = text.parse::<Precision>().unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("`{text}`")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_quantised_file_is_not_said_to_compute_in_single_precision() {
        assert_eq!(Precision::Fp32.in_file("int8"), Precision::Int8);
        assert_eq!(Precision::Tf32.in_file("fp16"), Precision::Fp16);
        assert_eq!(Precision::Tf32.in_file("fp32"), Precision::Tf32);
        assert_eq!(Precision::Fp16.in_file("int8"), Precision::Fp16);
        assert_eq!(Precision::Fp32.in_file("none"), Precision::Fp32);
    }

    #[test]
    fn a_file_is_converted_where_the_provider_cannot_do_it_alone() {
        let gpu = [
            Provider::Cuda { device: 0 },
            Provider::TensorRt { device: 1 },
        ];
        let converts = |precision: Precision, provider| precision.converts(provider).unwrap();
        let openvino: Provider = "openvino".parse().unwrap();
        for provider in [Provider::Cpu, openvino] {
            assert!(Precision::Tf32.converts(provider).is_err());
        }
        for provider in [Provider::Cpu, gpu[0], gpu[1]] {
            assert!(Precision::Bf16.converts(provider).is_err());
        }
        assert!(!converts(Precision::Bf16, openvino));
        assert!(!converts(Precision::Fp16, openvino));
        for provider in [Provider::Cpu, gpu[0], gpu[1], openvino] {
            assert!(!converts(Precision::Fp32, provider));
            assert!(converts(Precision::Int8, provider));
        }
        assert!(gpu.iter().all(|gpu| !converts(Precision::Tf32, *gpu)));
        assert!(converts(Precision::Fp16, Provider::Cpu));
        assert!(converts(Precision::Fp16, gpu[0]));
        assert!(!converts(Precision::Fp16, gpu[1]));
    }

    #[test]
    fn a_file_that_is_rounded_already_is_not_rounded_again() {
        let openvino: Provider = "openvino".parse().unwrap();
        let check = |precision: Precision, own| {
            let error = precision.check_file(openvino, own, Path::new("m.onnx"));
            error.err().map(|error| error.to_string())
        };
        for (precision, own) in [
            (Precision::Fp32, "fp32"),
            (Precision::Fp32, "int8"),
            (Precision::Bf16, "fp32"),
            (Precision::Fp16, "fp32"),
            (Precision::Fp16, "fp16"),
            (Precision::Int8, "int8"),
        ] {
            assert_eq!(check(precision, own), None, "{precision} {own}");
        }
        assert_eq!(
            check(Precision::Bf16, "int8").as_deref(),
            Some("`m.onnx` cannot be run in bf16: it is in int8 already")
        );
        assert!(
            check(Precision::Int8, "fp32")
                .unwrap()
                .contains("expected: a file of int8")
        );
    }
}
