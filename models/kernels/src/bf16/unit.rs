//! What multiplies bf16 numbers on this processor.

use std::sync::OnceLock;

/// A part of the processor that multiplies bf16 numbers and adds the products in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Intel's matrix extension: tiles of 16 x 32 numbers.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// AVX-512's products of pairs.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Unit {
    /// The fastest one of this processor that the system permits.
    pub(crate) fn detect() -> Option<Self> {
        static UNIT: OnceLock<Option<Unit>> = OnceLock::new();
        *UNIT.get_or_init(|| Self::all().next())
    }

    /// All of this processor, the fastest first.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let has_avx512 =
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
        let amx = super::amx::is_permitted().then_some(Self::Amx);
        let avx512 = has_avx512.then_some(Self::Avx512);
        amx.into_iter().chain(avx512)
    }

    /// All of this processor: none.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        std::iter::empty()
    }

    /// Whether Winograd's algorithm in f32 is faster. AVX-512 multiplies bf16 at about the rate of f32, and the algorithm
    /// saves more than half of the products.
    pub(super) fn is_slower_than_winograd(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => false,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => true,
        }
    }

    /// Its name, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "AMX",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512",
        }
    }
}
