use classifold::{Error, Taps, runtime};
use onnx::proto::DataType;

use crate::support::{Tiny, flat, installed};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The tapped values of a tiny model for an image with red 255 and blue 51.
fn read(tiny: &Tiny, values: &[&str]) -> Vec<(Vec<usize>, Vec<f32>)> {
    runtime::load(installed()).unwrap();
    let preprocess = tiny.preprocess();
    let image = preprocess.apply(&flat(255, 51)).unwrap();
    let shape = preprocess.output_shape();
    let mut taps = Taps::open(&tiny.document(), &names(values), shape, Some(1)).unwrap();
    let taps = taps.run(&image).unwrap();
    let found: Vec<String> = taps.iter().map(|tap| tap.name.clone()).collect();
    assert_eq!(found, names(values));
    taps.into_iter()
        .map(|tap| (tap.dims, tap.numbers))
        .collect()
}

#[test]
fn inner_values_come_out_with_their_shapes_in_the_order_asked_for() {
    let found = read(&Tiny::default(), &["flatten", "pool", "logits"]);
    let mean = vec![1.0, 9.0 / 255.0, 0.2];
    assert_eq!(found[0], (vec![1, 3], mean.clone()));
    assert_eq!(found[1], (vec![1, 3, 1, 1], mean));
    assert_eq!(found[2], (vec![1, 2], vec![10.0, 2.0]));
}

#[test]
fn half_precision_bytes_and_other_layouts_are_read_as_well() {
    let half = Tiny {
        input: DataType::Float16,
        ..Tiny::default()
    };
    let found = read(&half, &["logits"]);
    assert!((found[0].1[1] - 2.0).abs() < 1e-2, "{found:?}");
    let bytes = Tiny {
        input: DataType::Uint8,
        nhwc: true,
        ..Tiny::default()
    };
    let found = read(&bytes, &["to_nchw"]);
    assert_eq!(found[0].0, [1, 3, 4, 4]);
    assert_eq!(found[0].1[..16], [255.0; 16]);
    assert_eq!(found[0].1[32..], [51.0; 16]);
}

#[test]
fn truth_values_are_ones_and_zeros() {
    runtime::load(installed()).unwrap();
    let mut document = Tiny::default().document();
    let nodes = &mut document.graph_mut().node;
    nodes.push(onnx::node("IsNaN", "nan", &["flatten"], &["nan"], vec![]));
    nodes.push(onnx::node("Not", "not", &["nan"], &["number"], vec![]));
    let values = names(&["nan", "number"]);
    let mut taps = Taps::open(&document, &values, [3, 4, 4], Some(1)).unwrap();
    let image = Tiny::default().preprocess().apply(&flat(255, 51)).unwrap();
    let taps = taps.run(&image).unwrap();
    assert_eq!(taps[0].numbers, [0.0; 3]);
    assert_eq!(taps[1].numbers, [1.0; 3]);
}

#[test]
fn a_fixed_batch_gets_as_many_copies() {
    let three = Tiny {
        batch: 3usize.into(),
        ..Tiny::default()
    };
    let found = read(&three, &["logits"]);
    assert_eq!(found[0], (vec![3, 2], [10.0, 2.0].repeat(3)));
}

#[test]
fn what_the_graph_lacks_and_images_of_another_size_are_refused() {
    runtime::load(installed()).unwrap();
    let document = Tiny::default().document();
    let open = |value| Taps::open(&document, &names(&[value]), [3, 4, 4], Some(1));
    let error = open("nowhere").unwrap_err();
    assert!(matches!(error, Error::Onnx(_)), "{error}");
    assert!(error.to_string().contains("`nowhere`"), "{error}");
    let error = open("pool").unwrap().run(&[0.0; 5]).unwrap_err();
    assert!(error.to_string().ends_with("5 given"), "{error}");
}
