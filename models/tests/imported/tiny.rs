//! A small classifier as an ONNX file.

use classifold_models::{Backbone, BackboneFile, FeatureExtractor};
use onnx::proto::DataType;
use onnx::{BatchNormInputs, Dim, GraphBuilder, ModelInfo, Window};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A small residual classifier with batch norm: 6 x 6 pixels and more, 5 classes.
pub(crate) fn tiny(folder: &Path) -> PathBuf {
    let mut g = GraphBuilder::new("tiny");
    let mut seed = 1u32;
    let mut draw = |dims: &[usize]| {
        let count = dims.iter().product();
        let values = (0..count).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
        });
        onnx::Tensor::f32(dims, values.collect()).unwrap()
    };
    let ones = onnx::Tensor::f32(&[4], vec![1.5; 4]).unwrap();
    let image = ["batch".into(), Dim::Fixed(3), "h".into(), "w".into()];
    let x = g.input("image", DataType::Float, &image);
    let w = g.initializer("stem.w", &draw(&[4, 3, 3, 3]));
    let x = g.conv("stem", &x, &w, None, Window::square(3, 2, 1));
    let names = ["s", "b", "m", "v"].map(|n| format!("norm.{n}"));
    for name in &names {
        let values = if name == "norm.v" {
            ones.clone()
        } else {
            draw(&[4])
        };
        g.initializer(name, &values);
    }
    let [scale, bias, mean, var] = names.each_ref().map(String::as_str);
    let norm = BatchNormInputs {
        scale,
        bias,
        mean,
        var,
    };
    let x = g.batch_norm("norm", &x, norm, 1e-5);
    let x = g.relu("relu", &x);
    let (w, b) = (
        g.initializer("conv.w", &draw(&[4, 4, 3, 3])),
        g.initializer("conv.b", &draw(&[4])),
    );
    let y = g.conv("conv", &x, &w, Some(&b), Window::square(3, 1, 1));
    let x = g.add("sum", &y, &x);
    let x = g.global_average_pool("pool", &x);
    let x = g.flatten("flatten", &x);
    let (w, b) = (
        g.initializer("head.w", &draw(&[5, 4])),
        g.initializer("head.b", &draw(&[5])),
    );
    let x = g.gemm("head", &x, &w, &b);
    g.output(
        &x,
        "scores",
        DataType::Float,
        &["batch".into(), Dim::Fixed(5)],
    );
    let path = folder.join("tiny.onnx");
    g.finish(&ModelInfo::default())
        .unwrap()
        .save(&path)
        .unwrap();
    path
}

/// Features without a runtime: the mean of an image, as often as there are features.
#[derive(Debug)]
struct Means(usize);

impl FeatureExtractor for Means {
    fn features(
        &self,
        images: &[f32],
        count: usize,
    ) -> Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>> {
        let len = images.len() / count;
        let means = images
            .chunks(len)
            .map(|image| image.iter().sum::<f32>() / len as f32);
        Ok(means.flat_map(|mean| vec![mean; self.0]).collect())
    }
}

/// A file as a backbone of `width` features.
pub(crate) fn backbone(path: &Path, width: usize, image_shape: [usize; 3]) -> Arc<Backbone> {
    Arc::new(Backbone {
        width,
        image_shape,
        takes_any_batch: true,
        extractor: Box::new(Means(width)),
        file: BackboneFile::open(path, None).unwrap(),
    })
}
