//! Options of TensorRT for RTX: the batch sizes that a model is compiled for. Names and meanings of the options:
//! `tensorrt_rtx_provider_options.h` in its wheel.
//!
//! It computes in the precision of the file's own numbers. Its compiled models are not kept.

use super::tensorrt::Profile;
use crate::plugin::TENSORRT_RTX;

/// The options with the prefix that `ort` asks for; none where the file fixes the batch.
pub(crate) fn options(profile: Option<&Profile>) -> Vec<(String, String)> {
    let Some(profile) = profile else {
        return Vec::new();
    };
    let (smallest, largest) = profile.batches;
    [
        ("nv_profile_min_shapes", smallest),
        ("nv_profile_opt_shapes", largest),
        ("nv_profile_max_shapes", largest),
    ]
    .map(|(key, batch)| (format!("{TENSORRT_RTX}.{key}"), profile.shape(batch)))
    .into()
}
