use super::*;
use tempfile::TempDir;

/// A folder with empty files; a name that ends in `/` is a folder.
pub(super) fn tree(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }
    folder
}

/// `count` images of each class below `folder`.
pub(super) fn add(tree: &TempDir, folder: &str, classes: &[&str], count: usize) {
    for class in classes {
        let path = tree.path().join(folder).join(class);
        fs::create_dir_all(&path).unwrap();
        for i in 0..count {
            fs::write(
                path.join(format!("{class}{i}.jpg")),
                format!("{folder}{class}{i}"),
            )
            .unwrap();
        }
    }
}

fn relative(samples: &[Sample]) -> Vec<&str> {
    samples
        .iter()
        .map(|sample| sample.relative.as_str())
        .collect()
}

pub(super) fn sizes(dataset: &Dataset) -> [usize; 3] {
    Split::ALL.map(|split| dataset.samples(split).len())
}

pub(super) fn reason<'a>(dataset: &'a Dataset, end: &str) -> &'a str {
    let found = dataset
        .left_out
        .iter()
        .find(|left| left.path.ends_with(end));
    &found
        .unwrap_or_else(|| panic!("{end} is not left out"))
        .reason
}

/// That there is an error with this message and a hint.
pub(super) fn assert_refused<T>(result: Result<T>, message: &str) {
    let Err(error) = result else {
        panic!("taken, but expected: {message}");
    };
    assert!(error.to_string().contains(message), "{error}");
    assert!(error.hint().is_some(), "{error}");
}

#[test]
fn named_splits_mean_what_they_say() {
    let tree = tree(&["notes.txt", "extra/x.jpg"]);
    add(&tree, "train", &["bees", "ants", "Wasps"], 3);
    add(&tree, "valid", &["bees", "ants", "Wasps"], 2);
    add(&tree, "test", &["bees", "ants", "Wasps"], 1);
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(dataset.classes, ["Wasps", "ants", "bees"]);
    assert_eq!(sizes(&dataset), [9, 6, 3]);
    assert_eq!(
        relative(&dataset.test),
        [
            "test/Wasps/Wasps0.jpg",
            "test/ants/ants0.jpg",
            "test/bees/bees0.jpg"
        ]
    );
    assert!(dataset.notes.is_empty());
    assert_eq!(reason(&dataset, "notes.txt"), "not in a class folder");
    assert!(reason(&dataset, "extra").contains("not one of train"));
    dataset.check_trainable().unwrap();
}

#[test]
fn without_test_val_is_the_test_set() {
    let tree = tree(&[]);
    add(&tree, "train", &["ants", "bees"], 20);
    add(&tree, "val", &["ants", "bees"], 5);
    let dataset = Dataset::open(tree.path(), 3).unwrap();
    assert_eq!(sizes(&dataset), [36, 4, 10]);
    assert!(
        dataset
            .test
            .iter()
            .all(|sample| sample.relative.starts_with("val/"))
    );
    assert!(
        dataset
            .val
            .iter()
            .all(|sample| sample.relative.starts_with("train/"))
    );
    assert_eq!(
        dataset
            .val
            .iter()
            .filter(|sample| sample.label == 0)
            .count(),
        2
    );
    assert_eq!(
        dataset.notes,
        ["no test images: val/ is the test set; validation is 10 % of train/ (seed 3)"]
    );
}

#[test]
fn one_folder_is_divided() {
    let tree = tree(&[]);
    // A class may be called `train`.
    add(&tree, "", &["car", "train"], 10);
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(dataset.classes, ["car", "train"]);
    assert_eq!(sizes(&dataset), [14, 2, 4]);
    assert_eq!(dataset, Dataset::open(tree.path(), 0).unwrap());
    assert_ne!(dataset.train, Dataset::open(tree.path(), 1).unwrap().train);
}

#[test]
fn other_combinations_of_splits() {
    let tree = tree(&[]);
    add(&tree, "test", &["ants"], 5);
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(sizes(&dataset), [0, 0, 5]);
    assert_refused(dataset.check_trainable(), "has no train images");
    add(&tree, "train", &["ants"], 20);
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(sizes(&dataset), [18, 2, 5]);
    assert_refused(dataset.check_trainable(), "has one class only: ants");
    fs::remove_dir_all(tree.path().join("test")).unwrap();
    assert_eq!(sizes(&Dataset::open(tree.path(), 0).unwrap()), [14, 2, 4]);
}

#[test]
fn what_is_not_taken_is_listed() {
    let tree = tree(&[
        "ants/a.JPG",
        "ants/b.gif",
        "ants/c.heic",
        "ants/d.avif",
        "ants/e.txt",
        "ants/f.jfif",
        "ants/g.JPE",
        "ants/h.jp2",
        "ants/i.jxl",
        "ants/j.tga",
        "ants/.hidden.jpg",
        "ants/.thumbs/f.jpg",
        ".git/g.jpg",
        "bees/h.webp",
        "wasps/",
    ]);
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(dataset.classes, ["ants", "bees", "wasps"]);
    let mut all: Vec<&str> = dataset.all().map(|sample| &*sample.relative).collect();
    all.sort_unstable();
    let images = ["ants/a.JPG", "ants/f.jfif", "ants/g.JPE", "bees/h.webp"];
    assert_eq!(all, images);
    assert_eq!(dataset.left_out.len(), 11);
    for (name, format) in [
        ("h.jp2", "JPEG 2000"),
        ("i.jxl", "JPEG XL"),
        ("j.tga", "TGA"),
    ] {
        let expected = format!("{format} is not supported: convert it to PNG");
        assert!(reason(&dataset, name).starts_with(&expected));
    }
    assert!(reason(&dataset, "b.gif").contains("GIF"));
    assert!(reason(&dataset, "c.heic").contains("convert it to JPEG"));
    assert!(reason(&dataset, "d.avif").contains("convert it to PNG"));
    assert_eq!(reason(&dataset, ".thumbs"), "hidden");
    assert_eq!(reason(&dataset, ".git"), "hidden");
    assert_eq!(reason(&dataset, "wasps"), "a class folder without images");
    let error = dataset.check_trainable().unwrap_err().to_string();
    let start = "class `wasps` has no training images in `";
    assert!(
        error.starts_with(start) && error.ends_with("wasps`"),
        "{error}"
    );
}

#[test]
fn nested_folders_come_in_the_order_of_a_sorted_walk() {
    let names = [
        "c/z.jpg",
        "c/a/b.jpg",
        "c/a/a/x.jpg",
        "c/a.b/y.jpg",
        "c/B/q.jpg",
    ];
    let tree = tree(&names);
    let mut samples = Dataset::open(tree.path(), 0).unwrap();
    samples.train.append(&mut samples.val);
    samples.train.append(&mut samples.test);
    samples.train.sort_by_key(|sample| {
        scan::scan(tree.path(), "")
            .unwrap()
            .samples
            .iter()
            .position(|s| s == sample)
    });
    // Python: [(r, f) for r, _, fs in sorted(os.walk("c")) for f in sorted(fs)]
    assert_eq!(
        relative(&samples.train),
        [
            "c/z.jpg",
            "c/B/q.jpg",
            "c/a/b.jpg",
            "c/a.b/y.jpg",
            "c/a/a/x.jpg"
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_link_in_a_circle_ends() {
    let tree = tree(&["ants/a.jpg", "bees/b.jpg"]);
    std::os::unix::fs::symlink(tree.path().join("ants"), tree.path().join("ants/again")).unwrap();
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(sizes(&dataset).iter().sum::<usize>(), 2);
    assert!(reason(&dataset, "again").contains("above it"));
}

#[test]
fn refusals() {
    let open = |path: &Path| Dataset::open(path, 0);
    assert_refused(
        open(Path::new("no/such")),
        "there is no folder or CSV file `no/such`",
    );
    let loose = tree(&["a.jpg"]);
    assert_refused(open(loose.path()), "has no class folders");
    let file = loose.path().join("a.jpg");
    assert_refused(open(&file), "is neither a folder nor a CSV file");
    let nothing = tree(&["ants/", "bees/x.txt"]);
    let error = open(nothing.path()).unwrap_err();
    assert!(error.to_string().ends_with("has no images"), "{error}");
    let twice = tree(&["val/a/x.jpg", "valid/a/x.jpg"]);
    assert_refused(open(twice.path()), "has both `val/` and `valid/`");
    let twice = tree(&["Test/a/x.jpg", "testing/a/x.jpg"]);
    assert_refused(open(twice.path()), "has both `Test/` and `testing/`");
}

#[test]
fn differing_classes_are_named() {
    let tree = tree(&[
        "train/ants/a.jpg",
        "train/bees/a.jpg",
        "val/ants/a.jpg",
        "val/wasps/a.jpg",
    ]);
    let error = Dataset::open(tree.path(), 0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected: ants, bees\n  found:    ants, wasps"),
        "{error}"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("missing in the second: `bees`; only in the second: `wasps`"),
        "{hint}"
    );
}

#[test]
fn a_list_gives_the_same_images_back() {
    let tree = tree(&[]);
    // Blanks at the ends of a folder's name are a part of it.
    add(&tree, "", &["ants ", "bees, \"wild\""], 10);
    let dataset = Dataset::open(tree.path(), 5).unwrap();
    assert_eq!(dataset.classes[0], "ants ");
    let elsewhere = tempfile::tempdir().unwrap();
    let list = elsewhere.path().join("split.csv");
    dataset.write_list(&list).unwrap();
    let mut again = Dataset::from_list(&list, Some(tree.path())).unwrap();
    assert!(again.notes.is_empty());
    again.notes.clone_from(&dataset.notes);
    assert_eq!(again, dataset);
    let error = Dataset::from_list(&list, None).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("20 of 20 listed files are missing"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("name the folder"));
}

/// macOS writes `ä` as `a` with two dots behind it (NFD), other systems as one character (NFC).
#[test]
fn the_unicode_form_of_a_name_makes_no_other_class() {
    let (composed, decomposed) = ("k\u{e4}fer", "ka\u{308}fer");
    let tree = tree(&[]);
    add(&tree, "train", &["ants", composed, "k\u{e5}"], 10);
    add(&tree, "val", &["ants", decomposed, "ka\u{30a}"], 4);
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert_eq!(dataset.classes, ["ants", composed, "k\u{e5}"]);
    assert!(dataset.all().all(|sample| sample.path.is_file()));
    for sample in dataset.all() {
        let class = &dataset.classes[sample.label as usize];
        let folder = sample.relative.split('/').nth(1).unwrap();
        assert_eq!(crate::class_names::nfc(folder), *class);
    }
    let list = tree.path().join("split.csv");
    dataset.write_list(&list).unwrap();
    let again = Dataset::from_list(&list, None).unwrap();
    assert_eq!((again.classes, again.test), (dataset.classes, dataset.test));
    // Both forms side by side are two folders of one class.
    add(&tree, "train", &[decomposed], 1);
    let error = Dataset::open(tree.path(), 0).unwrap_err();
    assert!(
        error.to_string().contains("two folders for class"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("NFC"));
}

#[test]
fn a_table_in_place_of_a_folder() {
    let tree = tree(&["pics/1.jpg", "pics/2.jpg", "pics/3.jpg"]);
    let table = tree.path().join("photos.csv");
    fs::write(
        &table,
        "path,label\npics/1.jpg,bees\npics/2.jpg,ants\npics/3.jpg,ants\n",
    )
    .unwrap();
    let dataset = Dataset::open(&table, 0).unwrap();
    assert_eq!(dataset.classes, ["ants", "bees"]);
    assert_eq!(sizes(&dataset), [2, 0, 1]);
    assert!(dataset.train.iter().all(|sample| sample.path.is_file()));
    let splits = "path,label,split\npics/1.jpg,bees,train\npics/2.jpg,ants,valid\n\
                  pics/3.jpg,ants,test\n";
    fs::write(&table, splits).unwrap();
    assert_eq!(sizes(&Dataset::open(&table, 0).unwrap()), [1, 1, 1]);
    fs::write(
        &table,
        "path,label,split\npics/1.jpg,bees,train\npics/2.jpg,ants,\n",
    )
    .unwrap();
    let error = Dataset::open(&table, 0).unwrap_err();
    assert!(error.to_string().contains(", line 3: "), "{error}");
}

#[test]
fn the_fingerprint_follows_names_and_content() {
    let tree = tree(&[]);
    add(&tree, "", &["ants", "bees"], 3);
    let print = |seed| Dataset::open(tree.path(), seed).unwrap().fingerprint();
    let before = print(0);
    assert_eq!(before.len(), 64);
    assert_eq!(before, print(9));
    fs::write(tree.path().join("ants/ants0.jpg"), "other").unwrap();
    let changed = print(0);
    assert_ne!(before, changed);
    fs::rename(
        tree.path().join("ants/ants0.jpg"),
        tree.path().join("ants/z.jpg"),
    )
    .unwrap();
    assert_ne!(changed, print(0));
}

/// Stands for a file without permission, which root may read: the first bytes of a process's memory.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read_has_its_place_in_the_fingerprint() {
    let tree = tree(&[]);
    add(&tree, "", &["ants", "bees"], 3);
    let before = Dataset::open(tree.path(), 0).unwrap().fingerprint();
    let path = tree.path().join("ants/ants0.jpg");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", &path).unwrap();
    let dataset = Dataset::open(tree.path(), 0).unwrap();
    assert!(fs::read(&path).is_err());
    let unread = dataset.fingerprint();
    assert_ne!(unread, before);
    assert_eq!(unread, dataset.fingerprint_with(&|_| None));
}
