//! The precision of convolutions: a setting of the thread, as PyTorch's `autocast`.

use crate::bf16;
use std::cell::Cell;

/// In which numbers convolutions multiply. Sums, and all else, are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Inputs, weights and gradients of outputs are rounded to bf16, 8 bits of precision, before they are multiplied.
    ///
    /// Depthwise convolutions and those of few channels stay in f32: they are no matrix products, and bf16 would not be
    /// faster.
    Bf16,
}

/// What multiplies bf16 numbers on this processor: `AMX` or `AVX-512`. None where nothing does.
#[must_use]
pub fn bf16_unit() -> Option<&'static str> {
    bf16::Unit::detect().map(bf16::Unit::name)
}

thread_local! {
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Runs `f` with this precision of the convolutions that it calls on this thread. Gradients have the precision of their
/// forward pass, whenever they are computed. Convolutions that Burn computes itself, on other devices and with dilation or
/// groups, are not concerned.
///
/// # Panics
/// With [`Precision::Bf16`] where [`bf16_unit`] is none.
pub fn with_precision<T>(precision: Precision, f: impl FnOnce() -> T) -> T {
    assert!(
        precision == Precision::F32 || bf16_unit().is_some(),
        "this processor multiplies no bf16 numbers"
    );
    struct Restore(Precision);
    impl Drop for Restore {
        fn drop(&mut self) {
            PRECISION.set(self.0);
        }
    }
    let _restore = Restore(PRECISION.replace(precision));
    f()
}

/// The precision of this thread.
pub(super) fn current() -> Precision {
    PRECISION.get()
}
