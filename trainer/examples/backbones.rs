//! Opens every ONNX file of a folder as a frozen backbone, writes its features of two images, and imports it for
//! fine-tuning.
//!
//! For `scripts/reference/backbones.py`, which makes the files and compares: beside each FILE.onnx it
//! reads FILE.images.f32 and writes FILE.row.json and FILE.found.f32, and with `--gradients` the gradients of
//! the mean square of the features as FILE.gradients.safetensors:
//!
//!     cargo run --release --workspace --example backbones -- DIR
#![expect(clippy::print_stdout, reason = "an example prints its progress")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use fs_err as fs;
use models::{Backbone, Network, Spec};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use trainer::backbone;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("no folder")?;
    let cache = data::cache::dir(None)?;
    let found = deploy::runtime::find(&deploy::runtime::Search::from_env(None, Some(&cache)))?;
    deploy::runtime::load(&found)?;
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = entries.collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "onnx"));
    files.sort();
    for path in files {
        let row = match features(&path) {
            Ok(row) => row,
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{}: {row}", path.display());
        fs::write(path.with_extension("row.json"), row.to_string())?;
    }
    Ok(())
}

/// Writes the features, computed for both images at once where the file allows it, and returns where they are.
fn features(path: &Path) -> Result<Value> {
    let bytes = fs::read(path.with_extension("images.f32"))?;
    let words = bytes.as_chunks::<4>().0.iter();
    let images: Vec<f32> = words.map(|word| f32::from_le_bytes(*word)).collect();
    // Two square images of three channels.
    let len = images.len() / 2;
    let side = (len / 3).isqrt();
    let opened = backbone::open(path, None, [3, side, side], 2)?;
    let tuned = match tuned(&opened, path, &images) {
        Ok(tuned) => tuned,
        Err(error) => json!({ "error": error.to_string() }),
    };
    let each: Vec<Vec<f32>> = images.chunks_exact(len).map(<[f32]>::to_vec).collect();
    let proof = backbone::prove(&opened, &each)?;
    let found = opened.extractor.features(&images, each.len());
    let found = found.map_err(|error| anyhow::anyhow!("{error}"))?;
    let bytes: Vec<u8> = found.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(path.with_extension("found.f32"), bytes)?;
    Ok(json!({
        "values": opened.file.cut.values,
        "rule": opened.file.cut.rule.to_string(),
        "width": opened.width,
        "image_shape": opened.image_shape,
        "any_batch": opened.takes_any_batch,
        "proof": proof.difference,
        "tuned": tuned,
    }))
}

/// Imports a backbone and compares its features with ONNX Runtime's.
fn tuned(backbone: &Arc<Backbone>, path: &Path, images: &[f32]) -> Result<Value> {
    let device = Device::flex().autodiff();
    let spec = Spec::Imported(Arc::clone(backbone));
    let network = Network::build(&spec, 2, 0, &device)?;
    let [a, b, c] = backbone.image_shape;
    let each: Vec<Vec<f32>> = images
        .chunks_exact(a * b * c)
        .map(<[f32]>::to_vec)
        .collect();
    let difference = backbone::prove_import(&network, &each)?;
    let tensors = network.trainable_tensors();
    if std::env::args().any(|argument| argument == "--gradients") {
        gradients(&network, path, images)?;
    }
    Ok(
        json!({ "difference": difference, "tensors": tensors.len() - 2, "norms": network.num_batch_norms() }),
    )
}

/// Writes the gradients of the mean square of the features with respect to every tensor, by its name in the file.
fn gradients(network: &Network, path: &Path, images: &[f32]) -> Result<()> {
    let network = network.clone().with_norms_in_inference_mode(true);
    let [a, b, c] = network.image_shape();
    let data = TensorData::new(images.to_vec(), [images.len() / (a * b * c), a, b, c]);
    let features = network.features(Tensor::from_data(data, &Device::flex().autodiff()))?;
    let gradients = features.powi_scalar(2).mean().backward();
    let gradients = GradientsParams::from_grads(gradients, &network);
    let mut found = vec![];
    for tensor in network.trainable_tensors() {
        let Some(name) = tensor.name.strip_prefix("backbone.") else {
            continue;
        };
        let data = match tensor.num_dims {
            1 => gradients.get::<1>(tensor.id).map(Tensor::into_data),
            2 => gradients.get::<2>(tensor.id).map(Tensor::into_data),
            3 => gradients.get::<3>(tensor.id).map(Tensor::into_data),
            4 => gradients.get::<4>(tensor.id).map(Tensor::into_data),
            5 => gradients.get::<5>(tensor.id).map(Tensor::into_data),
            _ => gradients.get::<6>(tensor.id).map(Tensor::into_data),
        };
        let data = data.with_context(|| format!("{name} has no gradient"))?;
        let shape = data.shape().to_vec();
        let values = data
            .try_into_vec::<f32>()
            .map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        found.push((name.to_owned(), shape, bytes));
    }
    let views = found.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let bytes = safetensors::serialize(views, None)?;
    fs::write(path.with_extension("gradients.safetensors"), bytes)?;
    Ok(())
}
