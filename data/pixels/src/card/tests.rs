use super::*;
use crate::Limits;

fn card() -> Card {
    let mut provenance = Provenance {
        tool: "trainer".into(),
        version: "0.1.0".into(),
        seed: 7,
        date: "2026-11-23T00:00:00Z".into(),
        backbone_licence: Some("Apache-2.0".into()),
        backbone_source: Some("ONNX model zoo".into()),
        features: Some(FeaturesNote {
            values: vec!["/Flatten_output_0".into()],
            width: 512,
            found_by: "the input of its fully connected layer".into(),
        }),
        preprocess_source: Some("preprocessor_config.json of net.onnx".into()),
        ..Provenance::default()
    };
    provenance.options.insert("epochs".into(), 10.into());
    let note = ScoreNote {
        accuracy: 0.95,
        interval: [0.91, 0.98],
        count: 153,
        ..ScoreNote::default()
    };
    provenance.scores.insert("test".into(), note);
    let tolerance = BTreeMap::from([("fp32".to_string(), 1e-4)]);
    Card {
        version: VERSION,
        task: "classify".into(),
        inputs: vec!["input".into()],
        outputs: vec!["logits".into()],
        classes: vec!["ants".into(), "b\"ees\"".into()],
        preprocess: Preprocess::imagenet(),
        output_kind: OutputKind::Logits,
        provenance,
        golden: vec![Golden::new(
            "a.png",
            b"\0\x01\xff",
            vec![0.1, -1e-8],
            tolerance,
        )],
        threshold: None,
        comparison: None,
    }
}

fn read(pairs: &[(String, String)]) -> Result<Option<Card>> {
    Card::from_pairs(
        pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    )
}

/// The card with one value replaced, or taken away.
fn with(key: &str, value: Option<&str>) -> Result<Option<Card>> {
    let mut pairs = card().to_pairs();
    pairs.retain(|(known, _)| known != key);
    pairs.extend(value.map(|value| (key.to_string(), value.to_string())));
    read(&pairs)
}

#[test]
fn pairs_give_the_card_back() {
    let pairs = card().to_pairs();
    assert!(pairs.iter().all(|(key, _)| key.starts_with(PREFIX)));
    assert_eq!(read(&pairs).unwrap(), Some(card()));
    assert_eq!(card().golden[0].bytes().unwrap(), b"\0\x01\xff");
}

#[test]
fn a_golden_sample_keeps_a_masked_class() {
    let mut card = card();
    card.golden[0].logits = vec![f32::NEG_INFINITY, 0.25];
    let pairs = card.to_pairs();
    let golden = &pairs.last().unwrap().1;
    assert!(golden.contains("[\"-inf\",0.25]"), "{golden}");
    assert_eq!(read(&pairs).unwrap(), Some(card));
    // What earlier releases wrote in place of a NaN.
    for damaged in ["null", "1e300", "\"inf\""] {
        let golden = golden.replace("\"-inf\"", damaged);
        assert!(
            with("classifier.golden", Some(&golden)).is_err(),
            "{damaged}"
        );
    }
}

#[test]
fn a_file_without_a_card_has_none() {
    assert_eq!(
        Card::from_pairs([("author", "me"), ("classes", "[]")]).unwrap(),
        None
    );
}

#[test]
fn unknown_keys_are_ignored_and_most_known_ones_may_be_missing() {
    let mut pairs = card().to_pairs();
    pairs.push(("classifier.new".into(), "?".into()));
    pairs.push(("author".into(), "me".into()));
    assert_eq!(read(&pairs).unwrap(), Some(card()));
    for key in [
        "task",
        "inputs",
        "outputs",
        "output_kind",
        "provenance",
        "golden",
    ] {
        assert!(
            with(&format!("{PREFIX}{key}"), None).unwrap().is_some(),
            "{key}"
        );
    }
    let sparse = with("classifier.provenance", Some("{\"seed\": 3, \"new\": []}"))
        .unwrap()
        .unwrap();
    assert_eq!(sparse.provenance.seed, 3);
    assert_eq!(sparse.provenance.preprocess_source, None);
}

#[test]
fn what_cannot_be_honoured_is_named() {
    for (key, value, expected) in [
        (
            "version",
            Some("2"),
            "version 2; this program knows version 1",
        ),
        ("version", None, "`classifier.version`: is missing"),
        ("classes", None, "`classifier.classes`: is missing"),
        ("classes", Some("[]"), "there are none"),
        ("classes", Some("[\"a\",\"b\",\"a\"]"), "`a` is there twice"),
        ("classes", Some("ants"), "classifier.classes"),
        ("task", Some("detect"), "`detect` is not known"),
        ("output_kind", Some("votes"), "`votes`"),
        (
            "preprocess",
            Some("[{\"step\":\"sharpen\"}]"),
            "unknown variant `sharpen`",
        ),
        ("preprocess", Some("[]"), "the last step must be `layout`"),
        ("golden", Some("[{}]"), "classifier.golden"),
    ] {
        let error = with(&format!("{PREFIX}{key}"), value).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn outputs_are_counted() {
    assert!(card().check_outputs(2).is_ok());
    let error = card().check_outputs(1000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model card names 2 classes, the model has 1000 outputs"
    );
}

#[test]
fn dates() {
    assert_eq!(date(Some("1700000000")), "2023-11-14T22:13:20Z");
    assert!(date(Some("soon")).as_str() > "2025");
    assert_eq!(date(None).len(), "2023-11-14T22:13:20Z".len());
    assert!(utc_date().as_str() > "1970" && utc_date().ends_with('Z'));
}

#[test]
fn golden_images_are_turned_large_and_small_in_bytes() {
    let images = golden_images::images();
    let sizes: Vec<(u32, u32)> = images
        .iter()
        .map(|(_, bytes)| {
            crate::decode::decode(bytes, &Limits::default())
                .unwrap()
                .dimensions()
        })
        .collect();
    // The JPEG is stored 410 x 290.
    assert_eq!(sizes, [(290, 410), (330, 280)]);
    assert!(images.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < 20_000);
}

#[test]
fn a_verifier_has_a_threshold_and_pairs_of_images() {
    let golden = Golden::new("a.png + b.png", b"a", vec![0.25], BTreeMap::new()).with_second(b"b");
    let verifier = Card {
        task: VERIFY.into(),
        inputs: vec!["a".into(), "b".into()],
        golden: vec![golden],
        threshold: Some(0.375),
        ..card()
    };
    let pairs = verifier.to_pairs();
    let again = read(&pairs).unwrap().unwrap();
    assert_eq!(again, verifier);
    assert_eq!(again.golden[0].second_bytes().unwrap(), b"b");
    let error = card().golden[0].second_bytes().unwrap_err().to_string();
    assert!(error.contains("there is no second image"), "{error}");
    assert_eq!(again.score_kind(), ScoreKind::Probability);
    let distances = Card {
        output_kind: ScoreKind::Distance.into(),
        ..verifier
    };
    let again = read(&distances.to_pairs()).unwrap().unwrap();
    assert_eq!(
        (again.score_kind(), &again),
        (ScoreKind::Distance, &distances)
    );
    let classifier = Card {
        task: CLASSIFY.into(),
        ..distances.clone()
    };
    let error = read(&classifier.to_pairs()).unwrap_err().to_string();
    assert!(error.contains("`distances` is not logits"), "{error}");
    let encoder = Card {
        task: ENCODE.into(),
        classes: vec![],
        output_kind: OutputKind::Features,
        comparison: Some(Comparison {
            distance: "cosine".into(),
            weight: vec![14.0],
            bias: -7.5,
            score: ScoreKind::Probability,
        }),
        ..distances
    };
    let again = read(&encoder.to_pairs()).unwrap().unwrap();
    assert_eq!(
        (again.score_kind(), &again),
        (ScoreKind::Probability, &encoder)
    );
    let undecided = Card {
        threshold: None,
        ..encoder.clone()
    };
    let error = read(&undecided.to_pairs()).unwrap_err().to_string();
    assert!(
        error.contains("`classifier.threshold`: is missing"),
        "{error}"
    );
    let backbone = Card {
        comparison: None,
        ..undecided
    };
    let again = read(&backbone.to_pairs()).unwrap().unwrap();
    assert_eq!(again, backbone, "features alone need neither");
    let without: Vec<_> = pairs
        .into_iter()
        .filter(|(key, _)| key != "classifier.threshold")
        .collect();
    let error = read(&without).unwrap_err().to_string();
    assert!(
        error.contains("`classifier.threshold`: is missing"),
        "{error}"
    );
}
