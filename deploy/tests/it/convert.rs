//! Converted files in ONNX Runtime: what they answer, and with which kernels.

use std::path::{Path, PathBuf};

use classifold::convert::{self, Calibration, NodeChoice, Quantizer, Scheme};
use classifold::data::{Dataset, Split};
use classifold::diff::diff;
use classifold::eval::EvalOptions;
use classifold::image::Rgb;
use classifold::{Card, Classifier, Precision};
use fs_err as fs;
use onnx::proto::DataType;
use onnx::{BatchNormInputs, Dim, GraphBuilder, ModelFile, ModelInfo, Tensor, Window};

use crate::support::{installed, shared};

const PREPROCESS: &str =
    "decode(rgb, exif)|resize(12, 16, bilinear, antialias)|scale(1/255)|layout(nchw, f32)";

fn weights(dims: &[usize], size: f32) -> Tensor {
    let len: usize = dims.iter().product();
    let value = |i: usize| ((i * 7919 % 1009) as f32 / 504.0 - 1.0) * size;
    Tensor::f32(dims, (0..len).map(value).collect()).unwrap()
}

/// A small residual network with a card; `seed` tells several of them apart.
fn network(folder: &Path, batch: Dim, seed: f32) -> PathBuf {
    let mut graph = GraphBuilder::new("residual");
    let dims = [batch.clone(), 3.into(), 12.into(), 16.into()];
    let x = graph.input("input", DataType::Float, &dims);
    let w = graph.initializer("conv1.weight", &weights(&[8, 3, 3, 3], 0.5 + seed));
    let x = graph.conv("conv1", &x, &w, None, Window::square(3, 1, 1));
    let names = ["bn.weight", "bn.bias", "bn.mean", "bn.var"];
    for (name, value) in names.into_iter().zip([1.5, 0.1, 0.2, 0.8]) {
        graph.initializer(name, &Tensor::f32(&[8], vec![value; 8]).unwrap());
    }
    let [scale, bias, mean, var] = names;
    let norm = BatchNormInputs {
        scale,
        bias,
        mean,
        var,
    };
    let x = graph.batch_norm("bn", &x, norm, 1e-5);
    let x = graph.relu("relu", &x);
    let x = graph.max_pool("maxpool", &x, Window::square(2, 2, 0));
    let w = graph.initializer("conv2.weight", &weights(&[8, 8, 3, 3], 0.3));
    let b = graph.initializer("conv2.bias", &weights(&[8], 0.2));
    let y = graph.conv("conv2", &x, &w, Some(&b), Window::square(3, 1, 1));
    let y = graph.add("add", &y, &x);
    let y = graph.relu("relu2", &y);
    let y = graph.global_average_pool("pool", &y);
    let y = graph.flatten("flatten", &y);
    let w = graph.initializer("fc.weight", &weights(&[2, 8], 2.0));
    let b = graph.initializer("fc.bias", &weights(&[2], 0.1));
    let y = graph.gemm("fc", &y, &w, &b);
    graph.output(&y, "logits", DataType::Float, &[batch, 2.into()]);
    let mut document = graph.finish(&ModelInfo::default()).unwrap();
    let card = Card {
        preprocess: PREPROCESS.parse().unwrap(),
        ..crate::support::Tiny::default().card()
    };
    document.set_metadata(classifold::card::PREFIX, &card.to_pairs());
    let path = folder.join("model.onnx");
    document.save(&path).unwrap();
    path
}

/// Images of changing stripes, `red` and `blue`.
fn striped_images(folder: &Path) -> Dataset {
    for (class, at) in [("blue", 2), ("red", 0)] {
        for i in 0..20_u32 {
            let path = folder.join(format!("photos/{class}/{i}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let image = classifold::RgbImage::from_fn(19, 14, |x, y| {
                let mut pixel = [((x * (i + 3) + 5 * y) % 256) as u8; 3];
                pixel[at] = 255 - (i * 7 % 100) as u8;
                Rgb(pixel)
            });
            image.save(&path).unwrap();
        }
    }
    Dataset::open(&folder.join("photos"), 0).unwrap()
}

fn open(path: &Path) -> Classifier {
    Classifier::builder(path)
        .runtime(installed().clone())
        .threads(1)
        .open()
        .unwrap()
}

fn calibration(dataset: &Dataset, scheme: Scheme) -> Calibration {
    Calibration::choose(dataset, 16, 0, PREPROCESS.parse().unwrap(), scheme)
}

/// The largest difference of a logit, relative to the largest |logit|.
fn off(first: &Path, second: &Path, dataset: &Dataset) -> f32 {
    let options = EvalOptions::default();
    let (first, second) = (open(first), open(second));
    let samples = dataset.samples(Split::Test);
    let found = diff(&first, &second, samples, Some(&dataset.classes), &options).unwrap();
    assert_eq!(found.pairs.len(), samples.len());
    found.max_logit_difference / found.largest_logit
}

#[test]
fn half_precision_answers_as_the_original_and_keeps_the_card() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = striped_images(folder.path());
    let model = network(folder.path(), "batch".into(), 0.0);
    let out = folder.path().join("half.onnx");
    assert_eq!(convert::fp16(&file(&model), &out).unwrap().kept, []);
    let off = off(&model, &out, &dataset);
    // Half precision rounds at 2^-11; some layers of it.
    assert!(off > 0.0 && off < 5e-3, "{off}");
    let converted = open(&out);
    let card = converted.card().unwrap();
    assert_eq!(card.classes, ["red", "blue"]);
    assert_eq!(card.provenance.options["precision"], "fp16");
    assert_eq!(converted.model().unwrap().precision, "fp16");
}

/// A network most of whose numbers stay in single precision, whatever it is converted to: a mean image, and a
/// convolution whose tiny bias half precision loses.
fn mostly_single(folder: &Path) -> PathBuf {
    let mut graph = GraphBuilder::new("mostly_single");
    let dims = ["batch".into(), 3.into(), 12.into(), 16.into()];
    let x = graph.input("input", DataType::Float, &dims);
    // Too small for half precision, so that it stays as it is, too.
    graph.initializer("mean", &weights(&[1, 3, 12, 16], 1e-6));
    let x = graph.node("Sub", "less_mean", &[&x, "mean"], vec![]);
    let w = graph.initializer("conv.weight", &weights(&[4, 3, 3, 3], 0.5));
    let b = graph.initializer("conv.bias", &weights(&[4], 1e-9));
    let x = graph.conv("conv", &x, &w, Some(&b), Window::square(3, 1, 1));
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let w = graph.initializer("fc.weight", &weights(&[2, 4], 2.0));
    let b = graph.initializer("fc.bias", &weights(&[2], 0.1));
    let y = graph.gemm("fc", &x, &w, &b);
    graph.output(&y, "logits", DataType::Float, &["batch".into(), 2.into()]);
    let mut document = graph.finish(&ModelInfo::default()).unwrap();
    let card = Card {
        preprocess: PREPROCESS.parse().unwrap(),
        ..crate::support::Tiny::default().card()
    };
    document.set_metadata(classifold::card::PREFIX, &card.to_pairs());
    let path = folder.join("mostly_single.onnx");
    document.save(&path).unwrap();
    path
}

#[test]
fn a_converted_file_is_of_its_precision_though_most_of_its_numbers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = striped_images(folder.path());
    let model = mostly_single(folder.path());
    assert_eq!(open(&model).model().unwrap().precision, "fp32");
    let out = folder.path().join("out.onnx");
    for precision in [Precision::Fp16, Precision::Int8] {
        if precision == Precision::Fp16 {
            let half = convert::fp16(&file(&model), &out).unwrap();
            assert_eq!(half.kept.len(), 2, "{half:?}");
        } else {
            let calibration = calibration(&dataset, Scheme::Asymmetric);
            convert::int8(&file(&model), &out, &calibration).unwrap();
        }
        let builder = Classifier::builder(&out).runtime(installed().clone());
        let converted = builder.precision(precision).open().unwrap();
        assert_eq!(converted.model().unwrap().precision, precision.name());
        let card = converted.card().unwrap();
        assert_eq!(card.provenance.options["precision"], precision.name());
    }
}

#[test]
fn integers_answer_nearly_as_the_original_in_both_schemes() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = striped_images(folder.path());
    for batch in ["batch".into(), Dim::Fixed(3)] {
        let model = network(folder.path(), batch, 0.0);
        for scheme in [Scheme::Asymmetric, Scheme::Symmetric] {
            let out = folder.path().join("int8.onnx");
            let original = open(&model);
            let report =
                convert::int8(&file(&model), &out, &calibration(&dataset, scheme)).unwrap();
            assert_eq!((report.graph.nodes, report.images), (3, 16));
            drop(original);
            let off = off(&model, &out, &dataset);
            assert!(off > 0.0 && off < 0.1, "{scheme:?} {off}");
            assert_eq!(open(&out).model().unwrap().precision, "int8");
        }
    }
}

#[test]
fn a_kept_file_is_never_another_models() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = striped_images(folder.path());
    let cache = folder.path().join("cache");
    let model = network(folder.path(), "batch".into(), 0.0);
    drop(open(&model));
    let fp16 = || convert::cached(&file(&model), Precision::Fp16, None, &cache).unwrap();
    let first = fp16();
    assert!(!first.reused && fp16().reused);
    // Trained anew under the same name.
    network(folder.path(), "batch".into(), 0.25);
    let second = fp16();
    assert!(!second.reused && second.path != first.path);
    assert!(off(&model, &second.path, &dataset) < 5e-3);
    assert!(off(&model, &first.path, &dataset) > 5e-3);
    // Cut off by a crash.
    fs::write(&second.path, &fs::read(&second.path).unwrap()[..1000]).unwrap();
    assert!(!fp16().reused);
    assert_eq!(
        off(&model, &fp16().path, &dataset),
        off(&model, &second.path, &dataset)
    );

    let mut calibration = calibration(&dataset, Scheme::Asymmetric);
    let int8 = |calibration: &Calibration| {
        convert::cached(&file(&model), Precision::Int8, Some(calibration), &cache).unwrap()
    };
    let first = int8(&calibration);
    assert!(!first.reused && int8(&calibration).reused);
    calibration.images.pop();
    let second = int8(&calibration);
    assert!(!second.reused && second.path != first.path);
    // The same name, another image.
    fs::copy(&dataset.test[0].path, &calibration.images[0]).unwrap();
    let third = int8(&calibration);
    assert!(!third.reused && third.path != second.path);
}

#[test]
fn whatever_nodes_are_kept_answers_are_near_and_the_kept_file_is_of_that_choice() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = striped_images(folder.path());
    let cache = folder.path().join("cache");
    for (batch, scheme) in [
        ("batch".into(), Scheme::Asymmetric),
        (Dim::Fixed(3), Scheme::Symmetric),
    ] {
        let model = network(folder.path(), batch, 0.0);
        drop(open(&model));
        let calibration = calibration(&dataset, scheme);
        let quantizer = Quantizer::new(&file(&model), &calibration).unwrap();
        let nodes = quantizer.nodes().unwrap();
        let names: Vec<String> = nodes.into_iter().map(|node| node.name).collect();
        assert_eq!(names, ["conv1", "conv2", "add", "pool", "fc"]);
        let out = folder.path().join("int8.onnx");
        let distance = |kept: &[String]| {
            let report = quantizer.save(&out, kept).unwrap();
            assert_eq!(report.graph.kept, kept);
            assert_eq!(open(&out).model().unwrap().precision, "int8");
            let answers = off(&model, &out, &dataset);
            let in_memory = quantizer.quantize(kept).unwrap();
            assert_eq!(in_memory.bytes(), file(&out).bytes());
            answers
        };
        // None; all but the last; integers at the beginning and single precision at the end; alternating.
        let alternating = [names[1].clone(), names[3].clone()];
        for kept in [&[], &names[..4], &names[1..], &alternating] {
            let distance = distance(kept);
            assert!(
                0.0 < distance && distance < 0.1,
                "{scheme:?} {kept:?} {distance}"
            );
        }

        let cached = |key: &str, kept: &[String], is_new: bool| {
            let choose = |_: &Quantizer| {
                assert!(is_new, "{key} is kept already");
                Ok(kept.to_vec())
            };
            let choice = NodeChoice {
                key: key.to_owned(),
                choose: &choose,
            };
            let found = convert::cached_int8(&file(&model), &calibration, &choice, &cache);
            let found = found.unwrap();
            assert_eq!(found.reused, !is_new);
            fs::read(&found.path).unwrap()
        };
        let here = cached("cpu", &names[..1], true);
        assert_eq!(cached("cpu", &[], false), here);
        assert_ne!(cached("openvino:cpu", &[], true), here);
    }
}

#[test]
fn what_cannot_be_converted_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = striped_images(folder.path());
    let model = network(folder.path(), "batch".into(), 0.0);
    let cache = folder.path().join("cache");
    let cached =
        |precision, calibration| convert::cached(&file(&model), precision, calibration, &cache);
    let error = cached(Precision::Int8, None).unwrap_err();
    assert!(
        error.to_string().contains("needs training images"),
        "{error}"
    );
    let error = cached(Precision::Fp32, None).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("a file cannot be converted to `fp32`"),
        "{error}"
    );
    drop(open(&model));
    let mut broken = calibration(&dataset, Scheme::Asymmetric);
    for path in &broken.images {
        fs::write(path, "no image").unwrap();
    }
    let out = folder.path().join("out.onnx");
    let error = convert::int8(&file(&model), &out, &broken).unwrap_err();
    assert_eq!(error.to_string(), "there are no images to evaluate");
    // One of them readable: the others are listed.
    broken.images.push(dataset.test[0].path.clone());
    let report = convert::int8(&file(&model), &out, &broken).unwrap();
    assert_eq!((report.images, report.unreadable.len()), (1, 16));
    let error = convert::fp16(&file(&out), &model).unwrap_err();
    assert!(error.to_string().contains("quantised already"), "{error}");
}

#[test]
fn other_peoples_files_answer_as_before() {
    let Some(models) = shared("onnx") else { return };
    let Some(photos) = shared("data/hymenoptera") else {
        return;
    };
    let dataset = Dataset::open(&photos, 0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../../../tests/reference/foreign.json");
    let reference: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut converted = 0;
    for foreign in reference["models"].as_array().unwrap() {
        let model = models.join(foreign["file"].as_str().unwrap());
        let outputs = foreign["outputs"].as_u64().unwrap().max(2);
        let preprocess = foreign["preprocess"].as_str().unwrap();
        let open = |path: &Path| {
            let classes = (0..outputs).map(|class| class.to_string()).collect();
            let builder = Classifier::builder(path)
                .runtime(installed().clone())
                .classes(classes);
            builder
                .preprocess(preprocess.parse().unwrap())
                .open()
                .unwrap()
        };
        let original = open(&model);
        let compare = |out: &Path| {
            let options = EvalOptions::default();
            let found = diff(&original, &open(out), &dataset.test[..40], None, &options).unwrap();
            assert!(found.accuracy.is_none());
            (
                found.flips().count(),
                found.max_logit_difference / found.largest_logit,
            )
        };
        let out = folder.path().join("half.onnx");
        if convert::fp16(&file(&model), &out).is_err() {
            continue;
        }
        let (flips, off) = compare(&out);
        // One of them gives a probability: next to 1, its last bit moves the logit by ln 2 of 17.
        assert!(flips <= 1 && off < 0.05, "fp16 {model:?}: {flips} {off}");
        let mut calibration = calibration(&dataset, Scheme::Asymmetric);
        calibration.preprocess = preprocess.parse().unwrap();
        convert::int8(&file(&model), &out, &calibration).unwrap();
        let (flips, off) = compare(&out);
        println!("int8 {}: {flips} of 40, {off}", foreign["file"]);
        assert!(off.is_finite());
        converted += 1;
    }
    assert_eq!(converted, 4);
}

fn file(path: &Path) -> ModelFile {
    ModelFile::open(path).unwrap()
}
