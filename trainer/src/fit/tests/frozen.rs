//! Runs of a frozen network, on pictures and on kept features.

use super::*;
use crate::features::{RowLoader, Rows};

#[test]
fn a_frozen_backbone_does_not_move_and_its_run_resumes_with_the_same_bits() {
    let shop = Workshop::new();
    let path = shop.folder.path().join("backbone.onnx");
    network(5).to_onnx().unwrap().save(&path).unwrap();
    let import = |seed| {
        let spec = Spec::Imported {
            path: path.clone(),
            fine_tune: false,
        };
        Network::build(&spec, 2, seed, &Device::default().autodiff()).unwrap()
    };
    let (train, val) = (
        shop.loader(true, "1/255", BATCH),
        shop.loader(false, "1/255", BATCH),
    );
    let options = FitOptions {
        save: SaveKind::Last,
        ..options(2)
    };
    let (whole, parts) = (shop.run("whole"), shop.run("parts"));
    let before = bits(&import(1));
    let after = fit(
        import(1),
        &shop.room(&train, &val, &whole),
        &options,
        None,
        &mut (),
    )
    .unwrap();
    for ((name, before), (_, after)) in before.iter().zip(bits(&after.network)) {
        assert_eq!(*before == after, !name.starts_with("fc."), "{name}");
    }
    let room = shop.room(&train, &val, &parts);
    let mut interrupt = Interrupt {
        stop: &shop.stop,
        at: (2, Phase::Train, 1),
    };
    fit(import(1), &room, &options, None, &mut interrupt).unwrap();
    shop.stop.store(false, Ordering::Relaxed);
    let resumed = fit(import(9), &room, &options, Some(&open(&parts)), &mut ()).unwrap();
    assert_eq!(bits(&resumed.network), bits(&after.network));
}

/// Rows of noise about two centres, in three views.
fn rows(count: usize) -> Rows {
    let samples = (0..count).map(|index| Sample {
        path: "".into(),
        relative: String::new(),
        label: (index % 2) as u32,
    });
    let width = 16;
    let value = |view: usize, place: usize| {
        let noise = (place * 7919 + view * 104_729) % 97;
        noise as f32 / 97.0
            + if (place / width).is_multiple_of(2) {
                0.4
            } else {
                0.0
            }
    };
    let view = |view| (0..count * width).map(|place| value(view, place)).collect();
    Rows::new(samples.collect(), width, (0..3).map(view).collect())
}

#[test]
fn a_run_on_features_resumes_with_the_same_bits() {
    let shop = Workshop::new();
    let path = shop.folder.path().join("backbone.onnx");
    network(5).to_onnx().unwrap().save(&path).unwrap();
    let import = |seed| {
        let spec = Spec::Imported {
            path: path.clone(),
            fine_tune: false,
        };
        Network::build(&spec, 2, seed, &Device::default()).unwrap()
    };
    let width = import(1).fc().weight.val().dims()[1];
    assert_eq!(width, rows(1).plain([0]).features.len());
    let train = RowLoader::new(rows(14), BATCH, Some(3));
    let val = RowLoader::new(rows(6), BATCH, None);
    let fit = |run: &RunDir, seed, resume: Option<&Checkpoint>, watch: &mut dyn Watch| {
        let room = Room {
            train: Feed::Features(&train),
            val: Feed::Features(&val),
            backbone: None,
            classes: &shop.classes,
            run: Some(run),
            stop: &shop.stop,
        };
        fit(import(seed), &room, &options(4), resume, watch).unwrap()
    };
    let whole = fit(&shop.run("whole"), 1, None, &mut ());
    assert!(whole.rows[3].train_loss < whole.rows[0].train_loss);
    let stops = [
        (1, Phase::Train, 1),
        (3, Phase::Train, 2),
        (2, Phase::Val, 1),
    ];
    for (number, at) in stops.into_iter().enumerate() {
        let run = shop.run(&format!("parts-{number}"));
        let mut interrupt = Interrupt {
            stop: &shop.stop,
            at,
        };
        let outcome = fit(&run, 1, None, &mut interrupt);
        assert_eq!(outcome.ended, Ended::Interrupted);
        shop.stop.store(false, Ordering::Relaxed);
        let outcome = fit(&run, 9, Some(&open(&run)), &mut ());
        assert_eq!(timeless(&outcome.rows), timeless(&whole.rows), "{at:?}");
        assert_eq!(bits(&outcome.network), bits(&whole.network), "{at:?}");
    }
    // The checkpoint holds what moved, and its network is whole again.
    let last = open(&shop.run_of("whole"));
    let names: Vec<_> = last.tensors().keys().collect();
    assert_eq!(names, ["fc.bias", "fc.weight"]);
    assert_eq!(
        last.state().backbone.as_deref(),
        import(1).backbone_sha256()
    );
}
