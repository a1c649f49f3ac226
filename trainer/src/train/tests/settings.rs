//! Settings of the loop: each changes what it should, and a run with it resumes with the same bits.

use super::*;
use crate::recipe::ClassWeights;

/// Runs with the options to the end, and again with a stop in the middle of an epoch; returns the network.
fn whole_and_resumed(
    shop: &Workshop,
    data: &TrainingSet,
    options: &TrainOptions,
    name: &str,
) -> Network {
    let (whole, parts) = (shop.run(name), shop.run(&format!("{name}-parts")));
    let end = |run: &RunDir, seed, resumed| {
        let trained = fit(network(seed), data, options, run, resumed, &mut ());
        trained.unwrap()
    };
    let whole = end(&whole, 1, None);
    stop_at(network(1), data, options, &parts, (2, Phase::Train, 2));
    // Another seed after the resume: every weight must come from the checkpoint.
    let resumed = end(&parts, 99, Some(open(&parts)));
    assert_eq!(timeless(&resumed.rows), timeless(&whole.rows), "{name}");
    assert_eq!(bits(&resumed.network), bits(&whole.network), "{name}");
    whole.network
}

#[test]
fn label_smoothing_changes_what_is_minimised_and_not_how_validation_is_judged() {
    let shop = Workshop::new();
    let mut options = options(1);
    let plain = shop
        .fit(&shop.run("plain"), &options, None, &mut ())
        .unwrap();
    options.objective.label_smoothing = 0.2;
    let run = shop.run("smoothed");
    let smoothed = shop.fit(&run, &options, None, &mut ()).unwrap();
    assert_ne!(bits(&smoothed.network), bits(&plain.network));
    let data = shop.data();
    let scores = evaluate(&smoothed.network, &data.val, &data.classes, &mut |_| {});
    let (loss, row) = (scores.unwrap().scores.loss, &smoothed.rows[0]);
    assert!(
        (loss - row.val_loss).abs() < 1e-9,
        "{loss}, {}",
        row.val_loss
    );
}

/// 14 training images, of which the class `right` has 3.
fn imbalanced(shop: &Workshop, order: Order) -> TrainingSet {
    let indices: Vec<usize> = (0..14).filter(|i| i % 2 == 0 || *i < 6).collect();
    let batching = Batching {
        order,
        ..shop.batching("1/255", BATCH)
    };
    let train = shop
        .data()
        .train
        .select(&indices, Purpose::Training, &batching);
    TrainingSet::new(shop.data().classes, train, shop.data().val, batching)
}

#[test]
fn class_weights_are_those_of_the_training_images_and_change_the_weights() {
    let shop = Workshop::new();
    let data = imbalanced(&shop, Order::Shuffled);
    let mut options = options(2);
    let plain = whole_and_resumed(&shop, &data, &options, "none");
    options.class_weights = ClassWeights::Auto;
    let auto = whole_and_resumed(&shop, &data, &options, "auto");
    assert_ne!(bits(&auto), bits(&plain));
    // 7 and 3 images: 10 / (2 * 7) and 10 / (2 * 3).
    let weights = options.for_data(&data).unwrap().objective.class_weights;
    assert_eq!(weights, [10.0 / 14.0, 10.0 / 6.0]);
    let list = format!("left={},right={}", weights[0], weights[1]);
    options.class_weights = list.parse().unwrap();
    let listed = whole_and_resumed(&shop, &data, &options, "list");
    assert_eq!(bits(&listed), bits(&auto));
}

#[test]
fn balanced_sampling_shows_every_class_equally_often() {
    let shop = Workshop::new();
    let data = imbalanced(&shop, Order::Balanced);
    let labels = |data: &TrainingSet| -> Vec<u32> {
        let batches = data.train.batches(1, 0);
        batches.flat_map(|batch| batch.unwrap().labels).collect()
    };
    let count =
        |labels: Vec<u32>| [0, 1].map(|class| labels.iter().filter(|l| **l == class).count());
    assert_eq!(count(labels(&data)), [5, 5]);
    // Validation has its own images, each once.
    let val = data
        .val
        .batches(1, 0)
        .flat_map(|batch| batch.unwrap().labels);
    assert_eq!(count(val.collect()), [3, 3]);
    let balanced = whole_and_resumed(&shop, &data, &options(2), "balanced");
    let shuffled = imbalanced(&shop, Order::Shuffled);
    assert_eq!(count(labels(&shuffled)), [7, 3]);
    let shuffled = whole_and_resumed(&shop, &shuffled, &options(2), "shuffled");
    assert_ne!(bits(&balanced), bits(&shuffled));
}

#[test]
fn mixup_and_cutmix_change_the_weights_and_resume_with_the_same_bits() {
    let shop = Workshop::new();
    let data = shop.data();
    let mixing = |mixup, cutmix| Mixing { mixup, cutmix };
    let networks = [
        ("none", mixing(None, None)),
        ("mixup", mixing(Some(0.4), None)),
        ("cutmix", mixing(None, Some(1.0))),
        ("both", mixing(Some(0.4), Some(1.0))),
    ]
    .map(|(name, mixing)| {
        let options = TrainOptions {
            mixing,
            ..options(2)
        };
        bits(&whole_and_resumed(&shop, &data, &options, name))
    });
    for (number, network) in networks.iter().enumerate() {
        assert!(!networks[..number].contains(network), "{number}");
    }
}

/// Networks that are trained on the same images in batches of 2, 3 at a time, and in batches of 6.
fn accumulated_and_whole(shop: &Workshop, class_weights: &str) -> [Network; 2] {
    let path = shop.folder.path().join("backbone.onnx");
    network(5).to_onnx().unwrap().save(&path).unwrap();
    [("parts", 2, 3), ("whole", 6, 1)].map(|(name, batch, accumulate)| {
        let batching = Batching {
            batch,
            ..shop.batching("1/255", batch)
        };
        let data = TrainingSet::new(
            ["left", "right"].map(String::from).to_vec(),
            // The last group of the 14 images has one batch of 2.
            batching.features(frozen::features(14), Purpose::Training),
            batching.features(frozen::features(6), Purpose::Validation),
            batching,
        );
        let mut options = TrainOptions {
            accumulate,
            class_weights: class_weights.parse().unwrap(),
            lr: 0.2,
            ..options(3)
        };
        options.optimizer.kind = OptimizerKind::Sgd;
        let network = frozen::frozen(&path, 1, &Device::default());
        let run = shop.run(&format!("{name}-{}", class_weights.len()));
        fit(network, &data, &options, &run, None, &mut ())
            .unwrap()
            .network
    })
}

#[test]
fn accumulated_batches_give_the_weights_of_one_larger_batch() {
    let shop = Workshop::new();
    for class_weights in ["none", "left=3"] {
        let values = accumulated_and_whole(&shop, class_weights).map(|network| {
            network
                .fc()
                .weight
                .val()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap()
        });
        let [parts, whole] = values;
        for (part, whole) in parts.iter().zip(&whole) {
            assert!(
                (part - whole).abs() < 1e-5,
                "{class_weights}: {part} {whole}"
            );
        }
    }
}

#[test]
fn a_run_that_accumulates_moves_at_the_end_of_each_group_and_resumes_with_the_same_bits() {
    let shop = Workshop::new();
    let data = shop.data();
    let networks = [1, 2, 3, 100].map(|accumulate| {
        let options = TrainOptions {
            accumulate,
            ..options(2)
        };
        // 4 batches an epoch: groups of 3 and 1, and one of 4, too. A stop after batch 2 of epoch 2 is within a group.
        bits(&whole_and_resumed(
            &shop,
            &data,
            &options,
            &accumulate.to_string(),
        ))
    });
    for (number, network) in networks.iter().enumerate() {
        assert!(!networks[..number].contains(network), "{number}");
    }
}
