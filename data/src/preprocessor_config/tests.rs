use super::*;
use crate::RgbImage;
use fs_err as fs;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    file: String,
    config: Value,
    size: (u32, u32),
    shape: [usize; 3],
    tolerance: f32,
    /// Of every so many values of the tensor one.
    values: Vec<f32>,
}

/// As in `scripts/reference/preprocessor_config.py`.
fn noise((width, height): (u32, u32)) -> RgbImage {
    let mut state = 12_345_u32;
    let values = (0..width * height * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    RgbImage::from_raw(width, height, values.collect()).unwrap()
}

/// What is read from a file with this content.
fn read_text(
    name: &str,
    content: &str,
    size: Option<(usize, usize)>,
) -> Result<Option<Preprocess>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    Ok(read(&path, size)?.map(|description| description.preprocess))
}

/// The steps as text, without the ends that all have.
fn steps(name: &str, content: &str, size: Option<(usize, usize)>) -> String {
    let text = read_text(name, content, size).unwrap().unwrap().to_string();
    let text = text.strip_suffix("|layout(nchw, f32)").unwrap();
    text.strip_prefix("decode(rgb, exif)|")
        .unwrap_or(text)
        .into()
}

#[test]
fn tensors_equal_those_of_transformers_and_timm() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/preprocessor_config.json");
    let reference: Reference = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(reference.cases.len(), 56);
    for case in reference.cases {
        let config = case.config.to_string();
        let preprocess = read_text(&case.file, &config, None).unwrap().unwrap();
        assert_eq!(preprocess.output_shape(), case.shape, "{config}");
        let tensor = preprocess.apply(&noise(case.size)).unwrap();
        let step = tensor.len() / 12 + 1;
        let values: Vec<f32> = tensor.into_iter().step_by(step).collect();
        assert_eq!(values.len(), case.values.len());
        for (value, expected) in values.iter().zip(&case.values) {
            let difference = (value - expected).abs();
            assert!(
                difference <= case.tolerance,
                "{value} {expected} {preprocess} {config}"
            );
        }
    }
}

#[test]
fn a_file_about_something_else_has_no_preprocessing() {
    for (name, content) in [
        (
            "config.json",
            r#"{"architectures": ["ViTForImageClassification"], "model_type": "vit", "image_size": 224}"#,
        ),
        ("config.json", r#"{"image_mean": [1], "port": 80}"#),
        ("config.json", "[1, 2]"),
        (
            "processor_config.json",
            r#"{"processor_class": "CLIPProcessor"}"#,
        ),
    ] {
        assert_eq!(read_text(name, content, None).unwrap(), None, "{content}");
    }
}

#[test]
fn timm_names_licence_and_origin_of_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    for content in [
        r#"{"architecture": "x", "crop_pct": 1, "license": "mit", "hf_hub_id": "timm/x.a1"}"#,
        r#"{"architecture": "x", "pretrained_cfg": {"license": "mit", "hf_hub_id": "timm/x.a1"}}"#,
    ] {
        fs::write(&path, content).unwrap();
        let description = read(&path, None).unwrap().unwrap();
        assert_eq!(description.licence.as_deref(), Some("mit"));
        assert_eq!(description.source.as_deref(), Some("timm/x.a1"));
    }
}

#[test]
fn an_image_processor_inside_a_processor_is_read() {
    let content = r#"{"image_processor": {"image_processor_type": "ViTImageProcessor", "image_mean": [0.5],
        "image_std": [0.25]}, "processor_class": "X"}"#;
    assert_eq!(
        steps("processor_config.json", content, None),
        "decode(gray, exif)|resize(224, 224, bilinear, antialias)|scale(1/255)|normalize(mean=[0.5], std=[0.25])"
    );
}

/// timm's wrapper in transformers has its configuration in a file of either name.
#[test]
fn timm_has_a_size_for_training_and_one_for_testing() {
    let content = r#"{"architecture": "x", "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9,
        "test_input_size": [3, 288, 288], "test_crop_pct": 1.0, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    let half = "scale(1/255)|normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])";
    for (size, expected) in [
        (
            None,
            "resize_short(248, bicubic, antialias)|center_crop(224)",
        ),
        (
            Some((224, 224)),
            "resize_short(248, bicubic, antialias)|center_crop(224)",
        ),
        (
            Some((288, 288)),
            "resize_short(288, bicubic, antialias)|center_crop(288)",
        ),
        (
            Some((99, 99)),
            "resize_short(248, bicubic, antialias)|center_crop(224)",
        ),
    ] {
        assert_eq!(
            steps("config.json", content, size),
            format!("{expected}|{half}")
        );
    }
}

/// Checks that the content is refused with the file, and `expected` of its field.
fn assert_refused(name: &str, content: &str, expected: &str) {
    let error = read_text(name, content, None).unwrap_err();
    let text = error.to_string();
    let has_file = text.contains(&format!("/{name}`: "));
    assert!(has_file && text.contains(expected), "{text}");
    assert!(error.hint().unwrap().contains("as text"));
}

#[test]
fn what_no_step_does_is_refused_by_file_and_field() {
    let vit = |fields: &str| {
        let content = format!(r#"{{"image_processor_type": "ViTImageProcessor", {fields}}}"#);
        ("preprocessor_config.json", content)
    };
    let clip = |name: &str| {
        let content = format!(r#"{{"image_processor_type": "{name}"}}"#);
        ("preprocessor_config.json", content)
    };
    for ((name, content), expected) in [
        (
            clip("DetrImageProcessor"),
            "`image_processor_type: \"DetrImageProcessor\"` is not known here (known: ViT,",
        ),
        (
            vit(r#""do_pad": true"#),
            "`do_pad: true` pads to the other images",
        ),
        (
            vit(r#""resample": 5"#),
            "`resample: 5` is neither 0, 1, 2 nor 3",
        ),
        (
            vit(r#""size": {"longest_edge": 9}"#),
            "`size: {\"longest_edge\":9}` is neither",
        ),
        (
            vit(r#""size": {"height": -1, "width": 9}"#),
            "`height: -1` is not a list of whole numbers",
        ),
        (vit(r#""size": [1, 2, 3]"#), "`size: [1,2,3]` is not a size"),
        (
            vit(r#""crop_size": {"shortest_edge": 9}, "do_center_crop": true"#),
            "has no `height` and `width`",
        ),
        (
            vit(r#""do_resize": "yes""#),
            "`do_resize: \"yes\"` is not true or false",
        ),
        (vit(r#""do_resize": false"#), "no step fixes the size"),
        (
            vit(r#""image_mean": [1, 2]"#),
            "`image_std` is missing beside `image_mean`",
        ),
        (
            vit(r#""image_mean": [1, 2], "image_std": [1, 2]"#),
            "each of 3 channels",
        ),
        (
            vit(r#""rescale_factor": "1/255""#),
            "`rescale_factor: \"1/255\"` is not a number",
        ),
        (
            vit(r#""size": 4000000000"#),
            "a side is between 1 and 65536",
        ),
        (
            ("preprocessor_config.json", r#"{"image_mean": 1}"#.into()),
            "`image_processor_type` is missing",
        ),
        (
            ("preprocessor_config.json", "{".into()),
            "it is not JSON: EOF",
        ),
    ] {
        assert_refused(name, &content, expected);
    }
}

#[test]
fn what_no_step_does_is_refused_in_a_file_of_timm() {
    let timm = |fields: &str| {
        let content = format!(r#"{{"architecture": "x", "pretrained_cfg": {{{fields}}}}}"#);
        ("config.json", content)
    };
    for ((name, content), expected) in [
        (
            timm(r#""crop_mode": "mirror""#),
            "`crop_mode: \"mirror\"` is neither",
        ),
        (timm(r#""crop_mode": "border""#), "`mean` is missing"),
        (
            timm(r#""interpolation": "random""#),
            "`interpolation: \"random\"` is neither",
        ),
        (
            timm(r#""input_size": [3, 8, 9]"#),
            "`input_size: [3,8,9]` is not square",
        ),
        (
            timm(r#""input_size": [4, 8, 8]"#),
            "neither 1 nor 3 channels",
        ),
        (
            timm(r#""input_size": 224"#),
            "is not [channels, height, width]",
        ),
        (timm(r#""crop_pct": 1e-9"#), "a side is between 1 and 65536"),
        (
            timm(r#""mean": [0.5, 0.5, 0.5]"#),
            "`std` is missing beside `mean`",
        ),
    ] {
        assert_refused(name, &content, expected);
    }
}

#[test]
fn a_file_is_found_beside_the_model_its_target_and_above_a_folder_onnx() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, size: u32| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = format!(r#"{{"image_processor_type": "ViTImageProcessor", "size": {size}}}"#);
        fs::write(&path, content).unwrap();
        path
    };
    let found = |model: &Path| {
        let description = find(model, None).unwrap();
        description.map(|found| (found.path, found.preprocess.size().0))
    };
    let model = folder.path().join("hub/onnx/model.onnx");
    fs::create_dir_all(model.parent().unwrap()).unwrap();
    fs::write(&model, "").unwrap();
    assert_eq!(found(&model), None);
    let above = write("hub/preprocessor_config.json", 8);
    assert_eq!(found(&model), Some((above, 8)));
    let beside = write("hub/onnx/preprocessor_config.json", 9);
    assert_eq!(found(&model), Some((beside, 9)));
    #[cfg(unix)]
    {
        let link = folder.path().join("links/x.onnx");
        fs::create_dir(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&model, &link).unwrap();
        assert_eq!(found(&link).unwrap().1, 9);
        let own = write("links/preprocessor_config.json", 7);
        assert_eq!(found(&link), Some((own, 7)));
    }
}
