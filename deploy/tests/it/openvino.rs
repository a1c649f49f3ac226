//! OpenVINO: the plugin missing, damaged or another; precisions, devices and operators that it lacks; compiled models
//! that are kept. Most need the plugin (`deploy runtime install openvino`).
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};

use classifold::probe::{self, SearchPaths};
use classifold::{Feed, OpenVinoDevice, Precision, Provider, Session, SessionOptions, runtime};
use fs_err as fs;
use onnx::proto::{DataType, OperatorSetIdProto};
use onnx::{Attr, Dim, GraphBuilder, ModelInfo, Tensor};

use crate::support::{Tiny, flat, installed};

const OPENVINO: Provider = Provider::openvino();
const PLUGIN: &str = "libonnxruntime_providers_openvino_plugin.so";

/// The folder of the installed plugin; without it a test is skipped, but not in CI.
fn plugin() -> Option<PathBuf> {
    let cache = classifold::cache::dir(None).unwrap();
    let installed = runtime::plugins(&cache).into_iter().next();
    if let Some(plugin) = installed {
        return plugin.library.parent().map(Path::to_owned);
    }
    let needed = "OpenVINO (`deploy runtime install openvino`)";
    assert!(std::env::var_os("CI").is_none(), "needs {needed}");
    println!("skipped: needs {needed}");
    None
}

/// A folder of links to the installed plugin's files.
fn linked(plugin: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(plugin).unwrap() {
        let file = entry.unwrap().path();
        let link = folder.path().join(file.file_name().unwrap());
        std::os::unix::fs::symlink(file, link).unwrap();
    }
    folder
}

/// What is missing where the plugin is looked for in one folder alone, with the folder's name left out.
fn missing(folder: &Path) -> Vec<String> {
    let paths = SearchPaths {
        folders: vec![folder.to_owned()],
        ..SearchPaths::default()
    };
    let found = probe::readiness(OPENVINO, &paths);
    assert_eq!(found.plugin.is_some(), found.missing.is_empty());
    let name = folder.display().to_string();
    let text = |missing: &probe::MissingRequirement| {
        assert_eq!(missing.fix, "run `deploy runtime install openvino`");
        missing.to_string().replace(&name, "[DIR]")
    };
    found.missing.iter().map(text).collect()
}

/// Replaces a link by a file of the same name.
fn replace(folder: &Path, name: &str, bytes: &[u8]) {
    let file = folder.join(name);
    if fs::symlink_metadata(&file).is_ok() {
        fs::remove_file(&file).unwrap();
    }
    fs::write(file, bytes).unwrap();
}

fn options(precision: Precision, engines: &Path) -> SessionOptions {
    SessionOptions {
        provider: OPENVINO,
        precision,
        engines: Some(engines.to_owned()),
        ..SessionOptions::default()
    }
}

/// A network with a convolution, so that precisions differ, `[batch, 3, 8, 8]` to 2 scores; `last` is its last
/// operator and that one's domain.
fn network(folder: &Path, gain: f32, last: Option<(&str, &str)>) -> PathBuf {
    let numbers = |seed: usize, count: usize| -> Vec<f32> {
        (0..count)
            .map(|i| ((7 * i * i + 37 * i + 101 * seed) % 97) as f32 / 96.0 - 0.5)
            .collect()
    };
    let mut graph = GraphBuilder::new("network");
    let dims = ["batch".into(), Dim::Fixed(3), Dim::Fixed(8), Dim::Fixed(8)];
    let x = graph.input("input", DataType::Float, &dims);
    let weight = Tensor::f32(&[16, 3, 3, 3], numbers(2, 16 * 27)).unwrap();
    let weight = graph.initializer("conv.weight", &weight);
    let pads = vec![("pads", Attr::Ints(vec![1; 4]))];
    let x = graph.node("Conv", "conv", &[&x, &weight], pads);
    let x = graph.node("Relu", "relu", &[&x], vec![]);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let rows = numbers(3, 32).iter().map(|n| n * gain).collect();
    let weight = graph.initializer("fc.weight", &Tensor::f32(&[2, 16], rows).unwrap());
    let bias = graph.initializer("fc.bias", &Tensor::f32(&[2], vec![0.0; 2]).unwrap());
    let mut y = graph.gemm("fc", &x, &weight, &bias);
    if let Some((op, _)) = last {
        y = graph.node(op, "last", &[&y], vec![]);
    }
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(2)],
    );
    let path = folder.join("network.onnx");
    let mut document = graph.finish(&ModelInfo::default()).unwrap();
    if let Some((_, domain)) = last {
        let nodes = &mut document.graph_mut().node;
        nodes.last_mut().unwrap().domain = Some(domain.to_owned());
        document.model.opset_import.push(OperatorSetIdProto {
            domain: Some(domain.to_owned()),
            version: Some(1),
        });
    }
    document.save(&path).unwrap();
    path
}

fn images(batch: usize) -> Vec<f32> {
    (0..batch * 192)
        .map(|i| ((7 * i * i + 37 * i) % 97) as f32 / 96.0 - 0.5)
        .collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn a_plugin_that_is_not_there_is_told_with_its_command() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(missing(folder.path()).join("\n"), @r"
    OpenVINO is not installed
      expected: OpenVINO 1.8.1
      found:    none
    ");
}

#[test]
fn a_plugin_that_is_damaged_or_another_library_is_never_loaded() {
    let folder = tempfile::tempdir().unwrap();
    replace(folder.path(), PLUGIN, b"no library\n");
    let first = |folder: &Path| missing(folder).swap_remove(0);
    insta::assert_snapshot!(first(folder.path()), @r"
    `[DIR]/libonnxruntime_providers_openvino_plugin.so` cannot be used
      expected: a shared library
      found:    a text file of 11 bytes
    ");
    // A whole library, but not this one: another version looks like this, too.
    let other = fs::read(&installed().path).unwrap();
    replace(folder.path(), PLUGIN, &other);
    insta::assert_snapshot!(first(folder.path()), @r"
    `[DIR]/libonnxruntime_providers_openvino_plugin.so` cannot be used
      expected: that of OpenVINO 1.8.1, SHA-256 99644306dea90173d2fac5e2ad8d10c9574ecf6e6e71ca30e426531abd5a717f
      found:    another library, SHA-256 aa4079d18f4ea7a5f3a94d80cd4bbe0f2740436626622d64d793803a20381083
    ");
    let Some(plugin) = plugin() else {
        return;
    };
    let folder = linked(&plugin);
    assert_eq!(missing(folder.path()), [] as [&str; 0]);
    for name in [PLUGIN, "libopenvino_intel_cpu_plugin.so", "libtbb.so.12"] {
        let folder = linked(&plugin);
        let bytes = fs::read(plugin.join(name)).unwrap();
        replace(folder.path(), name, &bytes[..bytes.len() / 2]);
        let text = missing(folder.path()).join("\n");
        assert!(text.contains(&format!("`[DIR]/{name}`")), "{text}");
        assert!(text.contains("the file is truncated"), "{text}");
        fs::remove_file(folder.path().join(name)).unwrap();
        assert_eq!(missing(folder.path()).len(), 1);
    }
    // Changed in place: too large to be hashed at every start, `deploy doctor` finds it.
    let folder = linked(&plugin);
    let name = "libtbb.so.12";
    let mut bytes = fs::read(plugin.join(name)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    replace(folder.path(), name, &bytes);
    let error = runtime::verify_plugin(OPENVINO, &folder.path().join(PLUGIN)).unwrap_err();
    assert!(error.to_string().contains("another library"), "{error}");
    runtime::verify_plugin(OPENVINO, &plugin.join(PLUGIN)).unwrap();
}

#[test]
fn only_the_pinned_wheel_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let install = |from: &Path| runtime::install_plugin(OPENVINO, &cache, Some(from), &|_| {});
    let error = install(folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the folder lacks `onnxruntime_ep_openvino-1.8.1-")
    );
    let wheel = error.to_string();
    let wheel = wheel
        .split('`')
        .find(|part| part.ends_with(".whl"))
        .unwrap();
    let wheel = folder.path().join(wheel);
    fs::write(&wheel, "other bytes").unwrap();
    for from in [folder.path(), &wheel] {
        let error = install(from).unwrap_err();
        assert!(
            error.to_string().contains("is not the pinned file"),
            "{error}"
        );
    }
    assert!(runtime::plugins(&cache).is_empty());
    let error = runtime::install_plugin(Provider::Cpu, &cache, None, &|_| {}).unwrap_err();
    assert!(
        error.to_string().contains("it is built into ONNX Runtime"),
        "{error}"
    );
}

#[test]
fn every_precision_is_the_one_that_was_asked_for() {
    let Some(_) = plugin() else {
        return;
    };
    runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = network(folder.path(), 1.0, None);
    let run = |options: &SessionOptions| {
        let mut session = Session::open(&path, options).unwrap();
        (
            session.run(&images(3), 3).unwrap(),
            session.placement().counts(),
        )
    };
    let (expected, _) = run(&SessionOptions::default());
    let device = classifold::plugin::devices(OPENVINO)
        .unwrap()
        .swap_remove(0);
    let mut seen = Vec::new();
    for (precision, least, most) in [
        (Precision::Fp32, 0.0, 1e-6),
        (Precision::Fp16, 1e-6, 1e-2),
        (Precision::Bf16, 1e-5, 1e-1),
    ] {
        let options = options(precision, &folder.path().join("engines"));
        if !device.precisions.contains(&precision) {
            let error = Session::open(&path, &options).unwrap_err();
            assert!(error.to_string().contains("does not compute in"), "{error}");
            continue;
        }
        let (scores, nodes) = run(&options);
        let difference = largest_difference(&scores, &expected);
        assert!(
            (least..most).contains(&difference),
            "{precision}: {difference}"
        );
        assert!(!seen.contains(&scores), "{precision}");
        seen.push(scores);
        assert_eq!(
            nodes.keys().collect::<Vec<_>>(),
            ["openvino"],
            "{precision}"
        );
    }
    let error = Session::open(&path, &options(Precision::Tf32, folder.path())).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`openvino` does not compute in tf32"),
        "{error}"
    );
}

#[test]
fn an_operator_that_it_lacks_is_an_error_that_names_the_node() {
    let Some(_) = plugin() else {
        return;
    };
    runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = network(folder.path(), 1.0, Some(("Normalizer", "ai.onnx.ml")));
    let strict = options(Precision::Fp32, &folder.path().join("engines"));
    let error = Session::open(&path, &strict).unwrap_err();
    insta::assert_snapshot!(error, @r"
    not all of the model runs on `openvino:cpu`
      elsewhere: cpu: Normalizer `last`
    ");
    let lenient = SessionOptions {
        allow_fallback: true,
        ..strict
    };
    let mut session = Session::open(&path, &lenient).unwrap();
    assert_eq!(session.placement().counts()["cpu"], 1);
    assert_eq!(session.run(&images(2), 2).unwrap().len(), 4);
}

#[test]
fn a_device_or_an_option_that_it_lacks_is_an_error() {
    let Some(_) = plugin() else {
        return;
    };
    runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = network(folder.path(), 1.0, None);
    let names: Vec<String> = classifold::plugin::devices(OPENVINO)
        .unwrap()
        .into_iter()
        .map(|device| device.name)
        .collect();
    assert!(names.contains(&"CPU".to_owned()), "{names:?}");
    for (device, kind) in [(OpenVinoDevice::Gpu, "GPU"), (OpenVinoDevice::Npu, "NPU")] {
        if names.iter().any(|name| name.starts_with(kind)) {
            continue;
        }
        let there_is_none = SessionOptions {
            provider: Provider::OpenVino { device },
            ..options(Precision::Fp32, folder.path())
        };
        let error = Session::open(&path, &there_is_none).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!("expected: {kind}\n  found:    CPU (`")),
            "{text}"
        );
        assert!(error.hint().unwrap().contains("driver"), "{error}");
    }
    let too_many_threads = SessionOptions {
        threads: Some(usize::MAX),
        ..options(Precision::Fp32, &folder.path().join("engines"))
    };
    let error = Session::open(&path, &too_many_threads).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("provider `openvino:cpu` cannot start: "),
        "{text}"
    );
    assert!(!text.contains("Exception from"), "{text}");
    assert!(!folder.path().join("engines").exists() || is_empty(&folder.path().join("engines")));
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_compiled_model_is_kept_by_content_and_precision() {
    let Some(_) = plugin() else {
        return;
    };
    runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let engines = folder.path().join("engines");
    let mut expected = Vec::new();
    for (gain, precision, is_new) in [
        (1.0, Precision::Fp32, true),
        (2.0, Precision::Fp32, true),
        (1.0, Precision::Fp32, false),
        (1.0, Precision::Bf16, true),
        (1.0, Precision::Fp32, false),
    ] {
        let path = network(folder.path(), gain, None);
        let mut session = Session::open(&path, &options(precision, &engines)).unwrap();
        assert_eq!(session.notes(), [] as [&str; 0]);
        let is_built = session.cold_start().build.is_some();
        assert_eq!(is_built, is_new, "{gain} {precision}");
        let scores = session.run(&images(2), 2).unwrap();
        let known = expected
            .iter()
            .find(|(g, p, _)| (*g, *p) == (gain, precision));
        match known {
            Some((_, _, known)) => assert_eq!(scores, *known),
            None => expected.push((gain, precision, scores)),
        }
    }
    assert_eq!(fs::read_dir(&engines).unwrap().count(), 3);
    // Damage is found, and the model compiled again.
    for entry in fs::read_dir(&engines).unwrap() {
        for file in fs::read_dir(entry.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|e| e == "blob") {
                fs::write(file, "damaged").unwrap();
            }
        }
    }
    let path = network(folder.path(), 1.0, None);
    let session = Session::open(&path, &options(Precision::Fp32, &engines)).unwrap();
    assert!(session.cold_start().build.is_some());
    assert!(
        session.notes()[0].contains("building it anew"),
        "{:?}",
        session.notes()
    );
}

#[test]
fn sessions_of_several_threads_share_one_plugin() {
    let Some(_) = plugin() else {
        return;
    };
    runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = network(folder.path(), 1.0, None);
    let one_thread = SessionOptions {
        threads: Some(1),
        ..options(Precision::Fp32, &folder.path().join("engines"))
    };
    let run = |batch: usize| {
        let mut session = Session::open(&path, &one_thread).unwrap();
        let mut scores = Vec::new();
        for _ in 0..5 {
            scores = session.run(&images(batch), batch).unwrap();
        }
        scores
    };
    let expected = run(3);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|i| scope.spawn(move || (i, run(1 + i))))
            .collect();
        for thread in threads {
            let (i, scores) = thread.join().unwrap();
            let len = scores.len().min(expected.len());
            assert_eq!(scores.len(), 2 * (1 + i));
            assert!(largest_difference(&scores[..len], &expected[..len]) < 1e-6);
        }
    });
}

#[test]
fn a_classifier_answers_as_on_the_cpu() {
    let Some(_) = plugin() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let path = tiny.save(folder.path());
    let builder = || tiny.builder(&path).cache(folder.path());
    let classifier = builder()
        .provider(OPENVINO)
        .precision(Precision::Bf16)
        .parallel(3)
        .open()
        .unwrap();
    assert_eq!(classifier.precision(), Precision::Bf16);
    assert_eq!(classifier.num_sessions(), 3);
    assert_eq!(classifier.preferred_batch(), 8);
    let on_cpu = builder().open().unwrap();
    for image in [flat(200, 10), flat(10, 200)] {
        let image = image.into();
        let [a, b] = [&classifier, &on_cpu].map(|c| c.classify(&image).unwrap());
        assert_eq!(a.label, b.label);
        assert!((a.probability - b.probability).abs() < 2e-2);
    }
    let error = builder().precision(Precision::Bf16).open().unwrap_err();
    assert!(
        error.hint().unwrap().contains("the provider `openvino`"),
        "{error}"
    );
}

#[test]
fn a_registered_plugin_gets_nothing_that_was_not_asked_of_it() {
    let Some(_) = plugin() else {
        return;
    };
    runtime::load(installed()).unwrap();
    classifold::plugin::devices(OPENVINO).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = network(folder.path(), 1.0, None);
    let mut session = Session::open(&path, &SessionOptions::default()).unwrap();
    let nodes = session.placement().counts();
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["cpu"]);
    // OpenVINO would compute this in bf16, where the processor has it.
    let document = onnx::Document::open(&path).unwrap();
    let value = ["logits".to_owned()];
    let mut taps = classifold::Taps::open(&document, &value, [3, 8, 8], Some(1)).unwrap();
    let tapped = taps.run(&images(1)).unwrap().swap_remove(0).numbers;
    let scores = session.run(&images(1), 1).unwrap();
    assert!(largest_difference(&tapped, &scores) < 1e-6);
}

#[test]
fn bound_runs_compute_what_was_filled_last() {
    let Some(_) = plugin() else {
        return;
    };
    runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = network(folder.path(), 1.0, None);
    let options = options(Precision::Fp32, &folder.path().join("engines"));
    let mut session = Session::open(&path, &options).unwrap();
    let both = images(6);
    let (first, second) = both.split_at(3 * 192);
    let expected = [first, second].map(|images| session.run(images, 3).unwrap());
    assert!(largest_difference(&expected[0], &expected[1]) > 1e-3);
    let mut bound = session.bind(3, Feed::Host).unwrap();
    for (images, expected) in [first, second].into_iter().zip(&expected) {
        bound.fill(images).unwrap();
        bound.run().unwrap();
        assert!(largest_difference(&bound.outputs().unwrap(), expected) < 1e-5);
    }
}
