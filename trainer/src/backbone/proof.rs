//! Proof that the cut of a backbone is its features: the file's own classification layer is recomputed from them.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use console::Printer;
use data::{Dataset, Limits, Preprocess, Sample};
use deploy::taps::{Tap, Taps};
use models::{Backbone, Network};
use onnx::{ClassificationLayer, LayerKind};

use crate::error::{Error, Result};
use crate::{golden_images, tensors};

/// Images that a backbone is proven on.
const IMAGES: usize = 8;
/// How far a recomputed logit may be off, relative to the sum of the sizes of its terms: single precision rounds
/// each to 6e-8 of itself, and ONNX Runtime may fuse the graph's operators differently where a value inside is read.
const SINGLE_PRECISION: f64 = 1e-4;
/// The same for graphs of half precision or 8-bit integers.
const LOWER_PRECISION: f64 = 5e-2;

/// What was proven of a backbone.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Images that it was proven on.
    pub images: usize,
    /// The largest difference between a logit of the file and the same logit recomputed from the features, relative to
    /// the sum of the sizes of its terms; none where the file has no classification layer.
    pub difference: Option<f64>,
}

impl Proof {
    /// One line for the log.
    pub fn line(&self, backbone: &Backbone) -> String {
        let cut = &backbone.file.cut;
        let values = cut.values.join("`, `");
        let proven = match self.difference {
            Some(difference) => format!(
                "its own classification layer recomputed on {} images, off by {difference:.1e}",
                self.images
            ),
            None => "there is no layer to recompute".to_owned(),
        };
        format!(
            "features `{values}` [N, {}]: {}; {proven}",
            backbone.width, cut.rule
        )
    }
}

/// Proves a backbone on prepared images: its features are finite and differ between images, and its own
/// classification layer gives the file's own numbers for them.
///
/// # Errors
/// One of these does not hold, or ONNX Runtime fails.
pub fn prove(backbone: &Backbone, images: &[Vec<f32>]) -> Result<Proof> {
    let name = backbone.file.path.display();
    let refuse = |problem: &str| {
        Error::refused_with_hint(
            format!("`{name}` cannot be a backbone: {problem}"),
            "name another value for its features with `--cut-at`, or take another file",
        )
    };
    let mut rows: Vec<Vec<f32>> = vec![];
    for image in images {
        let row = backbone.extractor.features(image, 1).map_err(|error| {
            Error::refused(format!(
                "the features of `{name}` cannot be computed: {error}"
            ))
        })?;
        if row.iter().any(|value| !value.is_finite()) {
            return Err(refuse("its features are not finite numbers"));
        }
        rows.push(row);
    }
    if rows.len() > 1 && rows.windows(2).all(|pair| pair[0] == pair[1]) {
        return Err(refuse("it gives all images the same features"));
    }
    let difference = match backbone.file.cut.layers.as_slice() {
        [] => None,
        layers => Some(recompute(backbone, layers, images, &rows)?),
    };
    let tolerance = match backbone.file.is_single_precision {
        true => SINGLE_PRECISION,
        false => LOWER_PRECISION,
    };
    match difference {
        // NaN is no proof either.
        Some(difference) if difference.is_nan() || difference > tolerance => Err(refuse(&format!(
            "its own classification layer does not give its logits from `{}` (off by {difference:.1e})",
            backbone.file.cut.values.join("`, `")
        ))),
        difference => Ok(Proof {
            images: images.len(),
            difference,
        }),
    }
}

/// Images that Burn computes at once for the proof: more than one, so that a graph for a fixed batch shows.
const BATCH: usize = 3;
/// How far a feature of Burn's may be off, relative to the largest: both compute in single precision, in another
/// order.
const BURN_TOLERANCE: f32 = 1e-3;

/// Proves that a backbone which is trained whole computes in Burn what ONNX Runtime computes from the file. Returns the
/// largest difference of a feature, relative to the largest feature.
///
/// # Errors
/// It does not, or one of the two fails.
pub fn prove_import(network: &Network, images: &[Vec<f32>]) -> Result<f32> {
    let Some(backbone) = network.source() else {
        return Ok(0.0);
    };
    let name = backbone.file.path.display();
    let network = network.valid();
    let device = tensors::device(&network);
    let (mut off, mut largest) = (0f32, f32::MIN_POSITIVE);
    for batch in images.chunks(BATCH) {
        let [a, b, c] = backbone.image_shape;
        let data = TensorData::new(batch.concat(), [batch.len(), a, b, c]);
        let own = network.features(Tensor::from_data(data, &device))?; // [N, D]
        for (image, own) in batch.iter().zip(tensors::read_rows(own)?) {
            let file = backbone.extractor.features(image, 1).map_err(|error| {
                Error::refused(format!(
                    "the features of `{name}` cannot be computed: {error}"
                ))
            })?;
            for (own, file) in own.iter().zip(file) {
                let difference = (own - file).abs();
                // Not `f32::max`, which ignores NaN.
                off = if difference > off || difference.is_nan() {
                    difference
                } else {
                    off
                };
                largest = largest.max(file.abs());
            }
        }
    }
    let off = off / largest;
    if off.is_nan() || off > BURN_TOLERANCE {
        return Err(Error::refused_with_hint(
            format!(
                "`{name}` cannot be trained whole: its features in Burn are {off:.1e} off from those of ONNX Runtime"
            ),
            "it can be used frozen: leave out `--fine-tune`",
        ));
    }
    Ok(off)
}

/// Proves the backbone of a network on training images, and logs where its features are and what a user should know.
pub fn prove_on(
    dataset: &Dataset,
    network: &Network,
    preprocess: &Preprocess,
    printer: &Printer,
) -> Result<()> {
    let Some(backbone) = network.source() else {
        return Ok(());
    };
    let step = dataset.train.len().div_ceil(IMAGES).max(1);
    // Unreadable images are counted and named later.
    let prepare = |sample: &Sample| {
        let image =
            data::decode::open_as(&sample.path, preprocess.color(), &Limits::default()).ok()?;
        preprocess.apply(&image).ok()
    };
    let samples = dataset.train.iter().step_by(step);
    let mut images: Vec<_> = samples.filter_map(prepare).collect();
    if images.is_empty() {
        // Features were computed elsewhere, and the images stayed there.
        images = golden_images::prepared(preprocess)?;
    }
    let proof = prove(backbone, &images)?;
    printer.log(proof.line(backbone));
    if !network.is_frozen() {
        let off = prove_import(network, &images)?;
        printer.log(format!(
            "Burn computes the same features, off by {off:.1e} of the largest"
        ));
    }
    for warning in super::warnings(backbone) {
        printer.warn(warning);
    }
    Ok(())
}

/// The largest relative difference of the layers' recomputed logits.
fn recompute(
    backbone: &Backbone,
    layers: &[ClassificationLayer],
    images: &[Vec<f32>],
    rows: &[Vec<f32>],
) -> Result<f64> {
    let document = backbone.file.document(false)?;
    let names = layers.iter().flat_map(|layer| {
        [
            Some(&layer.output),
            Some(&layer.weight),
            layer.bias.as_ref(),
        ]
        .into_iter()
        .flatten()
        .cloned()
    });
    let names: Vec<String> = names.collect();
    let mut taps = Taps::open(&document, &names, backbone.image_shape, Some(1))?;
    let mut largest: f64 = 0.0;
    for (image, row) in images.iter().zip(rows) {
        let mut taps = taps.run(image)?.into_iter();
        let mut features = row.as_slice();
        for layer in layers {
            let (Some(output), Some(weight)) = (taps.next(), taps.next()) else {
                return Ok(f64::NAN);
            };
            let bias = layer.bias.as_ref().and_then(|_| taps.next());
            let width = match weight.dims.as_slice() {
                [classes, width, ..] => {
                    if layer.rows_are_classes {
                        *width
                    } else {
                        *classes
                    }
                }
                _ => return Ok(f64::NAN),
            };
            let Some((own, rest)) = features.split_at_checked(width) else {
                return Ok(f64::NAN);
            };
            features = rest;
            let off = largest_difference(layer, own, &output, &weight, bias.as_ref());
            // Not `f64::max`, which ignores NaN.
            largest = if off.is_nan() { off } else { largest.max(off) };
        }
        // Values beyond the layers' widths would be no features.
        if !features.is_empty() || largest.is_nan() {
            return Ok(f64::NAN);
        }
    }
    Ok(largest)
}

/// The largest difference of a layer's logits for one image, relative to the sizes of their terms.
fn largest_difference(
    layer: &ClassificationLayer,
    features: &[f32],
    output: &Tap,
    weight: &Tap,
    bias: Option<&Tap>,
) -> f64 {
    let classes = weight.numbers.len() / features.len().max(1);
    // [N, K], or a map [N, K, H, W] that is averaged later. Copies of the image may fill a fixed batch.
    let pixels: usize = match layer.kind {
        LayerKind::Conv => output.dims.iter().skip(2).product(),
        LayerKind::Gemm | LayerKind::MatMul => 1,
    };
    let (alpha, beta) = (f64::from(layer.alpha), f64::from(layer.beta));
    let relative = |class: usize| {
        let (mut logit, mut size) = (0.0, f64::MIN_POSITIVE);
        let mut add = |term: f64| {
            logit += term;
            size += term.abs();
        };
        for (index, feature) in features.iter().enumerate() {
            let at = match layer.rows_are_classes {
                true => class * features.len() + index,
                false => index * classes + class,
            };
            add(alpha * f64::from(*feature) * f64::from(weight.numbers[at]));
        }
        if let Some(bias) = bias {
            // A bias may be one number for all classes.
            let value = bias.numbers.get(class % bias.numbers.len().max(1));
            add(beta * f64::from(value.copied().unwrap_or(f32::NAN)));
        }
        let map = output.numbers.get(class * pixels..(class + 1) * pixels);
        let sum = map.map_or(f64::NAN, |map| {
            map.iter().map(|&value| f64::from(value)).sum()
        });
        (logit - sum / pixels as f64).abs() / size
    };
    (0..classes).map(relative).fold(0.0, |most: f64, next| {
        if next.is_nan() || most.is_nan() {
            f64::NAN
        } else {
            most.max(next)
        }
    })
}
