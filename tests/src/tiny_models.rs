//! Small ONNX files.

use std::path::{Path, PathBuf};

use fs_err as fs;
use onnx::proto::{DataLocation, DataType, StringStringEntryProto};
use onnx::{BatchNormInputs, Dim, Document, GraphBuilder, ModelInfo, Tensor, Window};

/// The side of the pictures that the residual classifier takes.
pub const SIZE: i64 = 32;

/// Weights that look random.
struct Draw(u32);

impl Draw {
    fn tensor(&mut self, dims: &[usize]) -> Tensor {
        let values = (0..dims.iter().product()).map(|_| {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / (1 << 24) as f32 - 0.5
        });
        Tensor::f32(dims, values.collect()).unwrap()
    }
}

fn image() -> [Dim; 4] {
    let side = Dim::Fixed(SIZE);
    ["batch".into(), Dim::Fixed(3), side.clone(), side]
}

fn save(graph: GraphBuilder, path: &Path) -> PathBuf {
    let document: Document = graph.finish(&ModelInfo::default()).unwrap();
    document.save(path).unwrap();
    path.to_path_buf()
}

/// A residual classifier of five classes with batch norm, to start from as a backbone.
pub fn residual(path: &Path) -> PathBuf {
    let mut draw = Draw(1);
    let mut g = GraphBuilder::new("tiny");
    let x = g.input("image", DataType::Float, &image());
    let w = g.initializer("stem.w", &draw.tensor(&[6, 3, 3, 3]));
    let x = g.conv("stem", &x, &w, None, Window::square(3, 2, 1));
    let [scale, bias, mean, var] = ["s", "b", "m", "v"].map(|part| {
        let variance = Tensor::f32(&[6], vec![1.5; 6]).unwrap();
        let values = if part == "v" {
            variance
        } else {
            draw.tensor(&[6])
        };
        g.initializer(&format!("norm.{part}"), &values)
    });
    let norm = BatchNormInputs {
        scale: &scale,
        bias: &bias,
        mean: &mean,
        var: &var,
    };
    let x = g.batch_norm("norm", &x, norm, 1e-5);
    let x = g.relu("relu", &x);
    let w = g.initializer("conv.w", &draw.tensor(&[6, 6, 3, 3]));
    let b = g.initializer("conv.b", &draw.tensor(&[6]));
    let y = g.conv("conv", &x, &w, Some(&b), Window::square(3, 1, 1));
    let x = g.add("sum", &y, &x);
    let x = g.global_average_pool("pool", &x);
    let x = g.flatten("flatten", &x);
    let w = g.initializer("head.w", &draw.tensor(&[5, 6]));
    let b = g.initializer("head.b", &draw.tensor(&[5]));
    let x = g.gemm("head", &x, &w, &b);
    let scores = ["batch".into(), Dim::Fixed(5)];
    g.output(&x, "scores", DataType::Float, &scores);
    save(g, path)
}

/// A classifier of seven classes with operators that cannot be trained here (a gate `x * sigmoid(x)`, a softmax), a
/// fully connected layer as `MatMul` and `Add`, and a batch of 1 in its input and in a `Reshape`.
pub fn gated(path: &Path) -> PathBuf {
    let mut draw = Draw(3);
    let mut g = GraphBuilder::new("gated");
    let [_, sides @ ..] = image();
    let mut dims = vec![Dim::Fixed(1)];
    dims.extend(sides);
    let x = g.input("image", DataType::Float, &dims);
    let w = g.initializer("stem.w", &draw.tensor(&[6, 3, 3, 3]));
    let x = g.conv("stem", &x, &w, None, Window::square(3, 2, 1));
    let gate = g.node("Sigmoid", "gate", &[&x], vec![]);
    let x = g.node("Mul", "gated", &[&x, &gate], vec![]);
    let x = g.global_average_pool("pool", &x);
    let shape = g.initializer("shape", &Tensor::i64(&[2], vec![1, 6]).unwrap());
    let x = g.node("Reshape", "row", &[&x, &shape], vec![]);
    let w = g.initializer("head.w", &draw.tensor(&[6, 7]));
    let b = g.initializer("head.b", &draw.tensor(&[7]));
    let x = g.node("MatMul", "product", &[&x, &w], vec![]);
    let x = g.add("scores", &x, &b);
    let x = g.node("Softmax", "softmax", &[&x], vec![]);
    g.output(
        &x,
        "probabilities",
        DataType::Float,
        &[Dim::Fixed(1), Dim::Fixed(7)],
    );
    save(g, path)
}

/// [`residual`], but the file with the weights of its head is missing.
pub fn external(path: &Path) -> PathBuf {
    let mut document = Document::open(&residual(path)).unwrap();
    let graph = document.graph_mut();
    let mut weights = graph.initializer.iter_mut();
    let weight = weights.find(|tensor| tensor.name() == "head.w").unwrap();
    weight.raw_data = None;
    weight.data_location = Some(DataLocation::External as i32);
    weight.external_data = vec![StringStringEntryProto {
        key: Some("location".into()),
        value: Some("weights.bin".into()),
    }];
    fs::write(path, document.to_bytes()).unwrap();
    path.to_path_buf()
}

/// A model from pictures to pictures.
pub fn filter(path: &Path) -> PathBuf {
    let mut g = GraphBuilder::new("filter");
    let x = g.input("image", DataType::Float, &image());
    let w = g.initializer("w", &Draw(2).tensor(&[3, 3, 3, 3]));
    let x = g.conv("conv", &x, &w, None, Window::square(3, 1, 1));
    g.output(&x, "filtered", DataType::Float, &image());
    save(g, path)
}
