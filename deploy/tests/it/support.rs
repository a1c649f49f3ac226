//! The installed runtime, tiny models and flat images.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use classifold::card::{OutputKind, Provenance};
use classifold::image::Rgb;
use classifold::runtime::{self, RuntimeLibrary, Search};
use classifold::{Card, Classifier, ClassifierBuilder, Preprocess, RgbImage};
use onnx::proto::DataType;
use onnx::{Attr, Dim, Document, GraphBuilder, ModelInfo, Tensor};

/// The runtime of the shared cache folder, installed once by the code under test.
pub fn installed() -> &'static RuntimeLibrary {
    static INSTALLED: OnceLock<RuntimeLibrary> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let cache = Some(classifold::cache::dir(None).unwrap());
        runtime::ensure(
            &Search {
                cache,
                ..Search::default()
            },
            &|_| {},
            true,
        )
        .unwrap()
    })
}

/// Material beside the checkout; without it a test is skipped, but not in CI.
pub fn shared(path: &str) -> Option<PathBuf> {
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

/// What a tiny model looks like. Its scores are ten times the mean red, and ten times the mean blue.
pub struct Tiny {
    pub batch: Dim,
    pub input: DataType,
    pub nhwc: bool,
    /// `Softmax`, `Sigmoid`, or nothing.
    pub last: Option<&'static str>,
    /// One output: blue minus red.
    pub single: bool,
    /// The output's shape is not written into the file.
    pub unknown_output: bool,
}

impl Default for Tiny {
    fn default() -> Self {
        Self {
            batch: "batch".into(),
            input: DataType::Float,
            nhwc: false,
            last: None,
            single: false,
            unknown_output: false,
        }
    }
}

impl Tiny {
    pub fn document(&self) -> Document {
        let mut graph = GraphBuilder::new("tiny");
        let sides: [Dim; 3] = if self.nhwc { [4, 4, 3] } else { [3, 4, 4] }.map(Dim::from);
        let dims: Vec<Dim> = [self.batch.clone()].into_iter().chain(sides).collect();
        let mut x = graph.input("input", self.input, &dims);
        if self.input != DataType::Float {
            x = graph.node("Cast", "to_float", &[&x], vec![("to", Attr::Int(1))]);
        }
        if self.nhwc {
            let perm = vec![("perm", Attr::Ints(vec![0, 3, 1, 2]))];
            x = graph.node("Transpose", "to_nchw", &[&x], perm);
        }
        let x = graph.global_average_pool("pool", &x);
        let x = graph.flatten("flatten", &x);
        let rows = if self.single {
            vec![-10.0, 0.0, 10.0]
        } else {
            vec![10.0, 0.0, 0.0, 0.0, 0.0, 10.0]
        };
        let num_outputs = rows.len() / 3;
        let weight = graph.initializer("weight", &Tensor::f32(&[num_outputs, 3], rows).unwrap());
        let bias = vec![0.0; num_outputs];
        let bias = graph.initializer("bias", &Tensor::f32(&[num_outputs], bias).unwrap());
        let mut y = graph.gemm("fc", &x, &weight, &bias);
        if let Some(last) = self.last {
            y = graph.node(last, "last", &[&y], vec![]);
        }
        if self.input == DataType::Float16 {
            y = graph.node("Cast", "to_half", &[&y], vec![("to", Attr::Int(10))]);
        }
        let element = if self.input == DataType::Float16 {
            DataType::Float16
        } else {
            DataType::Float
        };
        let classes = if self.unknown_output {
            "classes".into()
        } else {
            num_outputs.into()
        };
        graph.output(&y, "logits", element, &[self.batch.clone(), classes]);
        graph.finish(&ModelInfo::default()).unwrap()
    }

    pub fn save(&self, folder: &Path) -> PathBuf {
        let path = folder.join("tiny.onnx");
        self.document().save(&path).unwrap();
        path
    }

    pub fn preprocess(&self) -> Preprocess {
        let layout = if self.nhwc { "nhwc" } else { "nchw" };
        let scale = if self.input == DataType::Uint8 {
            ""
        } else {
            "scale(1/255)|"
        };
        format!("decode(rgb, exif)|resize(4, 4, bilinear, antialias)|{scale}layout({layout}, f32)")
            .parse()
            .unwrap()
    }

    pub fn builder(&self, path: &Path) -> ClassifierBuilder {
        Classifier::builder(path)
            .runtime(installed().clone())
            .classes(vec!["red".into(), "blue".into()])
            .preprocess(self.preprocess())
            .threads(1)
    }

    pub fn card(&self) -> Card {
        Card {
            version: 1,
            task: "classify".into(),
            inputs: vec!["input".into()],
            outputs: vec!["logits".into()],
            classes: vec!["red".into(), "blue".into()],
            preprocess: self.preprocess(),
            output_kind: OutputKind::Logits,
            provenance: Provenance::default(),
            golden: Vec::new(),
            threshold: None,
            comparison: None,
        }
    }
}

/// An image of one colour, not square.
pub fn flat(red: u8, blue: u8) -> RgbImage {
    RgbImage::from_pixel(13, 7, Rgb([red, 9, blue]))
}
