//! Runs of a frozen network, on images and on cached features.

use models::{Backbone, BackboneFile, FeatureExtractor};

use super::*;
use crate::features::Features;

/// Features without a runtime: sums over every sixteenth value of an image.
#[derive(Debug)]
struct Sums;

impl FeatureExtractor for Sums {
    fn features(
        &self,
        images: &[f32],
        count: usize,
    ) -> Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>> {
        let sums = |image: &[f32]| {
            let sum = |first: usize| image.iter().skip(first).step_by(16).sum();
            (0..16).map(sum).collect::<Vec<f32>>()
        };
        Ok(images.chunks(images.len() / count).flat_map(sums).collect())
    }
}

pub(super) fn frozen(path: &Path, seed: u64, device: &Device) -> Network {
    let file = BackboneFile::open(path, None).unwrap();
    let backbone = Backbone {
        width: file.cut.width().unwrap(),
        image_shape: [3, 224, 224],
        takes_any_batch: true,
        extractor: Box::new(Sums),
        file,
    };
    Network::build(&Spec::Frozen(Arc::new(backbone)), 2, seed, device).unwrap()
}

#[test]
fn a_frozen_backbone_does_not_move_and_its_run_resumes_with_the_same_bits() {
    let shop = Workshop::new();
    let path = shop.folder.path().join("backbone.onnx");
    network(5).to_onnx().unwrap().save(&path).unwrap();
    let import = |seed| frozen(&path, seed, &Device::default().autodiff());
    let data = shop.data();
    let options = TrainOptions {
        save: SaveKind::Last,
        ..options(2)
    };
    let (whole, parts) = (shop.run("whole"), shop.run("parts"));
    let before = bits(&import(1));
    let after = fit(import(1), &data, &options, &whole, None, &mut ()).unwrap();
    for ((name, before), (_, after)) in before.iter().zip(bits(&after.network)) {
        assert_eq!(*before == after, !name.starts_with("fc."), "{name}");
    }
    stop_at(import(1), &data, &options, &parts, (2, Phase::Train, 1));
    let checkpoint = Some(open(&parts));
    let resumed = fit(import(9), &data, &options, &parts, checkpoint, &mut ()).unwrap();
    assert_eq!(bits(&resumed.network), bits(&after.network));
}

/// Features of noise about two centres, in three views.
pub(super) fn features(count: usize) -> Arc<Features> {
    let samples = (0..count).map(|index| Sample {
        path: "".into(),
        relative: String::new(),
        label: (index % 2) as u32,
    });
    let width = 16;
    let value = |view: usize, index: usize| {
        let noise = (index * 7919 + view * 104_729) % 97;
        noise as f32 / 97.0
            + if (index / width).is_multiple_of(2) {
                0.4
            } else {
                0.0
            }
    };
    let view = |view| (0..count * width).map(|index| value(view, index)).collect();
    let views = (0..3).map(view).collect();
    Arc::new(Features::new(samples.collect(), width, views))
}

#[test]
fn a_run_on_features_resumes_with_the_same_bits() {
    let shop = Workshop::new();
    let path = shop.folder.path().join("backbone.onnx");
    network(5).to_onnx().unwrap().save(&path).unwrap();
    let import = |seed| frozen(&path, seed, &Device::default());
    let width = import(1).fc().weight.val().dims()[1];
    assert_eq!(width, features(1).width());
    let batching = Batching {
        augment_val: true,
        ..shop.batching("1/255", BATCH)
    };
    let data = TrainingSet::new(
        ["left", "right"].map(String::from).to_vec(),
        batching.features(features(14), Purpose::Training),
        batching.features(features(6), Purpose::Validation),
        batching,
    );
    let fit = |run: &RunDir, seed, resumed: Option<Checkpoint>| {
        fit(import(seed), &data, &options(4), run, resumed, &mut ()).unwrap()
    };
    let whole = fit(&shop.run("whole"), 1, None);
    assert!(whole.rows[3].train_loss < whole.rows[0].train_loss);
    let stops = [
        (1, Phase::Train, 1),
        (3, Phase::Train, 2),
        (2, Phase::Val, 1),
    ];
    for (number, at) in stops.into_iter().enumerate() {
        let run = shop.run(&format!("parts-{number}"));
        stop_at(import(1), &data, &options(4), &run, at);
        let outcome = fit(&run, 9, Some(open(&run)));
        assert_eq!(timeless(&outcome.rows), timeless(&whole.rows), "{at:?}");
        assert_eq!(bits(&outcome.network), bits(&whole.network), "{at:?}");
    }
    // The checkpoint holds what moved, and its network is whole again.
    let last = open(&shop.run_of("whole"));
    let names: Vec<_> = last.tensors().into_keys().collect();
    assert_eq!(names, ["fc.bias", "fc.weight"]);
    assert_eq!(
        last.state().backbone.as_deref(),
        import(1).backbone_sha256()
    );
}

#[test]
fn a_head_at_its_minimum_is_one_row_and_a_checkpoint_and_is_found_once() {
    let shop = Workshop::new();
    let path = shop.folder.path().join("backbone.onnx");
    network(5).to_onnx().unwrap().save(&path).unwrap();
    let import = |seed| frozen(&path, seed, &Device::default());
    let batching = shop.batching("1/255", BATCH);
    let data = TrainingSet::new(
        ["left", "right"].map(String::from).to_vec(),
        batching.features(features(24), Purpose::Training),
        batching.features(features(6), Purpose::Validation),
        batching,
    );
    let options = TrainOptions {
        solver: Solver::Lbfgs { penalty: None },
        epochs: 1,
        ..options(1)
    };
    let run = shop.run("whole");
    let whole = fit(import(1), &data, &options, &run, None, &mut ()).unwrap();
    assert_eq!((whole.epoch, whole.rows.len()), (1, 1));
    assert_eq!((whole.rows[0].lr, whole.ended), (0.0, Ended::Finished));
    let head = whole.head.clone().unwrap();
    assert!(head.folds == 5 && head.steps > 0);
    // Initial weights and a resume change nothing; a finished run is not fitted again.
    let other = fit(
        import(9),
        &data,
        &options,
        &shop.run("other"),
        None,
        &mut (),
    )
    .unwrap();
    assert_eq!(bits(&other.network), bits(&whole.network));
    let [best, last] = [run.best(), run.last()].map(|path| fs::read(path).unwrap());
    assert!(best == last);
    let again = fit(import(9), &data, &options, &run, Some(open(&run)), &mut ()).unwrap();
    assert_eq!(bits(&again.network), bits(&whole.network));
    assert_eq!((again.head, again.rows), (whole.head, whole.rows));
    // The loss of the network is that of the layer that was fitted.
    let given = Solver::Lbfgs {
        penalty: Some(head.penalty),
    };
    let options = TrainOptions {
        solver: given,
        ..options
    };
    let given = shop.run("given");
    let given = fit(import(1), &data, &options, &given, None, &mut ()).unwrap();
    assert_eq!(bits(&given.network), bits(&again.network));
}

#[test]
fn an_interrupted_head_saves_nothing_and_begins_anew() {
    let shop = Workshop::new();
    let path = shop.folder.path().join("backbone.onnx");
    network(5).to_onnx().unwrap().save(&path).unwrap();
    let batching = shop.batching("1/255", BATCH);
    let data = TrainingSet::new(
        ["left", "right"].map(String::from).to_vec(),
        batching.features(features(24), Purpose::Training),
        batching.features(features(6), Purpose::Validation),
        batching,
    );
    let options = TrainOptions {
        solver: Solver::Lbfgs { penalty: None },
        epochs: 1,
        ..options(1)
    };
    let run = shop.run("stopped");
    let interrupt = Interrupt::default();
    interrupt.request();
    let stopped = train(
        frozen(&path, 1, &Device::default()).into(),
        &data,
        &options,
        Checkpoints::in_folder(&run, None),
        &mut (),
        &interrupt,
    );
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    assert!(!run.last().exists() && !run.metrics().exists());
}
