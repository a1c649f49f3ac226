//! Our ONNX export of the custom network against that of Burn's own exporter, in ONNX Runtime.

#[path = "../../../trainer/tests/engines/networks.rs"]
mod networks;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, Param};
use burn::nn as burn_nn;
use burn::tensor::{Device, Tensor};
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};
use deploy::runtime::{self, Search};
use deploy::{Session, SessionOptions};
use models::{CustomConfig, Network, Spec};
use networks::{burn, difference, noise, trained_a_little};

/// Opens a file in ONNX Runtime, which the first test to ask installs.
fn session(path: &Path) -> Session {
    let search = Search::new(&data::cache::dir(None).unwrap());
    let found = runtime::ensure(&search, &|line| println!("{line}"), true).unwrap();
    runtime::load(&found).unwrap();
    Session::open(path, &SessionOptions::default()).unwrap()
}

/// The network as `burn-onnx` can export it: the exporter knows no transposition, so the
/// classification layer is Burn's, which stores its weight the other way round.
#[derive(Module, Debug)]
struct Exportable {
    network: Network,
    fc: burn_nn::Linear,
}

impl Exportable {
    /// A copy: the exporter leaves running statistics on its capture device.
    fn new(network: &Network) -> Self {
        let device = Device::default();
        let state: BTreeMap<_, _> = network.state().into_iter().collect();
        let spec = Spec::Custom(CustomConfig::default());
        let copy = Network::build(&spec, 3, 0, &device)
            .unwrap()
            .load_state(&state)
            .unwrap();
        let mut fc = burn_nn::LinearConfig::new(64, 3).init(&device);
        fc.weight = Param::from_tensor(copy.fc().weight.val().transpose());
        fc.bias = copy.fc().bias.clone();
        Self { network: copy, fc }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.fc.forward(self.network.features(images))
    }
}

#[test]
fn our_emission_of_the_custom_network_computes_what_burns_exporter_computes() {
    let (folder, network) = (tempfile::tempdir().unwrap(), trained_a_little());
    let (ours, theirs) = (
        folder.path().join("ours.onnx"),
        folder.path().join("theirs.onnx"),
    );
    network.to_onnx().unwrap().save(&ours).unwrap();
    let sample = |n| Tensor::<4>::zeros([n, 3, 224, 224], &Device::default());
    let axes = [
        AxisSpec::dynamic("batch"),
        AxisSpec::Static,
        AxisSpec::Static,
        AxisSpec::Static,
    ];
    OnnxExporter::new()
        .export_dynamic(
            &Exportable::new(&network),
            sample(2),
            sample(5),
            &[InputSpec::new(axes)],
            Exportable::forward,
        )
        .unwrap()
        .save(&theirs)
        .unwrap();
    let (mut ours, mut theirs) = (session(&ours), session(&theirs));
    for n in [1, 2, 7] {
        let images = noise(n);
        let expected = burn(&network, &images, n);
        assert!(
            difference(&expected, &ours.run(&images, n).unwrap()) < 1e-5,
            "ours, batch {n}"
        );
        assert!(
            difference(&expected, &theirs.run(&images, n).unwrap()) < 1e-5,
            "theirs, batch {n}"
        );
    }
}
