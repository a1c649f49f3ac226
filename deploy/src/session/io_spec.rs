//! Input and output specification of a model: names, element types, shapes. Runs nothing.

use std::path::Path;

use ort::session::Session as OrtSession;
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::error::{Error, Result};

/// Name, element type and dimensions of the one image input. The error is what was expected and found.
pub(super) fn image_input(
    session: &OrtSession,
) -> std::result::Result<(String, TensorElementType, [i64; 4]), (&'static str, String)> {
    const IMAGE_INPUT: &str = "an input [N, C, H, W]";
    // ONNX Runtime runs without the inputs of an optional type.
    let is_optional = |input: &&Outlet| matches!(input.dtype(), ValueType::Optional(_));
    let inputs: Vec<&Outlet> = session
        .inputs()
        .iter()
        .filter(|i| !is_optional(i))
        .collect();
    let [input] = inputs.as_slice() else {
        return Err(("one input", format!("{} inputs", inputs.len())));
    };
    let (element, dims) = tensor_type(input);
    let supported = [
        TensorElementType::Float32,
        TensorElementType::Float16,
        TensorElementType::Uint8,
    ];
    if !supported.contains(&element) {
        let found = format!("input `{}` of {element}", input.name());
        return Err(("an input of f32, f16 or u8", found));
    }
    if dims.is_empty() {
        return Err((IMAGE_INPUT, format!("a scalar `{}`", input.name())));
    }
    let dims: [i64; 4] = dims
        .as_slice()
        .try_into()
        .map_err(|_| (IMAGE_INPUT, format!("an input {}", format_dims(&dims))))?;
    Ok((input.name().to_owned(), element, dims))
}

/// Element type and dimensions, open ones -1. An outlet that is not a tensor is a scalar of undefined type.
pub(super) fn tensor_type(outlet: &Outlet) -> (TensorElementType, Vec<i64>) {
    let dtype = outlet.dtype();
    match (dtype.tensor_type(), dtype.tensor_shape()) {
        (Some(element), Some(shape)) => (element, shape.to_vec()),
        _ => (TensorElementType::Undefined, Vec::new()),
    }
}

pub(super) fn pick_output<'s>(
    session: &'s OrtSession,
    name: Option<&str>,
) -> std::result::Result<&'s Outlet, String> {
    let outputs = session.outputs();
    match (name, outputs) {
        (Some(name), _) => outputs
            .iter()
            .find(|output| output.name() == name)
            .ok_or_else(|| format!("no output `{name}`")),
        (None, [output]) => Ok(output),
        (None, _) => Err(format!("{} outputs", outputs.len())),
    }
}

/// Shape of the output that is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OutputShape {
    /// Dimensions of the scores of one image; `[K]`, `[K, 1, 1]`, or none for one number.
    pub(super) dims: Vec<usize>,
    /// Whether the batch comes before them. Without it a run is of one image.
    pub(super) has_batch: bool,
}

impl OutputShape {
    /// The dimensions of the output for `batch` images.
    pub(super) fn of_batch(&self, batch: usize) -> Vec<usize> {
        match self.has_batch {
            true => [&[batch][..], &self.dims].concat(),
            false => self.dims.clone(),
        }
    }
}

/// The shape of an output whose axes but one have size 1 beside the batch: `[N, K]`, `[N, K, 1, 1]`, `[N, 1, 1, K]`,
/// `[N]` and `[K]`. `None` where the file leaves it open; `batch` is the size that the input fixes.
pub(super) fn output_shape(
    output: &Outlet,
    batch: Option<usize>,
) -> std::result::Result<Option<OutputShape>, String> {
    let (element, dims) = tensor_type(output);
    let float = matches!(
        element,
        TensorElementType::Float32 | TensorElementType::Float16 | TensorElementType::Float64
    );
    if !float {
        return Err(format!("output `{}` of {element}", output.name()));
    }
    let size = |dim: &i64| usize::try_from(*dim).ok().filter(|size| *size > 0);
    match dims.as_slice() {
        // Some exporters leave out the shape of the output.
        [] => Ok(None),
        // A number for each image, or all numbers of a model without a batch axis.
        [dim] => Ok(Some(match size(dim) {
            Some(classes) if batch != Some(classes) => OutputShape {
                dims: vec![classes],
                has_batch: false,
            },
            _ => OutputShape {
                dims: Vec::new(),
                has_batch: true,
            },
        })),
        [_, dims @ ..] if dims.iter().filter(|dim| **dim != 1).count() <= 1 => {
            let dims = dims.iter().map(size).collect::<Option<Vec<usize>>>();
            Ok(dims.map(|dims| OutputShape {
                dims,
                has_batch: true,
            }))
        }
        _ => Err(format!("an output {}", format_dims(&dims))),
    }
}

/// The model's image shape, its open dimensions taken from the preprocessing.
pub(super) fn image_shape(
    path: &Path,
    dims: &[i64; 3],
    prepared: Option<[usize; 3]>,
) -> Result<[usize; 3]> {
    let fixed = dims.map(|dim| usize::try_from(dim).ok().filter(|dim| *dim > 0));
    let fits = |shape: [usize; 3]| (0..3).all(|i| fixed[i].is_none_or(|dim| dim == shape[i]));
    match prepared {
        Some(prepared) if fits(prepared) => Ok(prepared),
        None if fixed.iter().all(Option::is_some) => Ok(fixed.map(Option::unwrap_or_default)),
        _ => {
            let found = prepared.map(|prepared| format_dims(&prepared.map(|dim| dim as i64)));
            let found = found.as_deref().unwrap_or("nothing");
            Err(Error::shape_differs(path, &format_dims(dims), found))
        }
    }
}

/// Dimensions as text; open ones are `?`.
pub(super) fn format_dims(dims: &[i64]) -> String {
    let dims: Vec<String> = dims
        .iter()
        .map(|d| {
            if *d < 0 {
                "?".to_owned()
            } else {
                d.to_string()
            }
        })
        .collect();
    format!("[{}]", dims.join(", "))
}
