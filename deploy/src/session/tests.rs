//! The paths of a GPU with the CPU's memory in place of the GPU's: the same buffers, bindings and copies.

use onnx::proto::DataType;
use onnx::{Dim, GraphBuilder, ModelInfo, Tensor};
use ort::memory::MemoryInfo;

use super::*;
use crate::engine_cache::{EngineCache, EngineFolder};
use crate::presets::tensorrt;
use crate::runtime::{self, Search};

/// The mean of each of 3 channels of `[batch, 3, 2, 2]`, times 1, 10 and 100, and `gain`.
fn trained(folder: &Path, gain: f32) -> PathBuf {
    let mut graph = GraphBuilder::new("means");
    let dims = ["batch".into(), Dim::Fixed(3), Dim::Fixed(2), Dim::Fixed(2)];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let rows = [1.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 100.0].map(|v| v * gain);
    let weight = graph.initializer("weight", &Tensor::f32(&[3, 3], rows.to_vec()).unwrap());
    let bias = graph.initializer("bias", &Tensor::f32(&[3], vec![0.0; 3]).unwrap());
    let y = graph.gemm("fc", &x, &weight, &bias);
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(3)],
    );
    let path = folder.join("means.onnx");
    graph
        .finish(&ModelInfo::default())
        .unwrap()
        .save(&path)
        .unwrap();
    path
}

fn loaded() {
    let cache = files::cache::dir(None).unwrap();
    let found = runtime::ensure(&Search::new(&cache), &|_| {}, true).unwrap();
    runtime::load(&found).unwrap();
}

fn recording(batch: usize, next_id: u32) -> GraphRecording {
    GraphRecording { batch, next_id }
}

/// A session that treats its buffers as a GPU's.
fn pretending(folder: &Path) -> Session {
    loaded();
    let mut session = Session::open(&trained(folder, 1.0), &SessionOptions::default()).unwrap();
    session.memory = Memory::Gpu {
        pinned: MemoryInfo::default(),
        device: MemoryInfo::default(),
    };
    session
}

/// `batch` images of which each channel has one value, and their scores.
fn images(batch: usize, first: f32) -> (Vec<f32>, Vec<f32>) {
    let value = |i: usize| first + i as f32;
    let images = (0..batch * 12).map(|i| value(i / 4)).collect();
    let scores = (0..batch * 3)
        .map(|i| value(i) * [1.0, 10.0, 100.0][i % 3])
        .collect();
    (images, scores)
}

#[test]
fn host_fed_runs_copy_in_and_out_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = pretending(folder.path());
    for graph in [None, Some(recording(2, 1))] {
        session.graph = graph;
        let mut bound = session.bind(2, Feed::Host).unwrap();
        for first in [0.0, 7.0] {
            let (images, scores) = images(2, first);
            bound.fill(&images).unwrap();
            let phases = bound.run().unwrap();
            assert!(phases.to_device.is_some() && phases.from_device.is_some());
            assert!(phases.total() >= phases.compute);
            assert_eq!(bound.outputs().unwrap(), scores);
        }
    }
}

#[test]
fn resident_input_is_copied_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = pretending(folder.path());
    let mut bound = session.bind(2, Feed::Resident).unwrap();
    let (images, scores) = images(2, 3.0);
    bound.fill(&images).unwrap();
    for _ in 0..2 {
        let phases = bound.run().unwrap();
        assert_eq!((phases.to_device, phases.from_device), (None, None));
        assert_eq!(bound.outputs().unwrap(), scores);
    }
}

#[test]
fn runs_keep_buffers_for_the_last_two_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = pretending(folder.path());
    for (batch, kept) in [(4, &[4][..]), (3, &[4, 3]), (4, &[3, 4]), (1, &[4, 1])] {
        let (images, scores) = images(batch, batch as f32);
        assert_eq!(session.run(&images, batch).unwrap(), scores);
        let found: Vec<usize> = session
            .kept_buffers()
            .iter()
            .map(|buffers| buffers.batch)
            .collect();
        assert_eq!(found, kept);
    }
}

#[test]
fn an_engine_for_some_sizes_gets_padded_and_cut_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = pretending(folder.path());
    session.batches = (2, 4);
    for batch in [1, 2, 3, 4, 5, 9] {
        let (images, scores) = images(batch, 1.0);
        assert_eq!(session.run(&images, batch).unwrap(), scores, "{batch}");
    }
    for batch in [1, 5] {
        let error = session.bind(batch, Feed::Host).unwrap_err().to_string();
        assert!(error.contains("expected: 2 to 4"), "{error}");
    }
}

#[test]
fn each_recording_has_a_number_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = pretending(folder.path());
    session.graph = Some(recording(2, 1));
    session.bind(2, Feed::Host).unwrap();
    session.bind(3, Feed::Host).unwrap();
    assert_eq!(
        session.graph,
        Some(recording(2, 2)),
        "only the batch that is recorded"
    );
    session.bind(2, Feed::Resident).unwrap();
    assert_eq!(session.graph, Some(recording(2, 3)));
}

#[test]
fn a_recording_without_a_number_is_bound_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = pretending(folder.path());
    session.graph = Some(recording(2, 1));
    session.is_bound_once = true;
    session.bind(2, Feed::Host).unwrap();
    let again = session.bind(2, Feed::Resident).unwrap_err();
    assert!(again.to_string().contains("is bound once"), "{again}");
}

#[test]
fn sessions_and_bound_runs_move_between_threads() {
    fn moves<T: Send>() {}
    fn is_shared<T: Sync>() {}
    moves::<Session>();
    is_shared::<Session>();
    moves::<Bound<'static>>();
    let folder = tempfile::tempdir().unwrap();
    let mut session = pretending(folder.path());
    let (images, scores) = images(2, 1.0);
    session.run(&images, 2).unwrap();
    let again = std::thread::spawn(move || session.run(&images, 2).unwrap());
    assert_eq!(again.join().unwrap(), scores);
}

#[test]
fn measurements_of_kernels_outlive_the_engine_they_were_made_for() {
    let folder = tempfile::tempdir().unwrap();
    let engines = EngineCache::new(folder.path().join("engines"));
    for seen in ["", "1", "11"] {
        let building = tempfile::tempdir().unwrap();
        let file = building.path().join("cache_sm90.timing");
        open::build_with_timings(&engines, "stand-in", building.path(), || {
            let before = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(before, seen);
            std::fs::write(&file, before + "1").unwrap();
            Ok(())
        })
        .unwrap();
        assert!(!file.exists(), "it is no part of the engine");
    }
}

/// The engine is a copy of the model in the kept folder, run on the CPU; key and store are TensorRT's.
#[test]
fn a_model_trained_again_under_the_same_names_gives_its_own_answers() {
    loaded();
    let folder = tempfile::tempdir().unwrap();
    let engines = EngineCache::new(folder.path().join("engines"));
    let options = SessionOptions::default();
    let (images, scores) = images(2, 1.0);
    for (gain, is_new) in [(1.0, true), (2.0, true), (1.0, false), (2.0, false)] {
        let path = trained(folder.path(), gain);
        let mut document = onnx::Document::open(&path).unwrap();
        let key = tensorrt::key(&mut document, &options, None, "stand-in").unwrap();
        let mut notes = Vec::new();
        let built = engines.build(&key, &mut notes, |source| match source {
            EngineFolder::Kept(folder) => Session::open(&folder.join("means.engine"), &options),
            EngineFolder::New(folder) => {
                std::fs::copy(&path, folder.join("means.engine")).unwrap();
                Session::open(&path, &options)
            }
            EngineFolder::Unavailable => panic!("the folder can be written to"),
        });
        let mut built = built.unwrap();
        let expected: Vec<f32> = scores.iter().map(|score| score * gain).collect();
        assert_eq!(built.value.run(&images, 2).unwrap(), expected, "{gain}");
        assert_eq!((built.is_new, notes.len()), (is_new, 0));
    }
}

#[test]
fn what_the_runtime_refuses_leaves_no_engine() {
    loaded();
    let folder = tempfile::tempdir().unwrap();
    let engines = folder.path().join("engines");
    let options = SessionOptions {
        provider: Provider::TensorRt { device: 0 },
        engines: Some(engines.clone()),
        batches: vec![1],
        ..SessionOptions::default()
    };
    let file = onnx::ModelFile::open(&trained(folder.path(), 1.0)).unwrap();
    let model = file.detached().unwrap();
    let refused = open::open(&model, &options, Some("stand-in"));
    let Err(error) = refused else {
        panic!("this ONNX Runtime has no TensorRT");
    };
    let text = error.to_string();
    assert!(
        text.contains("provider `tensorrt:0` cannot start"),
        "{text}"
    );
    assert!(!engines.exists());
}
