//! Pairs from folders and tables, and what is refused.

use super::{FlawKind, Pair, PairKind, PairOptions, Pairs};
use crate::{Dataset, Split};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// A folder with these (empty) images.
fn folder(images: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for image in images {
        let path = folder.path().join(image);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "").unwrap();
    }
    folder
}

/// Identities `p00`, `p01` and so on, each with `own` images and `forged` forgeries.
fn identities(count: usize, own: usize, forged: usize) -> tempfile::TempDir {
    let names = |i: usize| {
        let own = (0..own).map(move |j| format!("p{i:02}/{j}.jpg"));
        own.chain((0..forged).map(move |j| format!("p{i:02}/Forged/{j}.jpg")))
    };
    let all: Vec<String> = (0..count).flat_map(names).collect();
    folder(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

fn open(path: &Path) -> crate::Result<Pairs> {
    Pairs::open(path, &PairOptions::default())
}

fn error(path: &Path) -> String {
    let error = open(path).unwrap_err();
    format!("{error}; {}", error.hint().unwrap_or_default())
}

/// A table in a folder with four images `a.jpg` to `f.jpg`.
fn table(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = folder(&["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]);
    let path = folder.path().join("pairs.csv");
    fs_err::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn pairs_of_folders_are_balanced_distinct_and_never_of_two_splits() {
    let folder = identities(20, 5, 3);
    let options = PairOptions {
        seed: 7,
        per_identity: 6,
    };
    let pairs = Pairs::open(folder.path(), &options).unwrap();
    assert_eq!(pairs, Pairs::open(folder.path(), &options).unwrap());
    assert_ne!(pairs, open(folder.path()).unwrap());
    let mut seen = BTreeSet::new();
    for (split, count) in [(Split::Train, 14), (Split::Val, 2), (Split::Test, 4)] {
        let samples = pairs.images.samples(split);
        let own: BTreeSet<u32> = samples.iter().map(|sample| sample.label).collect();
        assert_eq!(own.len(), count);
        assert!(own.is_disjoint(&seen));
        seen.extend(&own);
        let mut distinct = HashSet::new();
        for label in own {
            let of_identity = pairs
                .of(split)
                .iter()
                .filter(|p| samples[p.a].label == label);
            let count = |kind| of_identity.clone().filter(|pair| pair.kind == kind).count();
            let kinds = [PairKind::Same, PairKind::Forged, PairKind::Different].map(count);
            assert_eq!(kinds, [6, 3, 3]);
        }
        for pair in pairs.of(split) {
            let [a, b] = pairs.images_of(split, pair);
            let is_forged = |path: &str| path.contains("/Forged/");
            assert_eq!(a.label == b.label, pair.kind != PairKind::Different);
            assert_eq!(is_forged(&b.relative), pair.kind == PairKind::Forged);
            assert!(!is_forged(&a.relative) && a != b);
            assert!(distinct.insert((pair.a.min(pair.b), pair.a.max(pair.b))));
        }
    }
}

#[test]
fn a_list_brings_back_images_and_pairs() {
    let folder = identities(9, 3, 1);
    let pairs = open(folder.path()).unwrap();
    let (images, list) = (
        folder.path().join("split.csv"),
        folder.path().join("pairs.csv"),
    );
    pairs.images.write_list(&images).unwrap();
    pairs.write_list(&list).unwrap();
    let images = Dataset::from_list(&images, None).unwrap();
    let again = Pairs::from_list(&list, images.clone()).unwrap();
    for split in Split::ALL {
        assert_eq!(again.of(split), pairs.of(split));
    }
    // As data, it has the same pairs; identities are named otherwise.
    let as_data = open(&list).unwrap();
    let paths = |pairs: &Pairs, pair: &Pair| {
        pairs
            .images_of(Split::Train, pair)
            .map(|s| s.relative.clone())
    };
    let all = |pairs: &Pairs| -> Vec<_> {
        pairs
            .of(Split::Train)
            .iter()
            .map(|pair| paths(pairs, pair))
            .collect()
    };
    assert_eq!(all(&as_data), all(&pairs));
    fs_err::write(
        &list,
        "path_a,path_b,label,split\nx.jpg,p00/0.jpg,same,train\n",
    )
    .unwrap();
    let error = Pairs::from_list(&list, images).unwrap_err().to_string();
    assert!(
        error.contains("line 2: `x.jpg` is no train image"),
        "{error}"
    );
}

#[test]
fn identities_that_cannot_be_paired_are_refused_by_name() {
    let one = error(identities(1, 4, 0).path());
    assert!(one.contains("one identity only: p00"), "{one}");
    let single = error(identities(4, 1, 2).path());
    assert!(
        single.contains("every identity has one image only"),
        "{single}"
    );
    let leaking = folder(&[
        "train/x/1.jpg",
        "train/y/1.jpg",
        "test/x/2.jpg",
        "test/z/1.jpg",
    ]);
    let leaking = error(leaking.path());
    assert!(leaking.contains("in more than one split: `x`"), "{leaking}");
    let missing = error(Path::new("no/such/folder"));
    assert!(missing.contains("no folder or CSV file"), "{missing}");
}

#[test]
fn identities_of_one_image_are_paired_with_others_alone() {
    let folder = folder(&[
        "train/x/1.jpg",
        "train/x/2.jpg",
        "train/y/1.jpg",
        "val/v/1.jpg",
        "val/v/2.jpg",
        "val/w/1.jpg",
    ]);
    let pairs = open(folder.path()).unwrap();
    let notes = pairs.images.notes.join("\n");
    assert!(
        notes.contains("2 of 4 identities") || notes.contains("of 4 identities"),
        "{notes}"
    );
    // `val` is the test set, and one of two identities in `train` is validation.
    let error = pairs.check_trainable().unwrap_err().to_string();
    assert!(error.contains("pairs of the answer"), "{error}");
}

#[test]
fn tables_are_read_with_their_splits() {
    let rows = "path_a,path_b,label,split\n\
                a.jpg,b.jpg,1,train\na.jpg,c.jpg,0,train\nb.jpg,a.jpg,same,train\n\
                d.jpg,e.jpg,same,val\nd.jpg,f.jpg,forgery,val\n";
    let (_folder, path) = table(rows);
    let pairs = open(&path).unwrap();
    let kinds = |split| {
        pairs
            .of(split)
            .iter()
            .map(|pair| pair.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(Split::Train), [PairKind::Same, PairKind::Different]);
    assert_eq!(kinds(Split::Val), [PairKind::Same, PairKind::Forged]);
    assert!(pairs.images.notes[0].contains("1 pairs are listed again"));
    pairs.check_trainable().unwrap();
    // `c` is in no pair of its own identity: it goes with its first partner.
    assert_eq!(pairs.identities(), ["a.jpg", "d.jpg"]);
}

#[test]
fn tables_without_splits_are_divided_by_identity() {
    let names: Vec<String> = (0..40).map(|i| format!("{i}.jpg")).collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut rows = "path_a,path_b,label\n".to_owned();
    for i in (0..40).step_by(2) {
        rows += &format!(
            "{i}.jpg,{}.jpg,same\n{i}.jpg,{}.jpg,different\n",
            i + 1,
            (i + 2) % 40
        );
    }
    let path = folder.path().join("pairs.csv");
    fs_err::write(&path, rows).unwrap();
    let pairs = open(&path).unwrap();
    assert_eq!(pairs.identities().len(), 20);
    assert_eq!(pairs.images.test.len(), 8);
    let same = |split| {
        pairs
            .of(split)
            .iter()
            .filter(|p| p.kind == PairKind::Same)
            .count()
    };
    assert_eq!(Split::ALL.map(same), [14, 2, 4]);
    let notes = pairs.images.notes.join("\n");
    assert!(
        notes.contains("pairs of identities in two splits are left out"),
        "{notes}"
    );
}

#[test]
fn what_is_wrong_in_a_table_is_named_with_its_line() {
    for (rows, expected) in [
        (
            "a.jpg,a.jpg,same,train",
            "line 2: `a.jpg` is paired with itself",
        ),
        ("a.jpg,no.jpg,same,train", "line 2: there is no file"),
        (
            "a.jpg,b.jpg,alike,train",
            "line 2: `alike` is not same, different or forged",
        ),
        (
            "a.jpg,b.jpg,same,train\nb.jpg,a.jpg,0,train",
            "line 3: `b.jpg` and `a.jpg` are `different` here",
        ),
        (
            "a.jpg,b.jpg,same,train\nc.jpg,d.jpg,same,",
            "line 3: no split is given",
        ),
        (
            "a.jpg,b.jpg,same,train\nb.jpg,c.jpg,same,val",
            "in more than one split: `b.jpg`",
        ),
    ] {
        let (_folder, path) = table(&format!("path_a,path_b,label,split\n{rows}\n"));
        let error = error(&path);
        assert!(error.contains(expected), "{rows}: {error}");
    }
    // One identity, and no other: nothing to learn.
    let (_folder, path) = table("path_a,path_b,label,split\na.jpg,b.jpg,same,train\n");
    let error_of_training = open(&path)
        .unwrap()
        .check_trainable()
        .unwrap_err()
        .to_string();
    assert!(
        error_of_training.contains("no train pairs of the answer `different`"),
        "{error_of_training}"
    );
    let (_folder, path) = table("path,label\na.jpg,x\n");
    assert!(error(&path).contains("there is no column `path_a`"));
    let (_folder, path) = table("path_a,path_b,label\n");
    assert!(error(&path).contains("no images"));
}

#[test]
fn an_unchecked_table_has_flaws_in_place_of_errors() {
    let (_folder, path) = table(
        "path_a,path_b,label,split\n\
         a.jpg,b.jpg,same,train\na.jpg,a.jpg,same,train\nb.jpg,a.jpg,same,train\n\
         a.jpg,b.jpg,same,train\na.jpg,b.jpg,0,train\nb.jpg,no.jpg,same,val\nc.jpg,d.jpg,0,val\n",
    );
    let (pairs, flaws) = Pairs::open_unchecked(&path, &PairOptions::default()).unwrap();
    let found: Vec<(FlawKind, Option<u64>, &str)> = flaws
        .iter()
        .map(|flaw| (flaw.kind, flaw.line, flaw.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (
                FlawKind::WithItself,
                Some(3),
                "`a.jpg` is paired with itself"
            ),
            (
                FlawKind::Repeated,
                Some(4),
                "`b.jpg` and `a.jpg` are listed again, mirrored"
            ),
            (
                FlawKind::Repeated,
                Some(5),
                "`a.jpg` and `b.jpg` are listed again"
            ),
            (
                FlawKind::TwoLabels,
                Some(6),
                "`a.jpg` and `b.jpg` are `different` here and `same` in an earlier row"
            ),
            (
                FlawKind::SeveralSplits,
                None,
                "images, or others of their identities, are in more than one split"
            ),
            (
                FlawKind::MissingAnswer,
                None,
                "no train pairs of the answer `different`"
            ),
            (
                FlawKind::MissingAnswer,
                None,
                "no val pairs of the answer `same`"
            ),
        ]
    );
    assert_eq!(flaws[4].paths, ["b.jpg", "no.jpg"]);
    let counts = pairs.counts();
    let train = counts[&Split::Train];
    assert_eq!((train.same, train.forged, train.different), (1, 0, 0));
    assert!(!counts.contains_key(&Split::Test));
}

#[test]
fn unchecked_folders_have_flaws_in_place_of_errors() {
    let data = folder(&[
        "train/x/1.jpg",
        "train/x/2.jpg",
        "train/y/1.jpg",
        "train/z/1.jpg",
        "train/z/2.jpg",
        "test/x/2.jpg",
        "test/x/3.jpg",
        "test/w/1.jpg",
        "test/w/2.jpg",
        "val/u/1.jpg",
        "val/u/2.jpg",
        "val/v/1.jpg",
        "val/v/2.jpg",
    ]);
    let (pairs, flaws) = Pairs::open_unchecked(data.path(), &PairOptions::default()).unwrap();
    let found: Vec<(FlawKind, &str)> = flaws
        .iter()
        .map(|flaw| (flaw.kind, flaw.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (
                FlawKind::SeveralSplits,
                "the identity `x` is in train and test"
            ),
            (
                FlawKind::SingleImage,
                "1 of 6 identities have fewer than two images of their own: `y`"
            ),
        ]
    );
    assert_eq!(flaws[0].paths.len(), 4);
    assert_eq!(pairs.counts()[&Split::Train].identities, 3);
    let clean = identities(10, 3, 1);
    let (pairs, flaws) = Pairs::open_unchecked(clean.path(), &PairOptions::default()).unwrap();
    assert_eq!((&flaws[..], pairs), (&[][..], open(clean.path()).unwrap()));
}

#[test]
fn folds_hold_out_every_identity_once_with_pairs_of_its_own_split() {
    let folder = identities(20, 3, 1);
    let options = PairOptions::default();
    let pairs = open(folder.path()).unwrap();
    let names = |pairs: &Pairs, split: Split| -> BTreeSet<String> {
        let samples = pairs.images.samples(split).iter();
        let name = |label: u32| pairs.images.classes[label as usize].clone();
        samples.map(|sample| name(sample.label)).collect()
    };
    let folds = pairs.folds(4, &options).unwrap();
    assert_eq!(folds.len(), 4);
    let mut held_out = Vec::new();
    for fold in &folds {
        let [train, val, test] =
            [Split::Train, Split::Val, Split::Test].map(|split| names(fold, split));
        assert!(
            val.len() >= 2 && train.len() > 2 * val.len(),
            "{train:?} {val:?}"
        );
        assert!(train.is_disjoint(&val) && train.is_disjoint(&test) && val.is_disjoint(&test));
        for counts in fold.counts().values() {
            assert_eq!(counts.same, counts.forged + counts.different);
            assert!(counts.forged > 0 && counts.different > 0);
        }
        held_out.extend(test);
    }
    held_out.sort_unstable();
    let [train, val] = [Split::Train, Split::Val].map(|split| names(&pairs, split));
    assert_eq!(held_out, train.union(&val).cloned().collect::<Vec<_>>());
    assert_eq!(pairs.folds(4, &options).unwrap(), folds, "the seed decides");
    let other = PairOptions { seed: 1, ..options };
    assert!(pairs.folds(4, &other).unwrap() != folds);
    // Sixteen identities in nine folds: in one of them a single identity is held out.
    for count in [9, 16, 40] {
        let Err(error) = pairs.folds(count, &options) else {
            panic!("{count} folds are made");
        };
        let error = error.to_string();
        assert!(
            error.contains(&format!("too few for {count} folds")),
            "{error}"
        );
    }
}
