//! Texts and tables: preprocessing, augmentation, model card, class names, splits.

use data::augment::Augment;
use data::{PairOptions, Pairs, Split, preprocessor_config};
use pixels::card::{Golden, OutputKind, Provenance};
use pixels::{Card, Preprocess, RgbImage};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::path::Path;

use crate::{Target, scratch};

/// Text of the preprocessing, and its effect on a small image.
pub const PREPROCESS: Target = Target {
    name: "preprocess",
    run: preprocess,
    seeds: || {
        texts(&[
            &Preprocess::imagenet().to_string(),
            "decode(bgr, exif)|resize(32, 24, bicubic)|center_crop(8, 40)|layout(nhwc, u8)",
            "decode(gray, exif)|center_crop(20)|scale(1/127.5)|normalize(mean=[1], std=[2])|layout(nchw, f16)",
            "resize_long(12, lanczos)|pad(12, 16, fill=[1, 2, 3])|center_crop(9, floor)|normalize(clip)",
        ])
    },
    words: &[
        "|",
        "resize(",
        "resize_short(",
        "resize_long(",
        "center_crop(",
        "pad(",
        "fill=",
        "floor",
        ")",
        ", ",
        "lanczos",
        "nearest",
        "antialias",
        "scale(1/255)",
        "imagenet",
        "half",
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

/// JSON beside an exported model: transformers' and timm's preprocessing.
pub const PREPROCESSOR_CONFIG: Target = Target {
    name: "preprocessor-config",
    run: |bytes| {
        for name in ["preprocessor_config.json", "config.json"] {
            let read = |path: &Path| preprocessor_config::read(path, Some((64, 64)));
            if let Ok(Some(found)) = scratch::with_file(name, bytes, read) {
                let again = found.preprocess.to_string().parse();
                assert_eq!(again.ok(), Some(found.preprocess));
            }
        }
    },
    seeds: || {
        texts(&[
            r#"{"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 24}, "crop_size": 20,
                "resample": 3, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "do_pad": false}"#,
            r#"{"feature_extractor_type": "ConvNextFeatureExtractor", "crop_pct": 0.875, "size": 24}"#,
            r#"{"architecture": "x", "pretrained_cfg": {"input_size": [3, 24, 24], "test_input_size": [3, 64, 64],
                "crop_pct": 0.9, "crop_mode": "border", "interpolation": "bicubic"}, "model_args": {"in_chans": 1}}"#,
        ])
    },
    words: &[
        "null",
        "true",
        "-1",
        "1e300",
        "{}",
        "[]",
        "\"height\":",
        "\"width\":",
        "squash",
        "EfficientNet",
        "\"rescale_offset\": true,",
        "NaN",
    ],
};

/// Text of the augmentation, and its effect on a small image.
pub const AUGMENT: Target = Target {
    name: "augment",
    run: augment,
    seeds: || {
        texts(&[
            &Augment::default().to_string(),
            "crop(0.08..1, 3/4..4/3)|hflip(0.5)|vflip(0.5)|rotate(15)|color(0.4, 0.4, 0.4, 0.1)",
            "noise(0.1)|scale(0.8..1.2)|elastic(3, 2)|cutout(2, 0.3)",
        ])
    },
    words: &[
        "|", "crop", "hflip", "rotate", "scale", "elastic", "cutout", "none", "(", ")", ", ", "..",
        "1e9",
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
    assert!(image.rgb.width() > 0 && image.rgb.height() > 0);
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
    let card = Card {
        version: 1,
        task: "classify".into(),
        inputs: vec!["input".into()],
        outputs: vec!["logits".into()],
        classes: vec!["ants".into(), "bees".into()],
        preprocess: Preprocess::imagenet(),
        output_kind: OutputKind::Logits,
        provenance: Provenance::default(),
        golden: vec![Golden::new(
            "a.png",
            b"bytes",
            vec![0.5, -1.0],
            [("fp32".into(), 1e-4)].into(),
        )],
        threshold: None,
        comparison: None,
    };
    let lines = card
        .to_pairs()
        .into_iter()
        .map(|(key, value)| format!("{key}={value}\n"));
    vec![lines.collect::<String>().into_bytes()]
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

/// Tables of pairs of images.
pub const PAIR_TABLE: Target = Target {
    name: "pair-table",
    run: pair_table,
    seeds: || {
        texts(&[
            // The table is the only file of its folder.
            "path_a,path_b,label,split\npairs.csv,./pairs.csv,same,train\n",
            "path_a,path_b,label\npairs.csv,./pairs.csv,0\npairs.csv,././pairs.csv,forged\n",
        ])
    },
    words: &[
        "path_a",
        "path_b",
        "label",
        "split",
        "pairs.csv",
        "./",
        "same",
        "different",
        "forged",
        "1",
        "train",
        "val",
        "\"",
        ",",
        "\n",
    ],
};

fn pair_table(bytes: &[u8]) {
    let open = |path: &Path| Pairs::open(path, &PairOptions::default());
    let Ok(pairs) = scratch::with_file("pairs.csv", bytes, open) else {
        return;
    };
    for split in Split::ALL {
        for pair in pairs.of(split) {
            let [a, b] = pairs.images_of(split, pair);
            assert_ne!(a.relative, b.relative, "an image with itself");
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

pub(crate) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
