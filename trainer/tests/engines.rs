//! The same numbers in Burn and in ONNX Runtime, whoever wrote the file.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

#[path = "engines/networks.rs"]
mod networks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use data::Preprocess;
use deploy::runtime::{self, Search};
use deploy::{Session, SessionOptions};
use models::{Network, Spec};
use networks::{burn, difference, noise, trained_a_little};

/// Opens a file in ONNX Runtime, which the first test to ask installs.
fn session(path: &Path) -> Session {
    let search = Search::new(&data::cache::dir(None).unwrap());
    let found = runtime::ensure(&search, &|line| println!("{line}"), true).unwrap();
    runtime::load(&found).unwrap();
    Session::open(path, &SessionOptions::default()).unwrap()
}

/// Material beside the checkout; without it a test is skipped, but not in CI.
fn shared(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(path);
    if found.exists() {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "needs ../shared/{path}");
    println!("skipped: needs ../shared/{path}");
    None
}

/// Whether Burn's own exporter writes a network that computes the same: `scripts/check-exporter.sh`.
#[test]
fn our_emission_of_the_custom_network_computes_what_burn_computes() {
    let (folder, network) = (tempfile::tempdir().unwrap(), trained_a_little());
    let file = folder.path().join("custom.onnx");
    network.to_onnx().unwrap().save(&file).unwrap();
    let mut session = session(&file);
    for n in [1, 2, 7] {
        let images = noise(n);
        let expected = burn(&network, &images, n);
        let off = difference(&expected, &session.run(&images, n).unwrap());
        assert!(off < 1e-5, "batch {n}: {off}");
    }
}

#[test]
fn imported_resnet18_gives_the_files_own_thousand_logits_on_photos() {
    let Some(file) = shared("weights/resnet18.onnx") else {
        return;
    };
    let Some(photos) = shared("data/hymenoptera") else {
        return;
    };
    // Loads ONNX Runtime, too.
    let mut session = session(&file);
    let backbone = trainer::backbone::open(&file, None, [3, 224, 224], 2).unwrap();
    let spec = Spec::Imported(backbone.clone());
    let network = Network::build(&spec, 1000, 0, &Device::default()).unwrap();
    // The file's own classification layer in place of the new one.
    let document = onnx::Document::open(&file).unwrap();
    let mut state: BTreeMap<_, _> = network.state().into_iter().collect();
    for name in ["fc.weight", "fc.bias"] {
        let tensor = document.tensor(name).unwrap();
        let values = tensor.as_f32().unwrap().into_owned();
        state.insert(name.into(), TensorData::new(values, tensor.dims));
    }
    let network = network.load_state(&state).unwrap();
    let photos = data::Dataset::open(&photos, 0).unwrap();
    let preprocess = Preprocess::imagenet();
    let images: Vec<f32> = photos
        .test
        .iter()
        .step_by(19)
        .flat_map(|sample| {
            let image = data::decode::open(&sample.path, &data::Limits::default()).unwrap();
            preprocess.apply(&image).unwrap()
        })
        .collect();
    let n = images.len() / preprocess.output_len();
    assert!(n >= 8);
    let expected = session.run(&images, n).unwrap();
    let found = burn(&network, &images, n);
    let data = TensorData::new(images.clone(), [n, 3, 224, 224]);
    let features = network.features(Tensor::from_data(data, &Device::default()));
    let features = features.unwrap().into_data().try_into_vec::<f32>().unwrap();
    let frozen = backbone.extractor.features(&images, n).unwrap();
    let off = difference(&features, &frozen);
    assert!(off < 1e-5, "what a frozen network trains on is {off} off");
    let off = difference(&expected, &found);
    println!(
        "largest difference: {off:e} of the largest of {} logits",
        found.len()
    );
    assert!(off < 1e-5, "{off}");
}
