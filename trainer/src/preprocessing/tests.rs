use data::preprocess::Dtype;
use onnx::proto::DataType;
use onnx::{Attr, Dim, Document, GraphBuilder, ModelInfo, Tensor};

use super::{ImageInput, InputPreprocess, graph};

fn input(shape: [usize; 3], dtype: Dtype) -> ImageInput {
    ImageInput {
        dims: shape.map(Some),
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
        [4, 32, 48],
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
}

#[test]
fn an_open_size_is_that_of_the_steps() {
    let open = |dims| ImageInput {
        dims,
        dtype: Dtype::F32,
    };
    let large: data::Preprocess = "center_crop(384)".parse().unwrap();
    for dims in [
        [Some(3), None, None],
        [None, None, None],
        [Some(3), Some(384), None],
    ] {
        assert!(open(dims).is_fitted_by(&large));
    }
    assert!(!open([Some(3), Some(224), None]).is_fitted_by(&large));
    assert!(!open([None, None, Some(3)]).is_fitted_by(&large));
    let standard = open([None, None, None]).imagenet().unwrap();
    assert_eq!(standard, data::Preprocess::imagenet());
    assert_eq!(open([Some(3), None, None]).to_string(), "[3, any, any]");
}

#[test]
fn the_input_of_a_file_is_read_from_its_shape_and_type() {
    let of = |elem_type, dims: &[Dim]| {
        let mut g = GraphBuilder::new("net");
        let x = g.input("image", elem_type, dims);
        let y = g.node("Identity", "same", &[&x], vec![]);
        g.output(&y, "out", elem_type, dims);
        let input = ImageInput::of_document(&g.finish(&ModelInfo::default()).unwrap());
        input.map(|input| input.to_string())
    };
    let fixed = |dims: [i64; 4]| dims.map(Dim::Fixed);
    assert_eq!(
        of(DataType::Float16, &fixed([1, 3, 8, 9])).as_deref(),
        Some("[3, 8, 9] in half precision")
    );
    let open = ["batch".into(), "h".into(), "w".into(), Dim::Fixed(1)];
    assert_eq!(of(DataType::Float, &open).as_deref(), Some("[any, any, 1]"));
    let four = of(DataType::Float, &fixed([1, 4, 8, 9]));
    assert_eq!(four.as_deref(), Some("[4, 8, 9]"));
    for other in [fixed([1, 2, 8, 9]), fixed([1, 8, 9, 5])] {
        assert_eq!(of(DataType::Float, &other), None);
    }
    assert_eq!(of(DataType::Int64, &fixed([1, 3, 8, 9])), None);
    assert_eq!(of(DataType::Float, &fixed([1, 3, 8, 9])[..2]), None);
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
