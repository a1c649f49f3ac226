use super::super::tests::{add, assert_refused, reason, sizes, tree};
use crate::Dataset;
use fs_err as fs;
use tempfile::TempDir;

/// 20 ants and bees below each of `folders`.
fn filled(folders: &[&str]) -> TempDir {
    let tree = tree(&[]);
    for folder in folders {
        add(&tree, folder, &["ants", "bees"], 10);
    }
    tree
}

fn open(tree: &TempDir) -> Dataset {
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(dataset.classes, ["ants", "bees"]);
    dataset
}

#[test]
fn splits_are_read_by_the_names_of_other_tools() {
    for (folders, expected) in [
        (&["Train", "Val", "Test"][..], [20, 20, 20]),
        (&["training", "validation", "testing"], [20, 20, 20]),
        (&["TRAIN", "dev", "eval"], [20, 20, 20]),
        (&["Training", "Testing"], [18, 2, 20]),
        (&["train", "validation"], [18, 2, 20]),
        (&["seg_train/seg_train", "seg_test/seg_test"], [18, 2, 20]),
        (&["training_set/training_set", "test_set"], [18, 2, 20]),
        (&["train", "validation-set", "test"], [20, 20, 20]),
        (&["birds/birds/train", "birds/birds/test"], [18, 2, 20]),
        (&["archive/flowers"], [14, 2, 4]),
    ] {
        let tree = filled(folders);
        let dataset = open(&tree);
        assert_eq!(sizes(&dataset), expected, "{folders:?}");
        let split = folders[0];
        assert!(dataset.train[0].relative.starts_with(split), "{folders:?}");
        assert!(dataset.train.iter().all(|sample| sample.path.is_file()));
    }
    let tree = filled(&["seg_train/seg_train", "seg_test/seg_test"]);
    assert_eq!(
        open(&tree).notes[0],
        "splits: `seg_train/seg_train` is train, `seg_test/seg_test` is test"
    );
    let tree = filled(&["archive/flowers"]);
    assert_eq!(
        open(&tree).notes[0],
        "the classes are the folders in `archive/flowers`"
    );
}

#[test]
fn a_word_of_a_class_name_is_no_split() {
    let tree = tree(&[]);
    add(
        &tree,
        "",
        &["bus_station", "test_tube", "train_station"],
        10,
    );
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(
        dataset.classes,
        ["bus_station", "test_tube", "train_station"]
    );
    // With images in folders of their own, too.
    for class in ["airport", "train_station"] {
        for hall in ["east", "west"] {
            fs::create_dir_all(tree.path().join("nested").join(class).join(hall)).unwrap();
            let name = format!("nested/{class}/{hall}/{class}{hall}.jpg");
            fs::write(tree.path().join(name), "").unwrap();
        }
    }
    assert_refused(
        Dataset::open(&tree.path().join("nested"), 0),
        "would have classes that all contain the same folders",
    );
    fs::remove_dir_all(tree.path().join("nested/airport/west")).unwrap();
    let nested = Dataset::open(&tree.path().join("nested"), 0).unwrap();
    assert_eq!(nested.classes, ["airport", "train_station"]);
}

#[test]
fn runs_and_what_archives_leave_are_no_classes() {
    let tree = filled(&[""]);
    for file in [
        "runs/1/config.toml",
        "runs/1/inspect/a.png",
        "bees-run/config.toml",
        "__MACOSX/ants/._ants0.jpg",
        "@eaDir/x.jpg",
    ] {
        fs::create_dir_all(tree.path().join(file).parent().unwrap()).unwrap();
        fs::write(tree.path().join(file), "").unwrap();
    }
    let dataset = open(&tree);
    assert_eq!(sizes(&dataset), [14, 2, 4]);
    for run in ["runs", "bees-run"] {
        assert_eq!(reason(&dataset, run), "runs of `trainer fit`");
    }
    assert!(reason(&dataset, "__MACOSX").contains("archive"));
    let wrapped = filled(&["flowers"]);
    fs::create_dir_all(wrapped.path().join("__MACOSX/flowers/ants")).unwrap();
    assert!(reason(&open(&wrapped), "__MACOSX").contains("archive"));
}

#[test]
fn a_class_without_images_is_found_in_its_split() {
    let tree = filled(&["Training", "Testing"]);
    for split in ["Training", "Testing"] {
        fs::create_dir(tree.path().join(split).join("wasps")).unwrap();
    }
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    let error = dataset.check_trainable().unwrap_err().to_string();
    assert!(error.ends_with("Training/wasps`"), "{error}");
}

#[test]
fn folders_that_may_be_splits_are_refused_with_a_picture() {
    let refused = |tree: &TempDir, expected: &str| {
        let error = Dataset::open(tree.path(), 0).unwrap_err();
        assert!(error.hint().unwrap().contains("`train/CLASS/`"));
        let text = error.to_string();
        assert_eq!(
            text.replace(tree.path().to_str().unwrap(), "photos"),
            expected
        );
    };
    refused(
        &filled(&["2023", "2024"]),
        "`photos` would have classes that all contain the same folders\n  understood as:\n    \
         2023/  20 images in ants/, bees/\n    2024/  20 images in ants/, bees/",
    );
    // Every class is divided by itself.
    refused(
        &tree(&["ants/train/a.jpg", "ants/val/b.jpg", "bees/train/c.jpg"]),
        "`photos` would have a class `ants` with splits in it\n  understood as:\n    \
         ants/  2 images in train/, val/\n    bees/  1 image in train/",
    );
    // Splits of images, with the labels beside them.
    refused(
        &tree(&[
            "images/train/a.jpg",
            "images/val/b.jpg",
            "labels/train/a.txt",
        ]),
        "`photos` would have a class `images` with splits in it\n  understood as:\n    \
         images/  2 images in train/, val/\n    labels/  0 images",
    );
    refused(
        &tree(&["train/a.jpg", "test/b.jpg"]),
        "`photos` would have a class `test`, which is the name of a split\n  understood as:\n    \
         test/  1 image\n    train/  1 image",
    );
    refused(
        &filled(&["", "test"]),
        "`photos` has both splits and classes\n  understood as:\n    \
         test/  the test split\n    ants/  images, not used",
    );
}
