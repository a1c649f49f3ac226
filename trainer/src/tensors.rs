//! Values to and from Burn's tensors. It knows no network's layers, no loss and no loop.

use std::fmt::Display;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use models::Network;

use crate::error::{Error, Result};

/// The device of a network, without autodiff.
pub(crate) fn device(network: &Network) -> Device {
    network
        .devices()
        .into_iter()
        .next()
        .unwrap_or_default()
        .without_autodiff()
}

/// The values of a tensor, row by row. Waits for the device.
pub(crate) fn read(tensor: Tensor<2>) -> Result<Vec<f32>> {
    let failed = |error: &dyn Display| Error::refused(format!("logits cannot be read: {error}"));
    let data = tensor.try_into_data().map_err(|error| failed(&error))?;
    data.try_to_vec().map_err(|error| failed(&error))
}

/// The rows of a tensor `[N, K]`. Waits for the device.
pub(crate) fn read_rows(tensor: Tensor<2>) -> Result<Vec<Vec<f32>>> {
    let num_columns = tensor.dims()[1].max(1);
    let values = read(tensor)?;
    Ok(values
        .chunks_exact(num_columns)
        .map(<[f32]>::to_vec)
        .collect())
}
