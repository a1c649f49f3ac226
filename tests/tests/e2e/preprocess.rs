//! The preprocessing of a backbone: where `fit` takes it from, and that a run keeps it.

use fs_err as fs;
use serde_json::Value;
use tests::{Done, Workshop, tiny_models};

const CLASSES: &str = "one\ntwo\nthree\nfour\nfive\n";

/// What ends ImageNet's steps for the small backbone.
const IMAGENET: &str = "decode(rgb, exif)|resize_short(37, bilinear, antialias)|center_crop(32)|scale(1/255)|\
     normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])|layout(nchw, f32)";

/// A workshop with a small backbone in `net/`.
fn shop() -> Workshop {
    let shop = Workshop::new();
    fs::create_dir(shop.path("net")).unwrap();
    tiny_models::residual(&shop.path("net/tiny.onnx"));
    shop
}

fn fit(shop: &Workshop, flags: &str) -> Done {
    let fit = shop.fit(&format!("--epochs 1 {flags}"));
    shop.own_cache(fit).run()
}

/// The line of the log, without its name.
fn preprocessing(done: &Done) -> &str {
    let mut lines = done.err.lines();
    let line = lines.find_map(|line| line.strip_prefix("preprocessing "));
    line.unwrap_or_else(|| panic!("{}", done.err))
}

/// The card of a run's file: its preprocessing as text, and its provenance.
fn card(shop: &Workshop, run: &str) -> (String, Value) {
    let model = format!("runs/{run}/model.onnx");
    shop.deploy("check").word(&model).run().ok();
    let info = shop.deploy("info").word(&model).run().ok().out;
    let line = info.lines().find(|line| line.starts_with("preprocess"));
    let card = shop.deploy("card show").word(&model).run().ok().json();
    let text = line.unwrap().trim_start_matches("preprocess").trim();
    (text.to_owned(), card["provenance"].clone())
}

#[test]
fn the_card_of_a_backbone_is_believed() {
    let shop = shop();
    shop.write("classes.txt", CLASSES);
    shop.deploy("card attach net/tiny.onnx --classes classes.txt --out net/carded.onnx")
        .args("--preprocess resize(32,32)|scale(1/255)|normalize(half)")
        .run()
        .ok();
    // A file beside it comes after the card.
    shop.write("net/preprocessor_config.json", "nonsense");
    let done = fit(&shop, "--backbone net/carded.onnx --name own").ok();
    let half = "decode(rgb, exif)|resize(32, 32, bilinear, antialias)|scale(1/255)|\
                normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])|layout(nchw, f32)";
    assert_eq!(
        preprocessing(&done),
        format!("(card of carded.onnx): {half}")
    );
    assert!(!done.err.contains("is known"), "{}", done.err);
    let (text, provenance) = card(&shop, "own");
    assert_eq!(text, format!("{half} (card of carded.onnx)"));
    assert_eq!(provenance["preprocess_source"], "card of carded.onnx");
    // Burn on the same images: the same accuracy as the file's.
    crate::fit::same_on_both_sides(&shop, "own");
}

#[test]
fn a_file_beside_the_backbone_is_believed_also_through_a_link() {
    let shop = shop();
    let config = r#"{"architecture": "x", "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9,
        "test_input_size": [3, 32, 32], "test_crop_pct": 1.0, "interpolation": "bicubic", "license": "mit",
        "hf_hub_id": "timm/x.a1", "mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]}}"#;
    shop.write("net/config.json", config);
    let steps = "decode(rgb, exif)|resize_short(32, bicubic, antialias)|center_crop(32)|scale(1/255)|\
                 normalize(mean=[0.1, 0.2, 0.3], std=[1.0, 1.0, 1.0])|layout(nchw, f32)";
    #[cfg(unix)]
    std::os::unix::fs::symlink("net/tiny.onnx", shop.path("link.onnx")).unwrap();
    #[cfg(not(unix))]
    fs::copy(shop.path("net/tiny.onnx"), shop.path("net/link.onnx")).unwrap();
    let link = if cfg!(unix) {
        "link.onnx"
    } else {
        "net/link.onnx"
    };
    let done = fit(&shop, &format!("--backbone {link} --name own")).ok();
    assert_eq!(
        preprocessing(&done),
        format!("(config.json of link.onnx): {steps}")
    );
    let (_, provenance) = card(&shop, "own");
    assert_eq!(provenance["backbone_licence"], "mit");
    assert_eq!(provenance["backbone_source"], "timm/x.a1");
    // What cannot be honoured is refused, and leaves no run behind.
    shop.write(
        "net/preprocessor_config.json",
        r#"{"image_processor_type": "DetrImageProcessor"}"#,
    );
    let refused = fit(&shop, "-q --backbone net/tiny.onnx --name none").refusal();
    let start = "error: `[DIR]/net/preprocessor_config.json`: `image_processor_type: \"DetrImageProcessor\"` is not \
                 known here (known: ViT, ";
    assert!(refused.starts_with(start), "{refused}");
    assert!(
        refused.ends_with("hint: give the preprocessing yourself: `--preprocess TEXT`"),
        "{refused}"
    );
    assert!(!shop.path("runs/none").exists());
}

#[test]
fn assumed_numbers_come_with_a_warning_and_a_run_keeps_it() {
    let shop = shop();
    let done = fit(&shop, "--backbone net/tiny.onnx --name own").ok();
    let warning = "no preprocessing is known for `tiny.onnx`; ImageNet's is taken; a wrong one costs 1 to 3 points: \
                   `--preprocess`";
    assert!(done.err.contains(warning), "{}", done.err);
    assert_eq!(
        preprocessing(&done),
        format!("(ImageNet's, assumed): {IMAGENET}")
    );
    // What appears beside the file later is not the run's.
    shop.write(
        "net/preprocessor_config.json",
        r#"{"image_processor_type": "ViTImageProcessor", "size": 32}"#,
    );
    let resume = |flags: &str| {
        let fit = shop.trainer("fit --resume own").args(flags);
        shop.own_cache(fit).run()
    };
    let done = resume("--epochs 2").ok();
    assert_eq!(
        preprocessing(&done),
        format!("(ImageNet's, assumed): {IMAGENET}")
    );
    assert!(!done.err.contains("is known"), "{}", done.err);
    shop.own_cache(shop.trainer("export own")).run().ok();
    let (text, _) = card(&shop, "own");
    assert_eq!(text, format!("{IMAGENET} (ImageNet's, assumed)"));
    crate::fit::same_on_both_sides(&shop, "own");
    let refused = resume("-q --preprocess resize(32,32)|normalize(half)").refusal();
    insta::assert_snapshot!(refused, @r#"
    error: `--preprocess` cannot change in a resumed run
      expected: the network's own
      found:    decode(rgb, exif)|resize(32, 32, bilinear, antialias)|normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])|layout(nchw, f32)

    hint: leave `--preprocess` out, or start a new run: `trainer fit --config RUN/config.toml --preprocess ...`
    "#);
    // Earlier releases kept no record and took ImageNet's.
    fs::remove_file(shop.path("runs/own/preprocess.json")).unwrap();
    let done = resume("--epochs 3").ok();
    let expected = format!("(ImageNet's, of an earlier release): {IMAGENET}");
    assert_eq!(preprocessing(&done), expected);
}

#[test]
fn a_typed_preprocessing_comes_first_and_must_fit() {
    let shop = shop();
    shop.write("net/preprocessor_config.json", "nonsense");
    let typed =
        "--backbone net/tiny.onnx --preprocess resize_long(32)|pad(32,fill=128)|scale(1/255)";
    let done = fit(&shop, &format!("{typed} --name own")).ok();
    let steps = "decode(rgb, exif)|resize_long(32, bilinear, antialias)|pad(32, fill=[128, 128, 128])|scale(1/255)|\
                 layout(nchw, f32)";
    assert_eq!(preprocessing(&done), format!("(--preprocess): {steps}"));
    let config = fs::read_to_string(shop.path("runs/own/config.toml")).unwrap();
    assert!(
        config.contains(&format!("preprocess = \"{steps}\"\n")),
        "{config}"
    );
    assert_eq!(card(&shop, "own").1["options"]["preprocess"], steps);
    crate::fit::same_on_both_sides(&shop, "own");
    // Also in a file, and with the custom ResNet.
    shop.write(
        "half.toml",
        "preprocess = \"resize(224, 224)|scale(1/255)|normalize(half)\"\n",
    );
    let done = fit(&shop, "--config half.toml --seeds 2 --name custom").ok();
    assert!(
        preprocessing(&done).starts_with("(--preprocess): "),
        "{}",
        done.err
    );
    crate::fit::same_on_both_sides(&shop, "custom");
    let seed = shop.trainer("eval runs/custom/seeds/1 --split val");
    shop.own_cache(seed).run().ok();

    let backbone = fit(
        &shop,
        "-q --backbone net/tiny.onnx --preprocess center_crop(224)",
    );
    insta::assert_snapshot!(backbone.refusal(), @r#"
    error: `--preprocess` ends in [3, 224, 224], `tiny.onnx` takes [3, 32, 32]

    hint: ImageNet's would be `--preprocess "decode(rgb, exif)|resize_short(37, bilinear, antialias)|center_crop(32)|scale(1/255)|normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])|layout(nchw, f32)"`
    "#);
    let custom = fit(&shop, "-q --preprocess center_crop(224)|layout(nhwc,f16)");
    insta::assert_snapshot!(custom.refusal(), @r#"
    error: `--preprocess` ends in [224, 224, 3] in half precision, the custom ResNet takes [3, 224, 224]

    hint: ImageNet's would be `--preprocess "decode(rgb, exif)|resize_short(256, bilinear, antialias)|center_crop(224)|scale(1/255)|normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])|layout(nchw, f32)"`
    "#);
    let unknown = fit(&shop, "-q --preprocess center_crop(224)|sharpen(3)");
    insta::assert_snapshot!(unknown.refusal(), @r#"
    error: invalid value 'center_crop(224)|sharpen(3)' for '--preprocess <TEXT>': preprocessing step `sharpen(3)`: no such step (known: decode, resize_short, resize_long, resize, center_crop, pad, scale, normalize, layout)

    For more information, try '--help'.
    "#);
}

/// Exporters of transformers leave height and width open.
#[test]
fn an_open_size_is_that_of_the_preprocessing() {
    let shop = shop();
    let mut document = onnx::Document::open(&shop.path("net/tiny.onnx")).unwrap();
    let dims = [
        "batch".into(),
        onnx::Dim::Fixed(3),
        "height".into(),
        "width".into(),
    ];
    let input = onnx::ValueInfo::new("image", onnx::proto::DataType::Float, dims.to_vec());
    document.graph_mut().input = vec![input.to_proto()];
    document.save(&shop.path("net/open.onnx")).unwrap();
    shop.write(
        "net/preprocessor_config.json",
        r#"{"image_processor_type": "ViTImageProcessor", "size": {"height": 40, "width": 24}}"#,
    );
    let done = fit(&shop, "--backbone net/open.onnx --name own").ok();
    let expected = "(preprocessor_config.json of open.onnx): decode(rgb, exif)|resize(40, 24, bilinear, antialias)|";
    assert!(preprocessing(&done).starts_with(expected), "{}", done.err);
    crate::fit::same_on_both_sides(&shop, "own");
    shop.deploy("check runs/own/model.onnx").run().ok();
    shop.own_cache(shop.trainer("export own")).run().ok();
    let resumed = shop.trainer("fit --resume own --epochs 2 -q");
    shop.own_cache(resumed).run().ok();
}
