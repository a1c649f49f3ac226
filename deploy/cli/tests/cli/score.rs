//! `deploy score` and `deploy embed` into Parquet: the parts together are all images, with the answers of `predict`.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use parquet::file::reader::SerializedFileReader;
use parquet::record::{ListAccessor, Row, RowAccessor};

use crate::support::{deploy, flags, model, workshop};

fn rows(file: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::try_from(file).unwrap();
    reader.into_iter().map(Result::unwrap).collect()
}

#[test]
fn the_parts_hold_every_image_once_with_the_answers_of_predict() {
    let shop = workshop();
    fs::write(shop.path().join("photos/test/red/broken.png"), "no image").unwrap();
    let predict = deploy(shop.path())
        .args(["predict", "photos", "--format", "csv", "--quiet"])
        .args(flags())
        .run();
    let mut expected: BTreeMap<String, (String, f32)> = BTreeMap::new();
    for line in predict.out.lines().skip(1) {
        let [path, _, label, probability] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        expected.insert(path.into(), (label.into(), probability.parse().unwrap()));
    }
    assert_eq!(expected.len(), 24);
    let mut broken = 0;
    for shard in 1..=3 {
        let score = deploy(shop.path())
            .args([
                "score",
                "photos",
                "--out",
                "scores",
                "--shard",
                &format!("{shard}/3"),
            ])
            .args(flags())
            .run();
        assert_eq!(score.code, 0, "{}", score.err);
        let file = format!("scores/part-0000{shard}-of-00003.parquet");
        let rows = rows(&shop.path().join(file));
        assert!((8..=9).contains(&rows.len()));
        for row in rows {
            if let Ok(error) = row.get_string(4) {
                assert!(
                    row.get_string(0).unwrap().ends_with("broken.png"),
                    "{error}"
                );
                assert!(row.get_string(1).is_err() && row.get_float(2).is_err());
                broken += 1;
                continue;
            }
            let (label, probability) = expected.remove(row.get_string(0).unwrap()).unwrap();
            assert_eq!(row.get_string(1).unwrap(), &label);
            assert_eq!(row.get_float(2).unwrap().to_bits(), probability.to_bits());
            // Of two classes: p - (1 - p).
            let margin = row.get_float(3).unwrap();
            assert!(
                (margin - (2.0 * probability - 1.0)).abs() < 1e-6,
                "{margin}"
            );
        }
    }
    assert_eq!((broken, expected.len()), (1, 0));
}

#[test]
fn a_list_of_paths_is_read_and_missing_files_are_values() {
    let shop = workshop();
    let list = "photos/train/red/1.png\nno-such.png\n";
    fs::write(shop.path().join("list.txt"), list).unwrap();
    let score = deploy(shop.path())
        .args(["score", "--list", "list.txt", "--out", "scores"])
        .args(flags())
        .run();
    assert_eq!(score.code, 0, "{}", score.err);
    assert!(score.err.contains("unreadable images: 1"), "{}", score.err);
    let rows = rows(&shop.path().join("scores/part-00001-of-00001.parquet"));
    let errors: Vec<bool> = rows.iter().map(|row| row.get_string(4).is_ok()).collect();
    assert_eq!(errors, [false, true]);
    let missing = deploy(shop.path())
        .args(["score", "--list", "no-list.txt", "--out", "scores"])
        .args(flags())
        .run();
    missing.refused("no-list.txt");
    let typed = deploy(shop.path())
        .args(["score", "photos", "nowhere", "--out", "scores"])
        .args(flags())
        .run();
    typed.refused("`nowhere` is not there");
    let none = deploy(shop.path())
        .args(["score", "--out", "scores"])
        .args(flags())
        .run();
    assert_eq!(none.code, 2);
    assert!(none.err.contains("<PATH>"), "{}", none.err);
}

#[test]
fn a_model_that_gives_no_answer_ends_it_and_leaves_no_file() {
    let shop = workshop();
    model(f32::NAN)
        .save(&shop.path().join("model.onnx"))
        .unwrap();
    let score = deploy(shop.path())
        .args([
            "score",
            "photos",
            "--out",
            "scores",
            "--output-kind",
            "logits",
        ])
        .args(flags())
        .run();
    score.refused("not finite");
    assert_eq!(fs::read_dir(shop.path().join("scores")).unwrap().count(), 0);
}

#[test]
fn features_are_those_of_the_file_of_numpy() {
    let shop = workshop();
    let embed = |out| {
        let run = deploy(shop.path())
            .args(["embed", "photos/test", "--normalize", "--out", out])
            .args([
                "--model",
                "model.onnx",
                "--preprocess",
                crate::support::PREPROCESS,
            ])
            .run();
        assert_eq!(run.code, 0, "{}", run.err);
    };
    embed("features.npy");
    embed("features.parquet");
    let npy = fs::read(shop.path().join("features.npy")).unwrap();
    let numbers = npy[128..]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes));
    let numbers: Vec<f32> = numbers.collect();
    let paths = fs::read_to_string(shop.path().join("features.txt")).unwrap();
    let rows = rows(&shop.path().join("features.parquet"));
    assert_eq!((rows.len(), numbers.len()), (8, 24));
    for ((row, path), features) in rows.iter().zip(paths.lines()).zip(numbers.chunks(3)) {
        assert_eq!(row.get_string(0).unwrap(), path);
        let list = row.get_list(1).unwrap();
        let found: Vec<f32> = (0..list.len())
            .map(|i| list.get_float(i).unwrap())
            .collect();
        assert_eq!(found, features);
    }
}
