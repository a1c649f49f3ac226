//! Fine-tuning: from the fitted layer on, with rates by depth, averaged weights, and a choice at the end.

use std::collections::BTreeSet;

use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::*;
use crate::recipe::{BatchNormKind, FineTune, Keep};
use crate::run_dir::CheckpointKind;

fn tuning(epochs: usize) -> TrainOptions {
    TrainOptions {
        lr: 1e-3,
        scheduler: SchedulerKind::CosineSteps,
        warmup: 0.25,
        clip_norm: Some(1.0),
        weight_average: WeightAverage::Ema,
        fine_tuning: Some(FineTuning {
            layers: FineTune::All,
            head_lr_factor: 10.0,
            first_lr_factor: 0.1,
            tuned_share: 0.5,
            batch_norm: BatchNormKind::Running,
            keep: Keep::Tuned,
        }),
        best_by: Criterion::Auto,
        ..options(epochs)
    }
}

fn with(options: TrainOptions, change: impl Fn(&mut FineTuning)) -> TrainOptions {
    let mut options = options;
    change(options.fine_tuning.as_mut().unwrap());
    options
}

/// The names of the tensors that differ.
fn changed(before: &Network, after: &Network) -> BTreeSet<String> {
    let pairs = bits(before).into_iter().zip(bits(after));
    let changed = pairs.filter(|(before, after)| before != after);
    changed.map(|((name, _), _)| name).collect()
}

#[test]
fn an_interrupted_fine_tuning_ends_with_the_same_bits() {
    let shop = Workshop::new();
    let options = tuning(2);
    let whole_run = shop.run("whole");
    let whole = shop.fit(&whole_run, &options, None, &mut ()).unwrap();
    for (number, at) in [
        (1, Phase::Train, 1),
        (2, Phase::Train, 2),
        (2, Phase::Val, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("part-{number}");
        let outcome = shop.interrupted(&name, &options, at);
        assert_eq!(timeless(&outcome.rows), timeless(&whole.rows), "{at:?}");
        assert_eq!(bits(&outcome.network), bits(&whole.network), "{at:?}");
        assert_eq!(outcome.fine_tuned, whole.fine_tuned, "{at:?}");
        let (ours, theirs) = (open(&shop.run_of(&name)), open(&whole_run));
        assert_eq!(ours.tensors(), theirs.tensors(), "{at:?}");
    }
}

#[test]
fn it_begins_as_the_frozen_backbone_with_its_fitted_layer() {
    let shop = Workshop::new();
    let run = shop.run("tuned");
    let trained = shop.fit(&run, &tuning(1), None, &mut ()).unwrap();
    let frozen = Checkpoint::open(&run.frozen()).unwrap();
    let frozen = frozen.network(network(7).valid()).unwrap();
    let layer = BTreeSet::from(["fc.bias", "fc.weight"].map(String::from));
    assert_eq!(changed(&network(1), &frozen), layer);
    assert!(trained.head.unwrap().steps > 0);
    // What is compared is what was scored before the first epoch.
    let (compared, state) = (trained.fine_tuned.unwrap(), open(&run).state().clone());
    let scored = state.frozen.unwrap();
    assert!((compared.frozen.val_loss - scored.val_loss).abs() < 1e-6);
    assert_eq!(compared.images, 6);
}

#[test]
fn the_last_layers_alone_are_trained_where_that_is_asked_for() {
    let shop = Workshop::new();
    let options = with(tuning(1), |tuning| tuning.layers = FineTune::Last(1));
    let trained = shop
        .fit(&shop.run("last"), &options, None, &mut ())
        .unwrap();
    let moved = changed(&network(1), &trained.network);
    let last = ["cells.1.project.weight", "fc.bias", "fc.weight"];
    assert_eq!(moved, BTreeSet::from(last.map(String::from)));
    let all = shop
        .fit(&shop.run("all"), &tuning(1), None, &mut ())
        .unwrap();
    assert!(changed(&network(1), &all.network).contains("conv1.weight"));
}

#[test]
fn running_statistics_move_only_where_batch_norms_use_the_batchs() {
    let shop = Workshop::new();
    for (kind, expected) in [
        (BatchNormKind::Running, false),
        (BatchNormKind::Batch, true),
    ] {
        let options = with(tuning(1), |tuning| tuning.batch_norm = kind);
        let run = shop.run(&format!("{kind:?}"));
        let trained = shop.fit(&run, &options, None, &mut ()).unwrap();
        let moved = changed(&network(1), &trained.network);
        let has_moved = moved.iter().any(|name| name.contains("running_"));
        assert_eq!(has_moved, expected, "{kind:?}: {moved:?}");
        // Scale and offset are trained in both.
        assert!(moved.contains("cells.0.bn1.weight"), "{moved:?}");
    }
}

#[test]
fn rates_rise_from_the_first_layer_to_the_classification_layer() {
    let network = network(1);
    let fine_tuning = tuning(1).fine_tuning;
    let rates = LearningRates::new(&network, fine_tuning.as_ref()).at(1e-4);
    let tensors = network.trainable_tensors();
    let rate = |index: usize| rates.lr_from_param(tensors[index].id, None);
    let found: Vec<f64> = (0..tensors.len()).map(rate).collect();
    assert!((found[0] - 1e-5).abs() < 1e-18, "{found:?}");
    assert!((found[tensors.len() - 1] - 1e-3).abs() < 1e-16, "{found:?}");
    assert!(found.is_sorted(), "{found:?}");
    // Without fine-tuning every layer has the same.
    let rates = LearningRates::new(&network, None).at(1e-4);
    assert!(
        tensors
            .iter()
            .all(|tensor| rates.lr_from_param(tensor.id, None) == 1e-4)
    );
}

#[test]
fn a_fine_tuning_that_does_harm_ends_with_the_frozen_backbone() {
    let shop = Workshop::new();
    // At this rate nothing is left of the network.
    let ruinous = TrainOptions {
        lr: 10.0,
        ..with(tuning(1), |tuning| tuning.keep = Keep::Better)
    };
    let run = shop.run("better");
    let trained = shop.fit(&run, &ruinous, None, &mut ()).unwrap();
    let found = trained.fine_tuned.clone().unwrap();
    assert!(
        found.gain < 0.0 && !found.is_better && !found.kept_tuned,
        "{found:?}"
    );
    assert_eq!(trained.epoch, 0);
    assert_eq!(trained.val_accuracy(), Some(found.frozen.val_accuracy));
    let frozen = Checkpoint::open(&run.frozen()).unwrap();
    let frozen = frozen.network(network(7).valid()).unwrap();
    assert_eq!(bits(&trained.network), bits(&frozen));
    // `trainer export` and `trainer eval` take this one.
    let best = Checkpoint::open(&run.checkpoint(CheckpointKind::Best)).unwrap();
    assert_eq!(best.epochs_done(), 0);
    assert!(found.warning().is_none());

    let kept = with(ruinous, |tuning| tuning.keep = Keep::Tuned);
    let trained = shop.fit(&shop.run("tuned"), &kept, None, &mut ()).unwrap();
    let found = trained.fine_tuned.unwrap();
    assert!(found.kept_tuned && found.warning().is_some(), "{found:?}");
    assert_eq!(trained.epoch, 1);
}

#[test]
fn the_average_is_what_is_validated_and_comes_out() {
    let shop = Workshop::new();
    let run = shop.run("average");
    let trained = shop.fit(&run, &tuning(1), None, &mut ()).unwrap();
    let checkpoint = open(&run);
    assert!(checkpoint.state().has_average);
    let averaged = checkpoint.network(network(7).valid()).unwrap();
    assert_eq!(bits(&averaged), bits(&trained.network));
    let last = checkpoint.network_in_training(network(7).valid()).unwrap();
    assert_ne!(bits(&last), bits(&trained.network));
    // By the recurrence: the average after the first step is (2 w1 + 9 w0) / 11.
    let (w0, w1) = (network(1), network(2));
    let mut average = Average::of(&w0, true);
    average.update(&w1, 1);
    let value = |network: &Network| {
        network
            .fc()
            .weight
            .val()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap()[0]
    };
    let expected = (2.0 * value(&w0) + 9.0 * value(&w1)) / 11.0;
    assert!((value(average.get().unwrap()) - expected).abs() < 1e-6);
}

#[test]
fn the_result_lies_on_the_way_from_the_frozen_backbone_to_the_tuned_one() {
    let shop = Workshop::new();
    let fit = |share: f64| {
        let run = shop.run(&format!("share-{share}"));
        let options = with(tuning(2), |tuning| tuning.tuned_share = share);
        let trained = shop.fit(&run, &options, None, &mut ()).unwrap();
        let start = Checkpoint::open(&run.frozen()).unwrap();
        (trained.network, start.network(network(7).valid()).unwrap())
    };
    let ((whole, start), (half, same_start)) = (fit(1.0), fit(0.5));
    assert_eq!(bits(&start), bits(&same_start));
    let values = |network: &Network| -> Vec<Vec<f32>> {
        let tensors = network.state().into_iter();
        tensors
            .map(|(_, data)| data.try_into_vec().unwrap())
            .collect()
    };
    let (whole, half, start) = (values(&whole), values(&half), values(&start));
    let mut moved = 0;
    for ((whole, half), start) in whole.iter().zip(&half).zip(&start) {
        for ((whole, half), start) in whole.iter().zip(half).zip(start) {
            let middle = (whole + start) / 2.0;
            assert!((half - middle).abs() <= 1e-6 * (1.0 + middle.abs()));
            moved += usize::from(half != start);
        }
    }
    assert!(moved > 100, "{moved}");
}

#[test]
fn gradients_are_scaled_down_to_the_norm_of_all_of_them() {
    let network = network(1);
    let device = Device::default();
    let fc = network.fc();
    let gradients = || {
        let mut gradients = GradientsParams::new();
        let weight = Tensor::<2>::zeros(fc.weight.val().dims(), &device) + 3.0;
        let bias = Tensor::<1>::from_floats([4.0, -4.0], &device);
        gradients.register(fc.weight.id, weight);
        gradients.register(fc.bias.as_ref().unwrap().id, bias);
        gradients
    };
    let norm = |gradients: &GradientsParams| {
        let weight = gradients
            .get::<2>(fc.weight.id)
            .unwrap()
            .powi_scalar(2)
            .sum();
        let bias = gradients.get::<1>(fc.bias.as_ref().unwrap().id).unwrap();
        (weight + bias.powi_scalar(2).sum())
            .into_scalar::<f32>()
            .sqrt()
    };
    let clipped = clipping::clip_by_norm(gradients(), &network, Some(1.0));
    assert!((norm(&clipped) - 1.0).abs() < 1e-5);
    // The direction stays.
    let bias = clipped.get::<1>(fc.bias.as_ref().unwrap().id).unwrap();
    let bias = bias.into_data().try_to_vec::<f32>().unwrap();
    assert!((bias[0] / (4.0 / norm(&gradients())) - 1.0).abs() < 1e-5 && bias[0] == -bias[1]);
    // A short one stays as it is.
    let untouched = clipping::clip_by_norm(gradients(), &network, Some(1e3));
    assert_eq!(norm(&untouched), norm(&gradients()));
}

#[test]
fn weight_decay_leaves_norms_and_biases_alone() {
    let network = network(1);
    let tuned = OptimizerOptions {
        kind: OptimizerKind::AdamW,
        weight_decay: 0.5,
        momentum: 0.0,
    };
    let mut optimizer = tuned.init(Some(fine_tuning::undecayed(&network)));
    let mut zeros = GradientsParams::new();
    let (weight, bias) = (&network.fc().weight, network.fc().bias.as_ref().unwrap());
    zeros.register(weight.id, weight.val().inner().zeros_like());
    zeros.register(bias.id, bias.val().inner().zeros_like());
    let after = optimizer.step(0.1, network.clone(), zeros);
    assert_eq!(
        changed(&network, &after),
        BTreeSet::from(["fc.weight".to_owned()])
    );
}

#[test]
fn few_validation_images_choose_no_epoch() {
    assert_eq!(Criterion::Auto.resolve(99), Criterion::Last);
    assert_eq!(Criterion::Auto.resolve(100), Criterion::ValLoss);
    assert_eq!(Criterion::ValAccuracy.resolve(1), Criterion::ValAccuracy);
}
