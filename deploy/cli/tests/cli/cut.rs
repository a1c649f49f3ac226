//! `deploy cut`: a backbone that ends at its features, its card, and the tables that are written with it.

use std::path::Path;

use deploy::Model;
use fs_err as fs;
use onnx::proto::DataType;
use onnx::{Dim, GraphBuilder, ModelInfo, Tensor};
use parquet::file::reader::SerializedFileReader;
use parquet::record::{ListAccessor, Row, RowAccessor};

use crate::support::{PREPROCESS, Run, deploy, workshop};

fn run(shop: &Path, args: &[&str]) -> Run {
    deploy(shop).args(args).run()
}

fn cut(shop: &Path) {
    let cut = run(
        shop,
        &["cut", "model.onnx", "cut.onnx", "--preprocess", PREPROCESS],
    );
    assert_eq!(cut.code, 0, "{}", cut.err);
    assert!(
        cut.err.contains("next: deploy embed --model cut.onnx"),
        "{}",
        cut.err
    );
}

fn rows(file: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::try_from(file).unwrap();
    reader.into_iter().map(Result::unwrap).collect()
}

fn numbers(row: &Row, column: usize) -> Vec<u32> {
    let list = row.get_list(column).unwrap();
    (0..list.len())
        .map(|i| list.get_float(i).unwrap().to_bits())
        .collect()
}

#[test]
fn a_cut_backbone_says_of_which_file_it_is_and_is_checked() {
    let shop = workshop();
    let shop = shop.path();
    cut(shop);
    let original = onnx::ModelFile::open(&shop.join("model.onnx")).unwrap();
    let model = Model::open(&shop.join("cut.onnx")).unwrap();
    let card = model.card.clone().unwrap();
    assert!(model.is_cut_backbone());
    assert_eq!(
        card.provenance.backbone_sha256.as_deref(),
        Some(original.sha256())
    );
    assert_eq!(card.preprocess, PREPROCESS.parse().unwrap());
    let features = card.provenance.features.unwrap();
    assert_eq!(
        (features.values, features.width),
        (vec!["flatten".to_owned()], 3)
    );
    assert_eq!(model.outputs.len(), 1);
    let check = run(shop, &["check", "cut.onnx"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    assert_eq!(
        check
            .out
            .lines()
            .filter(|line| line.starts_with("ok "))
            .count(),
        2
    );
    let info = run(shop, &["info", "cut.onnx"]);
    assert!(info.out.contains("task encode"), "{}", info.out);
    assert!(info.out.contains(original.sha256()), "{}", info.out);
    for command in ["predict", "eval"] {
        let refused = match command {
            "predict" => run(shop, &["predict", "photos", "--model", "cut.onnx"]),
            _ => run(shop, &["eval", "cut.onnx", "--data", "photos"]),
        };
        refused.refused("gives the features of an image, and no classes");
    }
    // Its own card is what a cut of it would begin with.
    run(shop, &["cut", "cut.onnx", "again.onnx"]).refused("gives the features of an image");
}

#[test]
fn a_preprocessing_that_nothing_tells_is_not_assumed() {
    let shop = workshop();
    let refused = run(shop.path(), &["cut", "model.onnx", "cut.onnx"]);
    refused.refused("how images are prepared for `model.onnx` is not known");
    assert!(!shop.path().join("cut.onnx").exists());
    run(shop.path(), &["cut", "no.onnx", "cut.onnx"]).refused("no.onnx");
    run(
        shop.path(),
        &["cut", "efficientnet-lite0", "cut.onnx", "--cache", "empty"],
    )
    .refused("trainer fetch efficientnet-lite0");
}

/// As the words of a line, with the preprocessing for `--preprocess`.
fn line(shop: &Path, words: &str) -> Run {
    let words = words.split(' ').map(|word| match word {
        "PREPROCESS" => PREPROCESS,
        word => word,
    });
    deploy(shop).args(words).run()
}

fn done(shop: &Path, words: &str) {
    let run = line(shop, words);
    assert_eq!(run.code, 0, "{words}: {}", run.err);
}

#[test]
fn score_and_embed_write_the_features_of_the_whole_file_with_their_origin() {
    let shop = workshop();
    let shop = shop.path();
    cut(shop);
    fs::write(shop.join("photos/test/red/broken.png"), "no image").unwrap();
    done(
        shop,
        "embed photos/val --out whole.parquet --model model.onnx --preprocess PREPROCESS",
    );
    done(shop, "embed photos/val --out own.parquet --model cut.onnx");
    let [whole, own] = ["whole", "own"].map(|name| rows(&shop.join(format!("{name}.parquet"))));
    assert_eq!((own.len(), &own), (8, &whole));
    let origin = own[0].get_string(2).unwrap();
    let original = onnx::ModelFile::open(&shop.join("model.onnx")).unwrap();
    let expected = format!("{} flatten | decode(rgb", original.sha256());
    assert!(origin.starts_with(&expected), "{origin}");
    let mut scored = Vec::new();
    for shard in 1..=2 {
        done(
            shop,
            &format!("score photos --out parts --shard {shard}/2 --model cut.onnx"),
        );
        let part = format!("parts/part-0000{shard}-of-00002.parquet");
        scored.extend(rows(&shop.join(part)));
    }
    assert_eq!(scored.len(), 25);
    let is_broken = |row: &Row| row.get_string(3).is_ok();
    let (broken, good): (Vec<Row>, Vec<Row>) = scored.into_iter().partition(is_broken);
    assert!(broken.len() == 1 && broken[0].get_list(1).is_err());
    for row in &own {
        let path = row.get_string(0).unwrap();
        let mut others = good.iter();
        let same = others.find(|other| other.get_string(0).unwrap() == path);
        let same = same.unwrap();
        assert_eq!(numbers(same, 1), numbers(row, 1));
        assert_eq!(same.get_string(2).unwrap(), origin);
    }
}

#[test]
fn what_has_no_use_is_refused_and_scaled_features_have_no_origin() {
    let shop = workshop();
    let shop = shop.path();
    cut(shop);
    line(
        shop,
        "score photos --out no --model cut.onnx --classes classes.txt",
    )
    .refused("`--classes` has no use with `cut.onnx`");
    // Features of length 1 are not those that a layer is trained on.
    done(
        shop,
        "embed photos/val --normalize --out unit.parquet --model cut.onnx",
    );
    assert!(rows(&shop.join("unit.parquet"))[0].get_string(2).is_err());
}

/// A map `[N, D, H, W]` is pooled: the features are those behind the model's own pooling.
#[test]
fn a_named_value_is_the_features() {
    let shop = workshop();
    let shop = shop.path();
    let mut graph = GraphBuilder::new("tiny");
    let dims = ["batch".into(), Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)];
    let x = graph.input("input", DataType::Float, &dims);
    let x = graph.relu("map", &x);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("row", &x);
    let weight = graph.initializer("weight", &Tensor::f32(&[2, 3], vec![0.5; 6]).unwrap());
    let bias = graph.initializer("bias", &Tensor::f32(&[2], vec![0.0; 2]).unwrap());
    let y = graph.gemm("fc", &x, &weight, &bias);
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(2)],
    );
    let model = graph.finish(&ModelInfo::default()).unwrap();
    model.save(&shop.join("model.onnx")).unwrap();
    let mut features = Vec::new();
    for value in ["map", "pool", "row"] {
        done(
            shop,
            &format!("cut model.onnx cut.onnx --cut-at {value} --preprocess PREPROCESS"),
        );
        done(
            shop,
            "embed photos/val --out table.parquet --model cut.onnx",
        );
        let table = rows(&shop.join("table.parquet"));
        let origin = table[0].get_string(2).unwrap();
        assert!(origin.contains(&format!(" {value} | decode(")), "{origin}");
        features.push(table.iter().map(|row| numbers(row, 1)).collect::<Vec<_>>());
    }
    assert_eq!(features[0], features[2]);
    assert_eq!(features[1], features[2]);
    line(
        shop,
        "cut model.onnx no.onnx --cut-at logits2 --preprocess PREPROCESS",
    )
    .refused("computes no value `logits2`");
}
