//! Conversion between `f32` and tensors of a model's own element type. Knows no model.

use half::f16;
use ort::session::SessionInputValue;
use ort::value::{DynTensor, Tensor, TensorElementType, TensorRef, TensorValueTypeMarker, Value};

/// Images as a tensor of the model's own element type; `f32` is not copied.
pub(crate) fn to_input(
    element: TensorElementType,
    images: &[f32],
    shape: [usize; 4],
) -> ort::Result<SessionInputValue<'_>> {
    Ok(match element {
        TensorElementType::Float16 => {
            let halves: Vec<f16> = images.iter().copied().map(f16::from_f32).collect();
            Tensor::from_array((shape, halves))?.into()
        }
        TensorElementType::Uint8 => {
            let bytes: Vec<u8> = images.iter().copied().map(to_u8).collect();
            Tensor::from_array((shape, bytes))?.into()
        }
        _ => TensorRef::from_array_view((shape, images))?.into(),
    })
}

/// Writes images into a tensor of the same length in the host's memory.
pub(super) fn write_images(
    element: TensorElementType,
    images: &[f32],
    tensor: &mut DynTensor,
) -> ort::Result<()> {
    match element {
        TensorElementType::Float16 => {
            let (_, out) = tensor.try_extract_tensor_mut::<f16>()?;
            let halves = images.iter().copied().map(f16::from_f32);
            out.iter_mut().zip(halves).for_each(|(out, v)| *out = v);
        }
        TensorElementType::Uint8 => {
            let (_, out) = tensor.try_extract_tensor_mut::<u8>()?;
            let bytes = images.iter().copied().map(to_u8);
            out.iter_mut().zip(bytes).for_each(|(out, v)| *out = v);
        }
        _ => tensor
            .try_extract_tensor_mut::<f32>()?
            .1
            .copy_from_slice(images),
    }
    Ok(())
}

fn to_u8(value: f32) -> u8 {
    // A cast alone would truncate 254.9999 to 254.
    value.round().clamp(0.0, 255.0) as u8
}

/// The numbers of an output of any floating-point type.
pub(crate) fn to_f32<T: TensorValueTypeMarker + ?Sized>(
    output: &Value<T>,
) -> ort::Result<Vec<f32>> {
    let element = output.dtype().tensor_type();
    Ok(match element {
        Some(TensorElementType::Float16) => output
            .try_extract_tensor::<f16>()?
            .1
            .iter()
            .map(|v| v.to_f32())
            .collect(),
        Some(TensorElementType::Float64) => output
            .try_extract_tensor::<f64>()?
            .1
            .iter()
            .map(|v| *v as f32)
            .collect(),
        _ => output.try_extract_tensor::<f32>()?.1.to_vec(),
    })
}
