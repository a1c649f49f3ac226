//! The precision of convolutions and products of matrices: a setting of the thread, as PyTorch's `autocast`.

use std::cell::Cell;

/// In which numbers convolutions and products of matrices multiply. Sums, and all else, are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Inputs, weights and gradients of outputs are rounded to bf16, 8 bits of precision, before they are multiplied.
    ///
    /// Depthwise convolutions and those of few channels stay in f32: they are no matrix products, and bf16 would not be
    /// faster. So do products of fewer than 32 rows.
    Bf16,
}

thread_local! {
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Runs `f` with this precision on this thread.
pub(super) fn scoped<T>(precision: Precision, f: impl FnOnce() -> T) -> T {
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
