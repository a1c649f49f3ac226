//! Native part of the Python package `classifold`: paths, bytes and pixels in, raw numbers out. Knows no numpy and no
//! PIL: `classifold/*.py` turns arrays into buffers and numbers into arrays.

mod classifier;
mod encoder;
mod error;
mod evaluate;
mod input;

/// The module `classifold._native`.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::classifier::Classifier;
    #[pymodule_export]
    use crate::encoder::{Encoder, is_cut_backbone};
    #[pymodule_export]
    use crate::evaluate::evaluate;
}
