//! A model file that is replaced while it is opened: card and weights are those of one file, whichever it is.

use std::path::{Path, PathBuf};

use classifold::card::PREFIX;
use classifold::{Card, Classifier, ClassifierBuilder};
use fs_err as fs;
use onnx::proto::{DataLocation, DataType, StringStringEntryProto};
use onnx::{Document, GraphBuilder, ModelFile, ModelInfo, Tensor};

use crate::support::{Tiny, flat, installed};

/// Units before the scores, so that weights are large enough to be handed to ONNX Runtime beside the graph.
const UNITS: usize = 2048;

/// The tiny model with a wide layer. With `swapped` both the scores and the class names are the other way round, so
/// that the label of an image stays the same.
fn model(swapped: bool) -> Document {
    let mut graph = GraphBuilder::new("wide");
    let dims = ["batch".into(), 3.into(), 4.into(), 4.into()];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    // The first half of the units is red, the second blue.
    let unit = |unit: usize| {
        if unit < UNITS / 2 {
            [1.0, 0.0, 0.0]
        } else {
            [0.0, 0.0, 1.0]
        }
    };
    let wide = Tensor::f32(&[UNITS, 3], (0..UNITS).flat_map(unit).collect()).unwrap();
    let wide = graph.initializer("wide", &wide);
    let bias = graph.initializer(
        "wide.bias",
        &Tensor::f32(&[UNITS], vec![0.0; UNITS]).unwrap(),
    );
    let x = graph.gemm("wide_fc", &x, &wide, &bias);
    let score = |i: usize| {
        let is_red = (i / UNITS == 0) != swapped;
        if is_red == (i % UNITS < UNITS / 2) {
            0.01
        } else {
            0.0
        }
    };
    let fc = Tensor::f32(&[2, UNITS], (0..2 * UNITS).map(score).collect()).unwrap();
    let fc = graph.initializer("fc.weight", &fc);
    let bias = graph.initializer("bias", &Tensor::f32(&[2], vec![0.0; 2]).unwrap());
    let y = graph.gemm("fc", &x, &fc, &bias);
    graph.output(&y, "logits", DataType::Float, &["batch".into(), 2.into()]);
    let mut document = graph.finish(&ModelInfo::default()).unwrap();
    let mut card = Tiny::default().card();
    if swapped {
        card.classes.reverse();
    }
    document.set_metadata(PREFIX, &Card::to_pairs(&card));
    document
}

/// Moves the values of `fc.weight` into `weights.data` beside the model.
fn save_with_data(mut document: Document, path: &Path) {
    let tensors = &mut document.graph_mut().initializer;
    let fc = tensors
        .iter_mut()
        .find(|t| t.name() == "fc.weight")
        .unwrap();
    let values = fc.raw_data.take().unwrap();
    fs::write(path.with_file_name("weights.data"), values).unwrap();
    fc.data_location = Some(DataLocation::External as i32);
    fc.external_data = vec![StringStringEntryProto {
        key: Some("location".to_owned()),
        value: Some("weights.data".to_owned()),
    }];
    fs::write(path, document.to_bytes()).unwrap();
}

/// Opens `path` and classifies a red image, `count` times, while `replace` runs in another thread; returns how often
/// it was opened.
fn open_while(count: usize, path: &Path, replace: impl Fn(usize) + Sync) -> usize {
    let open_all = || {
        let mut opened = 0;
        for _ in 0..count {
            match Classifier::builder(path)
                .runtime(installed().clone())
                .threads(1)
                .open()
            {
                Ok(classifier) => {
                    let prediction = classifier.classify(&flat(250, 10).into()).unwrap();
                    assert_eq!(prediction.label, "red", "another model's card or weights");
                    opened += 1;
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("was replaced or written"), "{text}");
                }
            }
        }
        opened
    };
    std::thread::scope(|scope| {
        let opener = scope.spawn(open_all);
        // Ends when that thread panics, too.
        (0..)
            .take_while(|_| !opener.is_finished())
            .for_each(replace);
        opener.join().unwrap()
    })
}

#[test]
fn a_file_that_is_replaced_while_it_is_opened_is_one_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let [path, next] = ["model.onnx", "next.onnx"].map(|name| folder.path().join(name));
    let models = [model(false).to_bytes(), model(true).to_bytes()];
    fs::write(&path, &models[0]).unwrap();
    let opened = open_while(200, &path, |round| {
        fs::write(&next, &models[round % 2]).unwrap();
        fs::rename(&next, &path).unwrap();
    });
    // A file that was renamed over is still whole: nothing needs to be refused.
    assert_eq!(opened, 200);
}

#[cfg(unix)]
#[test]
fn data_is_read_from_the_folder_of_its_model_though_a_link_changes_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let versions: [PathBuf; 2] = ["v1", "v2"].map(|name| folder.path().join(name));
    for (version, swapped) in versions.iter().zip([false, true]) {
        fs::create_dir(version).unwrap();
        save_with_data(model(swapped), &version.join("model.onnx"));
    }
    let [current, next] = ["current", "next"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink(&versions[0], &current).unwrap();
    let opened = open_while(200, &current.join("model.onnx"), |round| {
        std::os::unix::fs::symlink(&versions[round % 2], &next).unwrap();
        fs::rename(&next, &current).unwrap();
    });
    assert!(opened > 0);
}

#[test]
fn data_of_a_model_that_was_replaced_meanwhile_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    save_with_data(model(false), &path);
    let file = ModelFile::open(&path).unwrap();
    // The file's time may have the same tick; its number on the disk has not.
    fs::rename(&path, folder.path().join("old.onnx")).unwrap();
    save_with_data(model(true), &path);
    let error = file.detached().unwrap_err().to_string();
    assert!(
        error.contains("was replaced or written while it was read"),
        "{error}"
    );
}

#[test]
fn a_model_in_memory_is_classified_with() {
    let bytes = model(false).to_bytes();
    let file = ModelFile::from_bytes(bytes).unwrap();
    let classifier = ClassifierBuilder::from_file(file)
        .runtime(installed().clone())
        .open()
        .unwrap();
    assert_eq!(
        classifier.classify(&flat(250, 10).into()).unwrap().label,
        "red"
    );
    assert_eq!(classifier.path(), Path::new("(bytes)"));
    let classifier = Classifier::from_bytes(model(true).to_bytes()).unwrap();
    assert_eq!(
        classifier.classify(&flat(10, 250).into()).unwrap().label,
        "blue"
    );
}

#[cfg(unix)]
#[test]
fn a_model_with_data_in_a_hubs_cache_runs() {
    use std::os::unix::fs::symlink;
    let hub = tempfile::tempdir().unwrap();
    let [blobs, snapshot] = ["blobs", "snapshots/1"].map(|name| hub.path().join(name));
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    save_with_data(model(false), &blobs.join("ab12"));
    fs::rename(blobs.join("weights.data"), blobs.join("cd34")).unwrap();
    symlink("../../blobs/ab12", snapshot.join("model.onnx")).unwrap();
    symlink("../../blobs/cd34", snapshot.join("weights.data")).unwrap();
    let builder = Classifier::builder(snapshot.join("model.onnx"));
    let classifier = builder.runtime(installed().clone()).open().unwrap();
    assert_eq!(
        classifier.classify(&flat(250, 10).into()).unwrap().label,
        "red"
    );
}
