use data::preprocess::Dtype;
use onnx::proto::DataType;
use onnx::{Attr, Dim, Document, GraphBuilder, ModelInfo, Tensor};

use super::{ImageInput, InputPreprocess, graph};

fn input(shape: [usize; 3], dtype: Dtype) -> ImageInput {
    ImageInput {
        shape,
        is_fixed: [true; 3],
        dtype,
    }
}

#[test]
fn steps_of_imagenet_end_in_what_the_network_takes() {
    let standard = input([3, 224, 224], Dtype::F32).imagenet().unwrap();
    assert_eq!(standard, data::Preprocess::imagenet());
    for shape in [
        [3, 32, 32],
        [3, 299, 299],
        [3, 96, 160],
        [1, 28, 28],
        [28, 30, 1],
        [256, 256, 3],
    ] {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::U8] {
            let input = input(shape, dtype);
            assert!(input.is_fitted_by(&input.imagenet().unwrap()), "{input}");
        }
    }
    let text = |shape, dtype| input(shape, dtype).imagenet().unwrap().to_string();
    assert_eq!(
        text([299, 299, 1], Dtype::F16),
        "decode(gray, exif)|resize_short(342, bilinear, antialias)|center_crop(299)|scale(1/255)|\
         normalize(mean=[0.449], std=[0.226])|layout(nhwc, f16)"
    );
    assert_eq!(
        text([3, 96, 160], Dtype::U8),
        "decode(rgb, exif)|resize(96, 160, bilinear, antialias)|layout(nchw, u8)"
    );
    let error = input([4, 8, 8], Dtype::F32).imagenet().unwrap_err();
    assert_eq!(
        error.to_string(),
        "an input [4, 8, 8] is no image of 1 or 3 channels"
    );
}

#[test]
fn steps_that_do_not_fit_are_refused_naming_both() {
    let refused = |text: &str, source: &str, input: ImageInput| {
        let decided = InputPreprocess::new(text.parse().unwrap(), source);
        let error = decided.fitting(&input, "`x.onnx`").unwrap_err();
        format!("{error}; {}", error.hint().unwrap())
    };
    assert_eq!(
        refused(
            "center_crop(224)",
            "--preprocess",
            input([3, 299, 299], Dtype::F32)
        ),
        "`--preprocess` ends in [3, 224, 224], `x.onnx` takes [3, 299, 299]; ImageNet's would be `--preprocess \
         \"decode(rgb, exif)|resize_short(342, bilinear, antialias)|center_crop(299)|scale(1/255)|normalize(mean=[0.485, \
         0.456, 0.406], std=[0.229, 0.224, 0.225])|layout(nchw, f32)\"`"
    );
    assert!(
        refused("center_crop(224)", "card of x.onnx", input([224, 224, 3], Dtype::F16)).starts_with(
            "the preprocessing (card of x.onnx) ends in [3, 224, 224], `x.onnx` takes [224, 224, 3] in half precision; "
        )
    );
    let fits = "center_crop(9)|layout(nhwc, f16)".parse().unwrap();
    let fits = InputPreprocess::new(fits, "--preprocess");
    assert!(fits.fitting(&input([9, 9, 3], Dtype::F16), "").is_ok());
}

/// A graph whose image passes a transposition, then `operator` with a constant, then a convolution.
fn graph(operator: Option<&str>) -> Document {
    let mut g = GraphBuilder::new("net");
    let side = Dim::Fixed(8);
    let x = g.input(
        "image",
        DataType::Float,
        &["batch".into(), side.clone(), side, Dim::Fixed(3)],
    );
    let turn = vec![("perm", Attr::Ints(vec![0, 3, 1, 2]))];
    let mut x = g.node("Transpose", "turn", &[&x], turn);
    let tensor = |dims: &[usize]| Tensor::f32(dims, vec![0.5; dims.iter().product()]).unwrap();
    let mean = g.initializer("mean", &tensor(&[1, 3, 1, 1]));
    if let Some(operator) = operator {
        x = g.node(operator, "first", &[&x, &mean], vec![]);
    }
    let weight = g.initializer("weight", &tensor(&[2, 3, 1, 1]));
    let x = g.node("Conv", "conv", &[&x, &weight], vec![]);
    // A later product is none of the image.
    let x = g.node("Mul", "late", &[&x, &mean], vec![]);
    g.output(&x, "out", DataType::Float, &["batch".into()]);
    g.finish(&ModelInfo::default()).unwrap()
}

#[test]
fn a_normalisation_inside_the_graph_is_seen() {
    for operator in ["Sub", "Div", "Mul", "Add"] {
        let found = graph::normalization(&graph(Some(operator)));
        assert_eq!(found.as_deref(), Some(operator));
    }
    for operator in [None, Some("Pow")] {
        assert_eq!(graph::normalization(&graph(operator)), None);
    }
}
