//! `trainer fit --feature-table`: a head that is trained on features which other machines computed is that of a local
//! training, to the bit.

use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::SerializedFileReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::record::{ListAccessor, RowAccessor};
use parquet::schema::parser::parse_message_type;
use tests::run_folder::tensors;
use tests::{Tool, Workshop, shared, tiny_models};

use crate::fit::same_on_both_sides;

const PREPROCESS: &str =
    "decode(rgb, exif)|resize(32, 32, bilinear, antialias)|scale(1/255)|normalize(imagenet)";

/// A row of a table of features.
#[derive(Clone)]
struct Row {
    path: String,
    label: Option<String>,
    split: Option<String>,
    features: Option<Vec<f32>>,
    backbone: Option<String>,
}

/// A workshop with a small backbone, its cut, and a table of the features of all pictures.
fn shop() -> Workshop {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    cut(&shop);
    shop.deploy("embed pictures --model cut.onnx --out table.parquet -q")
        .run()
        .ok();
    shop
}

fn cut(shop: &Workshop) {
    shop.deploy("cut tiny.onnx cut.onnx -q --preprocess")
        .word(PREPROCESS)
        .run()
        .ok();
}

fn fit(shop: &Workshop, flags: &str) -> Tool {
    let fit = shop.trainer("fit --backbone tiny.onnx").args(flags);
    shop.own_cache(fit.args("--preprocess").word(PREPROCESS))
}

/// The rows of a table that `deploy` wrote, labelled by their folders.
fn read(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::try_from(path).unwrap();
    let row = |row: parquet::record::Row| {
        let path = row.get_string(0).unwrap().clone();
        let list = row.get_list(1).unwrap();
        let mut folders = path.rsplit('/').skip(1).map(str::to_owned);
        Row {
            label: folders.next(),
            split: folders.next(),
            features: Some(
                (0..list.len())
                    .map(|i| list.get_float(i).unwrap())
                    .collect(),
            ),
            backbone: Some(row.get_string(2).unwrap().clone()),
            path,
        }
    };
    reader
        .into_iter()
        .map(|found| row(found.unwrap()))
        .collect()
}

/// Writes a table as engines do: by Snappy, in groups of rows, with lists whose numbers may be missing. `columns` are the
/// texts that it has besides `path`.
fn write(rows: &[Row], columns: &[&str], file: &Path) {
    let texts: String = columns
        .iter()
        .map(|name| format!("optional binary {name} (UTF8);"))
        .collect();
    let schema = format!(
        "message table {{ required binary path (UTF8); {texts} optional group features (LIST) {{ repeated group list {{ \
         optional float element; }} }} }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let file = fs::File::create(file).unwrap().into_file();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(7) {
        let mut group = writer.next_row_group().unwrap();
        let mut names = std::iter::once(&"path").chain(columns);
        while let Some(mut column) = group.next_column().unwrap() {
            match column.untyped() {
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    let name = names.next().unwrap();
                    let text = |row: &Row| match *name {
                        "path" => Some(row.path.clone()),
                        "label" => row.label.clone(),
                        "split" => row.split.clone(),
                        "backbone" => row.backbone.clone(),
                        other => Some(format!("{other} of {}", row.path)),
                    };
                    let texts: Vec<Option<String>> = rows.iter().map(text).collect();
                    let levels: Vec<i16> = texts.iter().map(|text| text.is_some().into()).collect();
                    let texts: Vec<ByteArray> = texts
                        .iter()
                        .flatten()
                        .map(|text| text.as_str().into())
                        .collect();
                    writer.write_batch(&texts, Some(&levels), None).unwrap();
                }
                ColumnWriter::FloatColumnWriter(writer) => {
                    let (mut numbers, mut definitions, mut repetitions) = (vec![], vec![], vec![]);
                    for row in rows {
                        let features = row.features.as_deref().unwrap_or_default();
                        numbers.extend(features);
                        let levels = features.len().max(1);
                        definitions.extend(vec![if features.is_empty() { 0 } else { 3 }; levels]);
                        repetitions.extend((0..levels).map(|index| i16::from(index > 0)));
                    }
                    writer
                        .write_batch(&numbers, Some(&definitions), Some(&repetitions))
                        .unwrap();
                }
                _ => unreachable!("there are texts and numbers"),
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// The weights of two runs: Burn writes the optimiser's state in any order.
fn same_weights(shop: &Workshop, own: &str, other: &str) {
    let weights = |run: &str| {
        let mut all = tensors(&shop.path(format!("runs/{run}/best.safetensors")));
        ["fc.weight", "fc.bias"].map(|name| all.remove(name).unwrap())
    };
    assert_eq!(weights(own), weights(other));
}

#[test]
fn a_table_gives_the_bits_of_a_local_training() {
    let shop = shop();
    fit(&shop, "--data pictures --name local").run().ok();
    let done = fit(
        &shop,
        "--data pictures --feature-table table.parquet --name table",
    )
    .run()
    .ok();
    assert!(
        done.err
            .contains("features of train: 20 images, all from `"),
        "{}",
        done.err
    );
    assert!(!done.err.contains("computed in"), "{}", done.err);
    same_weights(&shop, "local", "table");
    same_on_both_sides(&shop, "table");
    let [local, table] =
        ["local", "table"].map(|run| shop.json(&format!("runs/{run}/summary.json")));
    for key in ["accuracy", "loss", "confusion", "count", "split", "leaks"] {
        assert_eq!(local[key], table[key], "{key}");
    }
    let info = shop
        .deploy("info --json runs/table/model.onnx")
        .run()
        .ok()
        .json();
    let from = &info["card"]["provenance"];
    assert_eq!(from["options"]["feature-table"], "table.parquet");
    // A folder of parts, the loop, folds and seeds, and a resumed run.
    for shard in 1..=3 {
        let score = format!("score pictures --model cut.onnx --out parts --shard {shard}/3 -q");
        shop.deploy(&score).run().ok();
    }
    let loops = "--data pictures --epochs 2 --folds 3 --seeds 2 -q";
    fit(&shop, &format!("{loops} --name local-loop")).run().ok();
    let parts = format!("{loops} --feature-table parts --name parts --threads 1");
    fit(&shop, &parts).run().ok();
    same_weights(&shop, "local-loop", "parts");
    for file in ["folds.json", "suspects.csv"] {
        let [own, other] = ["local-loop", "parts"]
            .map(|run| fs::read_to_string(shop.path(format!("runs/{run}/{file}"))).unwrap());
        assert_eq!(own, other, "{file}");
    }
    let resume = shop.own_cache(shop.trainer("fit --resume parts --epochs 3 -q"));
    resume.run().ok();
    fit(
        &shop,
        "--data pictures --epochs 3 --folds 3 --seeds 2 --name three -q",
    )
    .run()
    .ok();
    same_weights(&shop, "three", "parts");
}

#[test]
fn labels_and_splits_of_the_table_need_no_image() {
    let shop = shop();
    fit(&shop, "--data pictures --name local").run().ok();
    let mut rows = read(&shop.path("table.parquet"));
    // In the order of an engine, which is any.
    rows.reverse();
    rows.swap(3, 17);
    write(
        &rows,
        &["label", "split", "backbone"],
        &shop.path("labelled.parquet"),
    );
    let list: String = rows
        .iter()
        .map(|row| format!("{},{}\n", row.path, row.label.as_ref().unwrap()))
        .collect();
    shop.write("labels.csv", format!("path,label\n{list}"));
    fs::rename(shop.path("pictures"), shop.path("elsewhere")).unwrap();
    let done = fit(&shop, "--feature-table labelled.parquet --name table")
        .run()
        .ok();
    assert!(
        done.err.contains("verified with drawn images"),
        "{}",
        done.err
    );
    same_weights(&shop, "local", "table");
    let [local, table] =
        ["local", "table"].map(|run| shop.json(&format!("runs/{run}/summary.json")));
    for key in [
        "accuracy",
        "loss",
        "confusion",
        "count",
        "split",
        "verified",
    ] {
        assert_eq!(local[key], table[key], "{key}");
    }
    shop.deploy("check runs/table/model.onnx -q").run().ok();
    let card = |run: &str| {
        let info = shop.deploy(&format!("info --json {run}"));
        let mut card = info.run().ok().json()["card"].clone();
        card["provenance"]["scores"] = card["provenance"]["scores"]["val"].clone();
        card
    };
    let before = card("runs/table/model.onnx");
    // The run's scores again, and its file, from the table alone.
    let again = shop.trainer("eval table --json again.json").run().ok();
    assert!(again.out.contains("features of the table"), "{}", again.out);
    assert_eq!(shop.json("again.json")["accuracy"], local["accuracy"]);
    shop.trainer("export table").run().ok();
    assert_eq!(card("runs/table/model.onnx"), before);
    other_rows_are_refused(&shop, &rows);
    assert!(shop.path("runs/table/report.html").is_file());
    // Without splits the usual rule divides: as the list of the same images does.
    write(&rows, &["label", "backbone"], &shop.path("whole.parquet"));
    fit(
        &shop,
        "--feature-table whole.parquet --name whole --seed 5 -q",
    )
    .run()
    .ok();
    let listed = "--data labels.csv --feature-table whole.parquet --name listed --seed 5 -q";
    fit(&shop, listed).run().ok();
    let sizes = |run: &str| {
        let split = fs::read_to_string(shop.path(format!("runs/{run}/split.csv"))).unwrap();
        ["train", "val", "test"]
            .map(|name| split.lines().filter(|line| line.ends_with(name)).count())
    };
    assert_eq!(sizes("whole"), [28, 4, 8]);
    assert_eq!(sizes("listed"), [28, 4, 8]);
}

/// The run `table` is not scored on other rows, nor on its own in other splits.
fn other_rows_are_refused(shop: &Workshop, rows: &[Row]) {
    let texts = ["label", "split", "backbone"];
    write(&rows[1..], &texts, &shop.path("labelled.parquet"));
    for command in ["eval table -q", "export table -q"] {
        let text = shop.trainer(command).run().refusal();
        assert!(
            text.contains("are not those that the run was trained on"),
            "{text}"
        );
    }
    let mut moved = rows.to_vec();
    let tested = moved
        .iter_mut()
        .find(|row| row.split.as_deref() == Some("test"));
    tested.unwrap().split = Some("train".into());
    write(&moved, &texts, &shop.path("labelled.parquet"));
    for command in ["eval table -q", "export table -q", "fit --resume table -q"] {
        let text = shop.trainer(command).run().refusal();
        assert!(text.contains("in `train`; the run had it as"), "{text}");
    }
}

/// A table of these rows is refused in these words.
fn refuses(shop: &Workshop, rows: &[Row], columns: &[&str], expected: &[&str]) {
    write(rows, columns, &shop.path("bad.parquet"));
    let text = fit(shop, "--feature-table bad.parquet -q").run().refusal();
    for words in expected {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn rows_that_cannot_be_trained_on_are_refused_by_name() {
    let shop = shop();
    let rows = read(&shop.path("table.parquet"));
    let texts = ["label", "split", "backbone"];
    let refused = |rows: &[Row], columns: &[&str], expected: &[&str]| {
        refuses(&shop, rows, columns, expected);
    };
    let changed = |change: &dyn Fn(&mut Row)| {
        let mut rows = rows.clone();
        change(&mut rows[12]);
        rows
    };
    let path = rows[12].path.as_str();
    let named = format!("`{path}`");
    let named = named.as_str();
    refused(
        &changed(&|row| row.label = None),
        &texts,
        &["has no `label` in row 13", named],
    );
    refused(
        &changed(&|row| row.split = None),
        &texts,
        &["has no `split` in row 13", named],
    );
    refused(
        &changed(&|row| row.split = Some("dev-2".into())),
        &texts,
        &["`dev-2` is not a split", named],
    );
    refused(
        &changed(&|row| row.backbone = None),
        &texts,
        &["has no `backbone` in row 13", named],
    );
    refused(
        &changed(&|row| row.backbone = Some("00".into())),
        &texts,
        &["several backbones", named],
    );
    let other = rows[3].path.clone();
    refused(
        &changed(&|row| row.path.clone_from(&other)),
        &texts,
        &["has two rows of", other.as_str()],
    );
    refused(
        &changed(&|row| row.features.as_mut().unwrap()[2] = f32::NAN),
        &texts,
        &["not finite numbers", named],
    );
    refused(
        &changed(&|row| row.features.as_mut().unwrap().truncate(5)),
        &texts,
        &["has 5 features of", named, "and 6 of other images"],
    );
}

#[test]
fn a_table_without_what_is_needed_is_refused() {
    let shop = shop();
    let rows = read(&shop.path("table.parquet"));
    let texts = ["label", "split", "backbone"];
    let refused = |rows: &[Row], columns: &[&str], expected: &[&str]| {
        refuses(&shop, rows, columns, expected);
    };
    refused(
        &rows,
        &["split", "backbone"],
        &["has no column `label`", "--data"],
    );
    refused(
        &rows,
        &["label", "split"],
        &["has no column `backbone`", "deploy cut"],
    );
    refused(
        &rows,
        &["label", "probability", "backbone"],
        &["answers of a classifier"],
    );
    let narrow: Vec<Row> = rows
        .iter()
        .map(|row| Row {
            features: row.features.as_ref().map(|features| features[..5].to_vec()),
            ..row.clone()
        })
        .collect();
    refused(&narrow, &texts, &["rows of 5 features", "gives 6"]);
}

#[test]
fn a_table_of_other_images_and_settings_without_use_are_refused() {
    let shop = shop();
    let elsewhere = fit(&shop, "--data elsewhere --feature-table table.parquet -q");
    fs::create_dir_all(shop.path("elsewhere")).unwrap();
    for split in ["train", "val", "test"] {
        fs::rename(
            shop.path("pictures").join(split),
            shop.path("elsewhere").join(split),
        )
        .unwrap();
    }
    assert!(
        elsewhere
            .run()
            .refusal()
            .contains("has no row of an image of")
    );
    let not = fit(&shop, "--feature-table tiny.onnx -q").run();
    assert!(not.refusal().contains("cannot be read as Parquet"));
    for (flags, expected) in [
        ("--views 3", "leave out `--views`"),
        ("--fine-tune", "needs a frozen `--backbone`"),
        ("--feature-cache 1GB", "has no use with `--feature-table`"),
    ] {
        let text = fit(&shop, "--feature-table table.parquet -q")
            .args(flags)
            .run()
            .refusal();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn another_backbone_and_another_preprocessing_are_refused() {
    let shop = shop();
    let with =
        "fit --data pictures --feature-table table.parquet --backbone tiny.onnx -q --preprocess";
    let other = PREPROCESS.replace("imagenet", "half");
    let refused = shop
        .own_cache(shop.trainer(with).word(&other))
        .run()
        .refusal();
    assert!(refused.contains("other features of"), "{refused}");
    let mut document = onnx::Document::open(&shop.path("tiny.onnx")).unwrap();
    document.model.doc_string = Some("another file".into());
    document.save(&shop.path("tiny.onnx")).unwrap();
    let refused = fit(&shop, "--data pictures --feature-table table.parquet -q")
        .run()
        .refusal();
    assert!(
        refused.contains("features of another backbone than"),
        "{refused}"
    );
    assert!(
        !shop.path("runs").join("1").exists(),
        "nothing is left behind"
    );
}

#[test]
fn images_without_features_are_left_out_as_unreadable_ones_are() {
    let shop = shop();
    let mut rows = read(&shop.path("table.parquet"));
    let path = rows[20].path.clone();
    assert_eq!(rows[20].split.as_deref(), Some("train"), "one of 20 is 5 %");
    rows[20].features = None;
    write(
        &rows,
        &["label", "split", "backbone", "error"],
        &shop.path("gaps.parquet"),
    );
    let flags = "--data pictures --feature-table gaps.parquet --name gaps";
    let strict = fit(&shop, flags).args("--strict-images -q").run().refusal();
    assert!(
        strict.contains(&path) && strict.contains("error of"),
        "{strict}"
    );
    let done = fit(&shop, flags).run().ok();
    assert!(
        done.err.contains(&format!("{path}`: error of")),
        "{}",
        done.err
    );
    assert!(
        done.err.contains("features of train: 19 images"),
        "{}",
        done.err
    );
}

/// The photographs, with the small backbone that the other tests have.
#[test]
fn the_ants_and_bees_give_the_bits_of_a_local_training() {
    let Some(photos) = shared::find("data/hymenoptera") else {
        return;
    };
    let shop = Workshop::empty();
    tiny_models::residual(&shop.path("tiny.onnx"));
    cut(&shop);
    let embed = "score --model cut.onnx --out parts -q";
    for shard in ["1/2", "2/2"] {
        shop.deploy(embed)
            .path(&photos)
            .args("--shard")
            .word(shard)
            .run()
            .ok();
    }
    let fit = |name: &str| {
        let fit = fit(&shop, &format!("--name {name} -q")).args("--data");
        fit.path(&photos).patience(600)
    };
    fit("local").run().ok();
    fit("table").args("--feature-table parts").run().ok();
    same_weights(&shop, "local", "table");
    let [local, table] =
        ["local", "table"].map(|run| shop.json(&format!("runs/{run}/summary.json")));
    assert_eq!(local["confusion"], table["confusion"]);
    assert_eq!(table["count"], 153);
}
