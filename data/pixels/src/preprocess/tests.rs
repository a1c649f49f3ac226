use super::*;
use image::RgbImage;
use proptest::prelude::*;

const IMAGENET: &str = "decode(rgb, exif)|resize_short(256, bilinear, antialias)|center_crop(224)|\
     scale(1/255)|normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])|\
     layout(nchw, f32)";

fn parse(text: &str) -> Preprocess {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn imagenet_in_three_forms() {
    let spec = Preprocess::imagenet();
    assert_eq!(spec.to_string(), IMAGENET);
    assert_eq!(
        parse(&IMAGENET.replace(", ", ",").replace('|', " | ")),
        spec
    );
    let json = serde_json::to_string(&spec).unwrap();
    assert!(json.starts_with(
        r#"[{"step":"decode","color":"rgb","exif":true},{"step":"resize_short","size":256,"filter":"bilinear","antialias":true},{"step":"center_crop","height":224,"width":224},{"step":"scale","factor":0.00392156862745098},{"step":"normalize","mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}"#
    ), "{json}");
    assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), spec);
}

#[test]
fn shorthands_are_spelled_out() {
    let spec = parse("resize(32, 32)|scale(1/255)|normalize(mean=0.5, std=[0.25,0.5,1])");
    assert_eq!(
        spec.to_string(),
        "decode(rgb, exif)|resize(32, 32, bilinear, antialias)|scale(1/255)|\
         normalize(mean=[0.5, 0.5, 0.5], std=[0.25, 0.5, 1.0])|layout(nchw, f32)"
    );
    for (short, long) in [
        (
            "normalize(half)",
            "normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])",
        ),
        (
            "normalize(clip)",
            "normalize(mean=[0.48145467, 0.4578275, 0.40821072], \
             std=[0.26862955, 0.2613026, 0.2757771])",
        ),
        ("pad(8, 9)", "pad(8, 9)"),
        ("pad(8, 8, fill=0)", "pad(8)"),
        ("pad(8, fill=7)", "pad(8, fill=[7, 7, 7])"),
        ("center_crop(8, 9, floor)", "center_crop(8, 9, floor)"),
        ("resize_long(8)", "resize_long(8, bilinear, antialias)"),
    ] {
        let (text, expected) = match short.starts_with("normalize") {
            true => (
                format!("center_crop(8)|{short}"),
                format!("center_crop(8)|{long}"),
            ),
            false => (
                format!("{short}|center_crop(8)"),
                format!("{long}|center_crop(8)"),
            ),
        };
        let expected = format!("decode(rgb, exif)|{expected}|layout(nchw, f32)");
        assert_eq!(parse(&text).to_string(), expected);
    }
    assert_eq!(
        parse("decode(gray, exif)|pad(8, fill=7)|center_crop(8)|normalize(half)").to_string(),
        "decode(gray, exif)|pad(8, fill=[7])|center_crop(8)|normalize(mean=[0.5], std=[0.5])|\
         layout(nchw, f32)"
    );
}

/// Checks that the error begins with the step and says what was expected.
fn assert_refused(text: &str, step: &str, expected: &str) {
    let error = text.parse::<Preprocess>().unwrap_err().to_string();
    let start = format!("preprocessing step `{step}");
    assert!(
        error.starts_with(&start) && error.contains(expected),
        "{error}"
    );
}

#[test]
fn refusals_name_the_step() {
    for (text, step, expected) in [
        ("sharpen(3)", "sharpen(3)", "no such step"),
        ("center_crop(224", "center_crop(224", "`)` is missing"),
        (
            "center_crop(x)",
            "center_crop(x)",
            "`x` is not a number of pixels",
        ),
        ("center_crop(0)", "center_crop(0)", "between 1 and 65536"),
        (
            "center_crop()",
            "center_crop()",
            "expected `center_crop(SIZE)`",
        ),
        (
            "resize(8, 8, cubist)",
            "resize(8, 8, cubist)",
            "`cubist` is not one of nearest",
        ),
        ("center_crop(8)|scale(1/0)", "scale(inf)", "finite"),
        (
            "center_crop(8)|scale(1/x)",
            "scale(1/x)",
            "`1/x` is not a number",
        ),
        (
            "decode(rgb)|center_crop(8)",
            "decode(rgb)",
            "always applied",
        ),
        (
            "center_crop(8)|normalize(mean=[1,2], std=[1,2])",
            "normalize(",
            "each of 3 channels",
        ),
        (
            "center_crop(8)|normalize(mean=[1,2,3], std=[1,0,3])",
            "normalize(",
            "std not zero",
        ),
        (
            "center_crop(8)|normalize(std=[1], mean=[1])",
            "normalize(",
            "expected `mean=[...]`",
        ),
        (
            "center_crop(8)|normalize(mean=[1,2,3], std=[1,2,3)",
            "normalize(",
            "do not match",
        ),
        (
            "scale(1/255)|center_crop(8)",
            "center_crop(8)",
            "out of order",
        ),
        (
            "center_crop(8)|layout(nchw, f32)|scale(2.0)",
            "scale(2.0)",
            "out of order",
        ),
        ("center_crop(8)||scale(2)", "", "nothing is written here"),
    ] {
        assert_refused(text, step, expected);
    }
}

#[test]
fn refusals_of_pads_and_shorthands_name_the_step() {
    for (text, step, expected) in [
        ("pad()", "pad()", "expected `pad(SIZE)` or `pad(HEIGHT"),
        ("pad(fill=1)", "pad(fill=1)", "is not a number of pixels"),
        (
            "pad(1, 2, 3, fill=1)",
            "pad(1, 2, 3, fill=1)",
            "a height and a width",
        ),
        (
            "pad(8, fill=256)",
            "pad(8, fill=256)",
            "`256` is not a number from 0 to 255",
        ),
        (
            "pad(8, fill=[1, 2])",
            "pad(8, fill=[1, 2])",
            "each of 3 channels",
        ),
        ("center_crop(8)|scale(2)|pad(9)", "pad(9)", "out of order"),
        (
            "decode(gray, exif)|center_crop(8)|normalize(clip)",
            "normalize(",
            "each of 1 channels",
        ),
    ] {
        assert_refused(text, step, expected);
    }
}

#[test]
fn a_size_that_depends_on_the_image_is_refused() {
    for (text, expected) in [
        ("scale(1/255)", "no step fixes the size"),
        (
            "center_crop(9)|resize_short(9)",
            "`center_crop` must follow `resize_short`",
        ),
        ("resize_long(9)|pad(8)", "`center_crop` must follow `pad`"),
        ("resize_long(9)", "`pad` to that size must follow"),
        (
            "resize(65536, 1)|pad(1, 65536)",
            "an image would become 65536 x 65536",
        ),
    ] {
        let error = text.parse::<Preprocess>().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn json_that_cannot_be_honoured_is_refused() {
    let good = serde_json::to_string(&parse("center_crop(8)")).unwrap();
    for (from, to, expected) in [
        ("center_crop", "sharpen", "unknown variant `sharpen`"),
        ("\"exif\":true", "\"exif\":false", "always applied"),
        (
            "\"height\":8",
            "\"height\":8,\"turn\":9",
            "unknown field `turn`",
        ),
        ("\"nchw\"", "\"chwn\"", "unknown variant `chwn`"),
    ] {
        let error = serde_json::from_str::<Preprocess>(&good.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Red 10, green 20, blue 40 left; all 200 right.
fn two_pixels() -> RgbImage {
    RgbImage::from_raw(2, 1, vec![10, 20, 40, 200, 200, 200]).unwrap()
}

#[test]
fn channels_and_layouts() {
    for (text, shape, expected) in [
        (
            "resize(1, 2)",
            [3, 1, 2],
            vec![10., 200., 20., 200., 40., 200.],
        ),
        (
            "decode(bgr, exif)|resize(1, 2)",
            [3, 1, 2],
            vec![40., 200., 20., 200., 10., 200.],
        ),
        (
            "resize(1, 2)|layout(nhwc, f16)",
            [1, 2, 3],
            vec![10., 20., 40., 200., 200., 200.],
        ),
        (
            "decode(bgr, exif)|resize(1, 2)|normalize(mean=[104, 117, 123], std=[1, 1, 2])|\
             layout(nhwc, f32)",
            [1, 2, 3],
            vec![-64., -97., -56.5, 96., 83., 38.5],
        ),
        // PIL: Image.new("RGB", (1, 1), (10, 20, 40)).convert("L") is 19.
        (
            "decode(gray, exif)|resize(1, 2)|normalize(mean=1, std=2)",
            [1, 1, 2],
            vec![9., 99.5],
        ),
        (
            "decode(gray, exif)|resize(1, 2)|layout(nhwc, u8)",
            [1, 2, 1],
            vec![19., 200.],
        ),
    ] {
        let spec = parse(text);
        assert_eq!(spec.output_shape(), shape, "{text}");
        assert_eq!(spec.apply(&two_pixels()).unwrap(), expected, "{text}");
    }
}

#[test]
fn a_small_image_is_centred_on_a_canvas() {
    let padded = |text: &str| parse(text).apply(&two_pixels()).unwrap();
    // Two columns on five: the larger half of the margin is on the right.
    assert_eq!(
        padded("decode(gray, exif)|pad(1, 5, fill=9)|center_crop(1, 5)"),
        [9., 19., 200., 9., 9.]
    );
    // The canvas has the order of the network's channels.
    assert_eq!(
        padded("decode(bgr, exif)|pad(1, 3, fill=[1, 2, 3])|center_crop(1, 3)|layout(nhwc, f32)"),
        [40., 20., 10., 200., 200., 200., 1., 2., 3.]
    );
    // A larger image stays; a tall one grows in width alone.
    let tall = parse("pad(2, 3, fill=5)|center_crop(4, 3)");
    let image = RgbImage::from_pixel(1, 4, [7; 3].into());
    assert_eq!(tall.apply(&image).unwrap()[..12], [5., 7., 5.].repeat(4));
    assert_eq!(parse("resize_long(3)|pad(3)").size(), (3, 3));
    assert_eq!(parse("resize(2, 5)|pad(3)").size(), (5, 3));
    let long = parse("pad(8192)|center_crop(8)");
    let error = long.apply(&RgbImage::new(1, 8193)).unwrap_err().to_string();
    assert!(
        error.ends_with("would become 8192 x 8193, more than 8192 x 8192"),
        "{error}"
    );
}

/// Colours are not multiplied by alpha: each channel is what it is without the others.
#[test]
fn alpha_is_a_fourth_channel_that_is_resized_by_itself() {
    let rgb = RgbImage::from_fn(31, 17, |x, y| {
        [x * 8, y * 14, x * y].map(|v| v as u8).into()
    });
    let alpha = RgbImage::from_fn(31, 17, |x, y| [((x * 37 + y * 11) % 256) as u8; 3].into());
    let steps = "resize_short(9, bicubic, antialias)|pad(9, 20)|center_crop(7, 19)|scale(1/255)";
    let gray = |image: &RgbImage| parse(&format!("decode(gray, exif)|{steps}")).apply(image);
    let colours = parse(steps).apply(&rgb).unwrap();
    let image = DecodedImage {
        rgb,
        alpha: Some(alpha.clone()),
    };
    let rgba = parse(&format!("decode(rgba, exif)|{steps}"));
    assert_eq!(rgba.output_shape(), [4, 7, 19]);
    let planes = rgba.apply(&image).unwrap();
    assert_eq!(planes[..3 * 7 * 19], colours);
    assert_eq!(planes[3 * 7 * 19..], gray(&alpha).unwrap());
    // The margin of the canvas is transparent, also beside an image that has no alpha.
    let opaque = rgba.apply(&image.rgb).unwrap();
    let row = &opaque[3 * 7 * 19..][..19];
    assert_eq!([row[0], row[9], row[18]], [0.0, 1.0, 0.0]);

    let last = rgba.with_layout(Order::Nhwc, Dtype::F32);
    let pixels = last.apply(&image).unwrap();
    for (index, pixel) in pixels.chunks(4).enumerate() {
        let expected: Vec<f32> = (0..4).map(|c| planes[c * 7 * 19 + index]).collect();
        assert_eq!(pixel, expected);
    }
    let opaque = last.apply(&image.rgb).unwrap();
    assert_eq!(opaque[4 * 9..][3], 1.0);
}

#[test]
fn steps_for_alpha_have_a_fourth_number() {
    let spec = parse("decode(rgba, exif)|pad(1, 3, fill=[1, 2, 3, 4])|center_crop(1, 3)");
    assert_eq!(
        spec.apply(&two_pixels()).unwrap()[6..],
        [40., 200., 3., 255., 255., 4.]
    );
    let imagenet = parse("decode(rgba, exif)|center_crop(2)|scale(1/255)|normalize(imagenet)");
    let text = imagenet.to_string();
    assert!(
        text.contains("mean=[0.485, 0.456, 0.406, 1.0], std=[0.229, 0.224, 0.225, 0.5]"),
        "{text}"
    );
    assert_eq!(text.parse::<Preprocess>().unwrap(), imagenet);
    let json = serde_json::to_string(&imagenet).unwrap();
    assert!(json.contains("\"color\":\"rgba\""), "{json}");
    assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), imagenet);
    let three = "decode(rgba, exif)|center_crop(2)|normalize(mean=[0, 0, 0], std=1)";
    let error = three.parse::<Preprocess>().unwrap_err().to_string();
    assert!(
        error.contains("one number for each of 4 channels"),
        "{error}"
    );
    let image = DecodedImage {
        rgb: RgbImage::new(2, 2),
        alpha: Some(RgbImage::new(1, 2)),
    };
    let error = imagenet.tensor_into(&image, &mut [0.0; 16]).unwrap_err();
    assert!(error.to_string().contains("its alpha is 1 x 2"), "{error}");
}

/// transformers cuts 5 to 2 pixels from the second, torchvision from the third: 1.5 rounds to even.
#[test]
fn half_a_pixel_rounds_as_asked() {
    let ramp = RgbImage::from_fn(5, 1, |x, _| [x as u8; 3].into());
    let first = |text: &str| parse(text).apply(&ramp).unwrap()[0];
    assert_eq!(first("center_crop(1, 2)"), 2.0);
    assert_eq!(first("center_crop(1, 2, floor)"), 1.0);
    assert_eq!(first("resize(1, 5, nearest)|center_crop(1, 2, floor)"), 1.0);
}

/// `ToTensor` divides by 255, then `Normalize` subtracts and divides, all in single precision.
#[test]
fn numbers_equal_torchvision_bit_by_bit() {
    let spec = parse("resize(1, 256, nearest)|scale(1/255)|normalize(imagenet)");
    let ramp = RgbImage::from_fn(256, 1, |x, _| [x as u8; 3].into());
    let out = spec.apply(&ramp).unwrap();
    for (channel, (mean, std)) in grammar::IMAGENET_MEAN
        .into_iter()
        .zip(grammar::IMAGENET_STD)
        .enumerate()
    {
        for byte in 0..256 {
            let expected = (byte as f32 / 255.0 - mean) / std;
            assert_eq!(out[channel * 256 + byte].to_bits(), expected.to_bits());
        }
    }
}

#[test]
fn wrong_sizes_are_errors() {
    let spec = parse("center_crop(2)");
    let error = spec
        .tensor_into(&RgbImage::new(3, 2), &mut [0.0; 12])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "preprocessing: the image is 3 x 2, expected 2 x 2"
    );
    let error = spec
        .tensor_into(&RgbImage::new(2, 2), &mut [0.0; 11])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "preprocessing: the buffer is 11, expected 12"
    );
}

#[test]
fn a_thread_of_an_image_is_refused_not_allocated() {
    let thin = RgbImage::new(1, 60_000);
    let spec = parse("resize_short(65536)|center_crop(8)");
    let error = spec.apply(&thin).unwrap_err().to_string();
    assert!(
        error.ends_with("cannot become 65536 x 3932160000"),
        "{error}"
    );
    assert!(
        parse("resize_short(256)|center_crop(224)")
            .apply(&RgbImage::new(1, 2000))
            .is_ok()
    );
    // Here nothing is cropped at once: every pixel of the 512000 x 256 would be computed.
    let spec = parse("resize_short(256)|resize(8, 8, bilinear)");
    let error = spec.apply(&RgbImage::new(2000, 1)).unwrap_err().to_string();
    assert!(error.ends_with("more than 8192 x 8192"), "{error}");
}

#[test]
fn an_input_too_large_for_memory_is_refused_when_it_is_read() {
    for text in ["center_crop(8192, 8193)", "resize(65536, 65536, bilinear)"] {
        let text = format!("decode(rgb, exif)|{text}|layout(nchw, f32)");
        let error = text.parse::<Preprocess>().unwrap_err().to_string();
        assert!(error.contains("more than 8192 x 8192 pixels"), "{error}");
    }
}

fn filter() -> impl Strategy<Value = Filter> {
    use Filter::{Bicubic, Bilinear, Lanczos, Nearest};
    prop::sample::select(vec![Nearest, Bilinear, Bicubic, Lanczos])
}

prop_compose! {
    fn any_steps()(
        color in prop::sample::select(vec![Color::Rgb, Color::Bgr, Color::Gray]),
        order in prop::sample::select(vec![Order::Nchw, Order::Nhwc]),
        dtype in prop::sample::select(vec![Dtype::F32, Dtype::F16, Dtype::U8]),
        (filter, antialias) in (filter(), any::<bool>()),
        (size, height, width) in (1u32..600, 1u32..600, 1u32..600),
        factor in prop_oneof![Just(1.0 / 255.0), 1e-6f64..1e6],
        (mean, std) in (-300f32..300.0, 0.001f32..300.0),
        (fill, floor) in any::<(u8, bool)>(),
        geometry in 0..4,
    ) -> Vec<Step> {
        let channels = color.channels();
        let pad = Step::Pad { height: size.max(height), width: size, fill: vec![fill; channels] };
        let crop = Step::CenterCrop { height, width, floor };
        let geometry = match geometry {
            0 => vec![Step::ResizeShort { size, filter, antialias }, crop],
            1 => vec![Step::ResizeLong { size, filter, antialias }, pad],
            2 => vec![pad, crop],
            _ => vec![Step::Resize { height, width, filter, antialias }],
        };
        let mut steps = vec![Step::Decode { color, exif: true }];
        steps.extend(geometry);
        steps.push(Step::Scale { factor });
        steps.push(Step::Normalize { mean: vec![mean; channels], std: vec![std; channels] });
        steps.push(Step::Layout { order, dtype });
        steps
    }
}

proptest! {
    #[test]
    fn text_and_json_give_the_steps_back(steps in any_steps()) {
        let spec = Preprocess::new(steps).unwrap();
        prop_assert_eq!(&spec.to_string().parse::<Preprocess>().unwrap(), &spec);
        let json = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), spec);
    }

    #[test]
    fn any_text_is_answered(text in "[a-z_(),|=/\\[\\] 0-9.-]{0,60}") {
        let _ = text.parse::<Preprocess>();
    }

    #[test]
    fn every_image_gets_its_size(
        steps in any_steps(), width in 1u32..80, height in 1u32..80,
    ) {
        let spec = Preprocess::new(steps).unwrap();
        if let Ok(values) = spec.apply(&RgbImage::from_pixel(width, height, [9, 8, 7].into())) {
            prop_assert_eq!(values.len(), spec.output_len());
            prop_assert!(values.iter().all(|value| value.is_finite()));
        }
    }
}
