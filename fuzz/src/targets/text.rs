//! Texts and tables: preprocessing, augmentation, model card, class names, splits.

use data::augment::Augment;
use pixels::{Card, Preprocess, RgbImage};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::{Target, scratch};

/// Text of the preprocessing, and its effect on a small image.
pub const PREPROCESS: Target = Target {
    name: "preprocess",
    run: preprocess,
    seeds: || {
        texts(&[
            &Preprocess::imagenet().to_string(),
            "resize=32x24,filter=bicubic;center_crop=24;scale=1/255",
            "{\"steps\":[]}",
        ])
    },
    words: &[
        "resize",
        "crop",
        "pad",
        "normalize",
        "mean",
        "std",
        "scale",
        ",",
        ";",
        "=",
        "x",
        "1/255",
        "bgr",
        "nhwc",
        "u8",
    ],
};

fn preprocess(bytes: &[u8]) {
    let Some(preprocess) = text(bytes).and_then(|text| text.parse::<Preprocess>().ok()) else {
        return;
    };
    let again: Preprocess = preprocess
        .to_string()
        .parse()
        .expect("its own text is read");
    assert_eq!(again, preprocess);
    let json =
        serde_json::to_string(&preprocess).expect("it has no map with other keys than strings");
    assert_eq!(
        serde_json::from_str::<Preprocess>(&json).ok().as_ref(),
        Some(&preprocess)
    );
    if let Ok(tensor) = preprocess.apply(&RgbImage::new(7, 5)) {
        assert_eq!(tensor.len(), preprocess.output_len());
    }
}

/// Text of the augmentation, and its effect on a small image.
pub const AUGMENT: Target = Target {
    name: "augment",
    run: augment,
    seeds: || {
        texts(&[
            &Augment::default().to_string(),
            "crop,hflip,vflip,rotate=15,color=0.4,noise=0.1,scale=0.8,elastic=3,cutout=0.3",
        ])
    },
    words: &[
        "crop", "hflip", "vflip", "rotate", "color", "noise", "scale", "elastic", "cutout", "none",
        "=", ",",
    ],
};

fn augment(bytes: &[u8]) {
    let Some(augment) = text(bytes).and_then(|text| text.parse::<Augment>().ok()) else {
        return;
    };
    let again: Augment = augment.to_string().parse().expect("its own text is read");
    assert_eq!(again, augment);
    let image = augment.apply(
        &RgbImage::new(7, 5),
        (6, 4),
        &mut ChaCha8Rng::seed_from_u64(1),
    );
    assert!(image.width() > 0 && image.height() > 0);
}

/// Metadata of a model file as a card: a line `key=value` for each pair.
pub const CARD: Target = Target {
    name: "card",
    run: card,
    seeds: card_seeds,
    words: &[
        "classifier.",
        "[",
        "]",
        "{",
        "}",
        "\"",
        ":",
        ",",
        "null",
        "NaN",
        "\\u0000",
    ],
};

fn card(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let pairs = || text.lines().filter_map(|line| line.split_once('='));
    let Ok(Some(card)) = Card::from_pairs(pairs()) else {
        return;
    };
    let written = card.to_pairs();
    let again = Card::from_pairs(written.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    // As text: a number that is not finite is not equal to itself.
    let again = again
        .expect("its own pairs are read")
        .expect("they have the version");
    assert_eq!(again.to_pairs(), written);
    for golden in &card.golden {
        let _ = golden.bytes();
    }
}

fn card_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "classifier.version=1\nclassifier.classes=[\"ants\",\"bees\"]\n\
         classifier.preprocess=[{\"op\":\"resize\",\"size\":[256,256]}]\nclassifier.output_kind=logits",
        "classifier.version=1\nclassifier.task=classify\nclassifier.inputs=[\"input\"]\n\
         classifier.classes=[\"a\",\"b\"]\nclassifier.outputs=[\"logits\"]\nclassifier.provenance={\"tool\":\"x\"}\n\
         classifier.golden=[{\"name\":\"a.png\",\"image\":\"AAAA\",\"logits\":[0.5,-1],\"tolerance\":{\"fp32\":1e-4}}]",
    ])
}

/// Class names, one a line.
pub const CLASS_NAMES: Target = Target {
    name: "class-names",
    run: |bytes| {
        if let Ok(names) = scratch::with_file("classes.txt", bytes, data::class_names::read) {
            assert!(!names.is_empty() && names.iter().all(|name| !name.is_empty()));
        }
    },
    seeds: || texts(&["ants\nbees\n", "\u{feff}ants\r\nbees \r\n"]),
    words: &["\n", "\r\n", "\u{feff}", "\u{301}", "\0"],
};

/// Tables of labelled images.
pub const SPLIT_TABLE: Target = Target {
    name: "split-table",
    run: split_table,
    seeds: || {
        texts(&[
            "path,label,split\ntrain/ants/1.jpg,ants,train\n\"a,b.jpg\",bees,val\n",
            "\u{feff}Label, note,path\nants,x,a b.jpg\n",
        ])
    },
    words: &[
        "path", "label", "split", "train", "val", "test", "\"", ",", "\n", "\r",
    ],
};

fn split_table(bytes: &[u8]) {
    let Ok(rows) = scratch::with_file("split.csv", bytes, data::table::read) else {
        return;
    };
    for row in &rows {
        assert!(!row.path.is_empty() && !row.label.is_empty());
    }
    let mut paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    paths.sort_unstable();
    assert!(
        paths.windows(2).all(|pair| pair[0] != pair[1]),
        "a path twice"
    );
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

pub(crate) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
