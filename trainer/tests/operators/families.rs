//! Small graphs, one for each family of operators.

use onnx::proto::DataType;
use onnx::{Attr, Dim, Document, GraphBuilder, ModelInfo};

/// Channels, height and width of the images.
pub(crate) const IMAGE: [usize; 3] = [4, 10, 6];

/// A graph under test.
pub(crate) struct Net {
    pub(crate) graph: GraphBuilder,
    pub(crate) seed: u32,
    count: usize,
}

impl Net {
    pub(crate) fn new() -> Self {
        let mut graph = GraphBuilder::new("net");
        let dims: Vec<Dim> = std::iter::once("batch".into())
            .chain(IMAGE.map(|size| Dim::Fixed(size as i64)))
            .collect();
        graph.input("image", DataType::Float, &dims);
        Self {
            graph,
            seed: 3,
            count: 0,
        }
    }

    pub(crate) fn numbers(&mut self, len: usize) -> Vec<f32> {
        let next = |seed: &mut u32| {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next(&mut self.seed)).collect()
    }

    pub(crate) fn name(&mut self, base: &str) -> String {
        self.count += 1;
        format!("{base}{}", self.count)
    }

    /// A random weight.
    pub(crate) fn weight(&mut self, dims: &[usize]) -> String {
        let values = self.numbers(dims.iter().product());
        let name = self.name("w");
        let tensor = onnx::Tensor::f32(dims, values).unwrap();
        self.graph.initializer(&name, &tensor)
    }

    pub(crate) fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let name = self.name("c");
        let tensor = onnx::Tensor::f32(dims, values.to_vec()).unwrap();
        self.graph.initializer(&name, &tensor)
    }

    pub(crate) fn ints(&mut self, values: &[i64]) -> String {
        let name = self.name("i");
        let tensor = onnx::Tensor::i64(&[values.len()], values.to_vec()).unwrap();
        self.graph.initializer(&name, &tensor)
    }

    pub(crate) fn index(&mut self, value: i64) -> String {
        let name = self.name("i");
        let tensor = onnx::Tensor::i64(&[], vec![value]).unwrap();
        self.graph.initializer(&name, &tensor)
    }

    pub(crate) fn op(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attr)>,
    ) -> String {
        let name = self.name(operator);
        self.graph.node(operator, &name, inputs, attributes)
    }

    /// The nodes of `split`, one for each output.
    pub(crate) fn split(&mut self, x: &str, axis: i64, sizes: &[i64]) -> Vec<String> {
        let sizes_name = self.ints(sizes);
        let outputs: Vec<String> = sizes.iter().map(|_| self.name("part")).collect();
        let names: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let axis = vec![("axis", Attr::Int(axis))];
        let node = onnx::node("Split", &names.concat(), &[x, &sizes_name], &names, axis);
        self.graph.push(node);
        outputs
    }

    pub(crate) fn conv(
        &mut self,
        x: &str,
        shape: [usize; 4],
        attributes: Vec<(&str, Attr)>,
    ) -> String {
        let (weight, bias) = (self.weight(&shape), self.weight(&[shape[0]]));
        self.op("Conv", &[x, &weight, &bias], attributes)
    }

    /// The graph with a classification layer on the mean over all axes but the first two of `x`.
    pub(crate) fn finish(mut self, x: &str, channels: usize, opset: i64) -> Document {
        let rows = self.op("GlobalAveragePool", &[x], vec![]);
        let rows = self.op("Flatten", &[&rows], vec![]);
        let (weight, bias) = (self.weight(&[3, channels]), self.weight(&[3]));
        let y = self.graph.gemm("head", &rows, &weight, &bias);
        let dims = ["batch".into(), Dim::Fixed(3)];
        self.graph.output(&y, "scores", DataType::Float, &dims);
        let info = ModelInfo {
            opset,
            ..ModelInfo::default()
        };
        self.graph.finish(&info).unwrap()
    }
}

pub(crate) fn ints(values: &[i64]) -> Attr {
    Attr::Ints(values.to_vec())
}

/// A batch norm of 4 channels, and the convolution before it.
fn norm(net: &mut Net, x: &str) -> String {
    let x = net.conv(x, [4, 4, 1, 1], vec![]);
    let (scale, bias, mean) = (net.weight(&[4]), net.weight(&[4]), net.weight(&[4]));
    let variance = net.floats(&[4], &[0.5, 0.8, 1.1, 1.4]);
    let inputs = [x.as_str(), &scale, &bias, &mean, &variance];
    net.op("BatchNormalization", &inputs, vec![])
}

/// A family of operators: what it adds to the graph; it returns a value `[N, C, ...]` and C.
pub(crate) type Family = fn(&mut Net) -> (String, usize);

pub(crate) const FAMILIES: [(&str, i64, Family); 20] = [
    ("resizing", 17, |net| {
        let x = net.conv("image", [2, 4, 1, 1], vec![]);
        let mut maps = vec![];
        for (mode, coordinates) in [
            ("linear", "pytorch_half_pixel"),
            ("linear", "align_corners"),
            ("nearest", "asymmetric"),
            ("cubic", "half_pixel"),
        ] {
            let sizes = net.ints(&[3, 2, 7, 11]);
            let text = |text: &str| Attr::Str(text.into());
            let rule = vec![
                ("mode", text(mode)),
                ("coordinate_transformation_mode", text(coordinates)),
                ("nearest_mode", text("floor")),
            ];
            // The batch is that of the images.
            let shape = net.op("Shape", &[&x], vec![("end", Attr::Int(1))]);
            let (one, four, all) = (net.ints(&[1]), net.ints(&[4]), net.ints(&[0]));
            let rest = net.op("Slice", &[&sizes, &one, &four, &all], vec![]);
            let sizes = net.op("Concat", &[&shape, &rest], vec![("axis", Attr::Int(0))]);
            let map = net.op("Resize", &[&x, "", "", &sizes], rule);
            let weight = net.weight(&[1, 2, 7, 11]);
            maps.push(net.op("Mul", &[&map, &weight], vec![]));
        }
        let names: Vec<&str> = maps.iter().map(String::as_str).collect();
        (net.op("Concat", &names, vec![("axis", Attr::Int(1))]), 8)
    }),
    ("convolutions", 17, |net| {
        let same = |kind: &str| {
            vec![
                ("auto_pad", Attr::Str(kind.into())),
                ("strides", ints(&[2, 2])),
            ]
        };
        let x = net.conv("image", [6, 4, 3, 3], same("SAME_UPPER"));
        let x = net.conv(
            &x,
            [6, 1, 3, 3],
            vec![("group", Attr::Int(6)), ("pads", ints(&[1, 1, 1, 1]))],
        );
        let x = net.conv(
            &x,
            [8, 3, 2, 2],
            vec![("group", Attr::Int(2)), ("pads", ints(&[0, 1, 1, 0]))],
        );
        let x = net.conv(
            &x,
            [5, 8, 3, 3],
            vec![("dilations", ints(&[2, 1])), ("pads", ints(&[2, 1, 2, 1]))],
        );
        (net.conv(&x, [4, 5, 2, 2], same("SAME_LOWER")), 4)
    }),
    // TensorFlow's SAME as exporters write it for images of any size: the image's own size decides.
    ("padding by the size", 17, |net| {
        let shape = net.op("Shape", &["image"], vec![("start", Attr::Int(2))]);
        let cast = |net: &mut Net, x: &str, to: DataType| {
            net.op("Cast", &[x], vec![("to", Attr::Int(to as i64))])
        };
        let size = cast(net, &shape, DataType::Float);
        let (one, two, kernel) = (
            net.floats(&[], &[1.0]),
            net.floats(&[], &[2.0]),
            net.floats(&[], &[3.0]),
        );
        let outputs = net.op("Div", &[&size, &two], vec![]);
        let outputs = net.op("Ceil", &[&outputs], vec![]);
        let steps = net.op("Sub", &[&outputs, &one], vec![]);
        let last = net.op("Mul", &[&steps, &two], vec![]);
        let needed = net.op("Add", &[&last, &kernel], vec![]);
        let missing = net.op("Sub", &[&needed, &size], vec![]);
        let zero = net.floats(&[], &[0.0]);
        let missing = net.op("Clip", &[&missing, &zero], vec![]);
        let missing = cast(net, &missing, DataType::Int64);
        let (half, none) = (net.ints(&[2]), net.ints(&[0, 0]));
        let before = net.op("Div", &[&missing, &half], vec![]);
        let after = net.op("Sub", &[&missing, &before], vec![]);
        let along = vec![("axis", Attr::Int(0))];
        let pads = net.op("Concat", &[&none, &before, &none, &after], along);
        let x = net.op("Pad", &["image", &pads], vec![]);
        (
            net.conv(&x, [4, 4, 3, 3], vec![("strides", ints(&[2, 2]))]),
            4,
        )
    }),
    ("activations", 17, |net| {
        let mut x = net.conv("image", [4, 4, 1, 1], vec![]);
        let (low, high) = (net.floats(&[], &[-0.8]), net.floats(&[], &[1.4]));
        for operator in [
            "HardSwish",
            "HardSigmoid",
            "Tanh",
            "Softplus",
            "Erf",
            "Sigmoid",
            "Exp",
            "Neg",
        ] {
            let y = net.op(operator, &[&x], vec![]);
            let w = net.weight(&[4, 1, 1]);
            x = net.op("Mul", &[&y, &w], vec![]);
        }
        x = net.op("Clip", &[&x, &low, &high], vec![]);
        x = net.op("LeakyRelu", &[&x], vec![("alpha", Attr::Float(0.3))]);
        x = net.op("Elu", &[&x], vec![("alpha", Attr::Float(0.7))]);
        let slope = net.weight(&[4, 1, 1]);
        (net.op("PRelu", &[&x, &slope], vec![]), 4)
    }),
    ("activations that are spelled out", 17, |net| {
        let mut x = net.conv("image", [4, 4, 1, 1], vec![]);
        let (root, inverse) = (
            net.floats(&[], &[std::f32::consts::SQRT_2]),
            net.floats(&[1], &[std::f32::consts::FRAC_1_SQRT_2]),
        );
        let (one, half, third) = (
            net.floats(&[], &[1.0]),
            net.floats(&[], &[0.5]),
            net.floats(&[], &[0.3]),
        );
        let scaled = |net: &mut Net, x: &str| {
            let w = net.weight(&[4, 1, 1]);
            net.op("Mul", &[x, &w], vec![])
        };
        // SiLU, and what only begins as it.
        let gate = net.op("Sigmoid", &[&x], vec![]);
        x = net.op("Mul", &[&gate, &x], vec![]);
        x = scaled(net, &x);
        let gate = net.op("Sigmoid", &[&x], vec![]);
        let product = net.op("Mul", &[&x, &gate], vec![]);
        x = net.op("Add", &[&product, &gate], vec![]);
        let other = scaled(net, &x);
        let gate = net.op("Sigmoid", &[&x], vec![]);
        x = net.op("Mul", &[&other, &gate], vec![]);
        // GELU with the half at each place, and two that are not it.
        let distribution = |net: &mut Net, x: &str, scale: [&str; 2]| {
            let [operator, number] = scale;
            let y = net.op(operator, &[x, number], vec![]);
            let y = net.op("Erf", &[&y], vec![]);
            net.op("Add", &[&y, &one], vec![])
        };
        let y = distribution(net, &x, ["Div", &root]);
        let y = net.op("Mul", &[&x, &y], vec![]);
        x = net.op("Mul", &[&y, &half], vec![]);
        x = scaled(net, &x);
        let y = distribution(net, &x, ["Mul", &inverse]);
        let y = net.op("Mul", &[&half, &y], vec![]);
        x = net.op("Mul", &[&y, &x], vec![]);
        x = scaled(net, &x);
        let y = distribution(net, &x, ["Div", &root]);
        let halved = net.op("Mul", &[&x, &half], vec![]);
        x = net.op("Mul", &[&halved, &y], vec![]);
        x = scaled(net, &x);
        let y = distribution(net, &x, ["Mul", &third]);
        let y = net.op("Mul", &[&x, &y], vec![]);
        x = net.op("Mul", &[&y, &half], vec![]);
        let y = distribution(net, &x, ["Div", &root]);
        let product = net.op("Mul", &[&x, &y], vec![]);
        let y = net.op("Mul", &[&product, &third], vec![]);
        (net.op("Add", &[&y, &product], vec![]), 4)
    }),
    ("squeeze and excitation", 17, |net| {
        let x = net.conv("image", [6, 4, 3, 3], vec![]);
        let gate = net.op("ReduceMean", &[&x], vec![("axes", ints(&[2, 3]))]);
        let gate = net.conv(&gate, [2, 6, 1, 1], vec![]);
        let gate = net.op("Relu", &[&gate], vec![]);
        let gate = net.conv(&gate, [6, 2, 1, 1], vec![]);
        let slope = vec![("alpha", Attr::Float(1.0 / 6.0))];
        let gate = net.op("HardSigmoid", &[&gate], slope);
        (net.op("Mul", &[&x, &gate], vec![]), 6)
    }),
    ("arithmetic", 17, |net| {
        let x = net.conv("image", [4, 4, 1, 1], vec![]);
        let (two, half, three) = (
            net.floats(&[], &[2.0]),
            net.floats(&[1], &[0.5]),
            net.floats(&[], &[3.0]),
        );
        let square = net.op("Pow", &[&x, &two], vec![]);
        let shifted = net.op("Add", &[&square, &half], vec![]);
        let root = net.op("Sqrt", &[&shifted], vec![]);
        let a = net.op("Div", &[&x, &root], vec![]);
        let b = net.op("Div", &[&half, &root], vec![]);
        let c = net.op("Sub", &[&two, &a], vec![]);
        let d = net.op("Sub", &[&b, &half], vec![]);
        let e = net.op("Mul", &[&c, &d], vec![]);
        let f = net.op("Reciprocal", &[&root], vec![]);
        let g = net.op("Log", &[&shifted], vec![]);
        let h = net.op("Max", &[&e, &half], vec![]);
        let cube = net.op("Pow", &[&x, &three], vec![]);
        let sum = net.op("Add", &[&h, &f], vec![]);
        let sum = net.op("Add", &[&sum, &g], vec![]);
        let map = net.weight(&[1, 4, 10, 6]);
        let sum = net.op("Add", &[&sum, &map], vec![]);
        (net.op("Mul", &[&sum, &cube], vec![]), 4)
    }),
    ("parts", 17, |net| {
        let x = net.conv("image", [6, 4, 1, 1], vec![]);
        let parts = net.split(&x, 1, &[1, 3, 2]);
        let (starts, ends) = (net.ints(&[-2, 9]), net.ints(&[i64::MIN, 1]));
        let (axes, steps) = (net.ints(&[3, 2]), net.ints(&[-1, -2]));
        let turned = net.op("Slice", &[&parts[1], &starts, &ends, &axes, &steps], vec![]);
        let chosen = net.ints(&[2, 0, 0]);
        let chosen = net.op("Gather", &[&turned, &chosen], vec![("axis", Attr::Int(1))]);
        let (from, to, axis, step) = (
            net.ints(&[0]),
            net.ints(&[9]),
            net.ints(&[2]),
            net.ints(&[3]),
        );
        let some = net.op("Slice", &[&parts[2], &from, &to, &axis, &step], vec![]);
        let some = net.op("ReduceMax", &[&some], vec![("axes", ints(&[2, 3]))]);
        let some = net.op("Mul", &[&some, &parts[2]], vec![]);
        let (a, b) = (
            net.op("GlobalMaxPool", &[&chosen], vec![]),
            net.op("GlobalAveragePool", &[&some], vec![]),
        );
        (net.op("Concat", &[&a, &b], vec![("axis", Attr::Int(1))]), 5)
    }),
    ("shuffle with shape arithmetic", 17, |net| {
        let x = net.conv("image", [6, 4, 3, 3], vec![]);
        let shape = net.op("Shape", &[&x], vec![]);
        let zero = net.index(0);
        let batch = net.op("Gather", &[&shape, &zero], vec![]);
        let front = net.ints(&[0]);
        let batch = net.op("Unsqueeze", &[&batch, &front], vec![]);
        let (one, two) = (net.index(1), net.ints(&[2]));
        let channels = net.op("Gather", &[&shape, &one], vec![]);
        let half = net.op("Div", &[&channels, &two], vec![]);
        let rest = net.ints(&[8, 4]);
        let split = net.op(
            "Concat",
            &[&batch, &two, &half, &rest],
            vec![("axis", Attr::Int(0))],
        );
        let x = net.op("Reshape", &[&x, &split], vec![]);
        let x = net.op("Transpose", &[&x], vec![("perm", ints(&[0, 2, 1, 3, 4]))]);
        let joined = net.ints(&[0, -1, 8, 4]);
        let x = net.op("Reshape", &[&x, &joined], vec![]);
        (net.conv(&x, [4, 6, 1, 1], vec![]), 4)
    }),
    ("layer norm of channels", 20, |net| {
        let x = net.conv("image", [6, 4, 3, 3], vec![]);
        let x = net.op("Transpose", &[&x], vec![("perm", ints(&[0, 2, 3, 1]))]);
        let (scale, bias) = (net.weight(&[6]), net.weight(&[6]));
        let x = net.op(
            "LayerNormalization",
            &[&x, &scale, &bias],
            vec![("axis", Attr::Int(-1))],
        );
        let (w, b) = (net.weight(&[6, 9]), net.weight(&[9]));
        let x = net.op("MatMul", &[&x, &w], vec![]);
        let x = net.op("Add", &[&b, &x], vec![]);
        let x = net.op("Gelu", &[&x], vec![]);
        let x = net.op(
            "Gelu",
            &[&x],
            vec![("approximate", Attr::Str("tanh".into()))],
        );
        (
            net.op("Transpose", &[&x], vec![("perm", ints(&[0, 3, 1, 2]))]),
            9,
        )
    }),
    ("attention with a class token", 17, |net| {
        let x = net.conv("image", [6, 4, 2, 2], vec![("strides", ints(&[2, 2]))]);
        let flat = net.ints(&[0, 6, -1]);
        let x = net.op("Reshape", &[&x, &flat], vec![]);
        let x = net.op("Transpose", &[&x], vec![("perm", ints(&[0, 2, 1]))]);
        let shape = net.op("Shape", &[&x], vec![("end", Attr::Int(1))]);
        let rest = net.ints(&[1, 6]);
        let shape = net.op("Concat", &[&shape, &rest], vec![("axis", Attr::Int(0))]);
        let token = net.weight(&[1, 1, 6]);
        let token = net.op("Expand", &[&token, &shape], vec![]);
        let x = net.op("Concat", &[&token, &x], vec![("axis", Attr::Int(1))]);
        let position = net.weight(&[1, 16, 6]);
        let x = net.op("Add", &[&x, &position], vec![]);
        let w = net.weight(&[6, 18]);
        let qkv = net.op("MatMul", &[&x, &w], vec![]);
        let heads = net.ints(&[0, 16, 3, 2, 3]);
        let qkv = net.op("Reshape", &[&qkv, &heads], vec![]);
        let qkv = net.op("Transpose", &[&qkv], vec![("perm", ints(&[2, 0, 3, 1, 4]))]);
        let [q, k, v] = [0, 1, 2].map(|part| {
            let part = net.index(part);
            net.op("Gather", &[&qkv, &part], vec![("axis", Attr::Int(0))])
        });
        let k = net.op("Transpose", &[&k], vec![("perm", ints(&[0, 1, 3, 2]))]);
        let scores = net.op("MatMul", &[&q, &k], vec![]);
        let scale = net.floats(&[], &[0.57]);
        let scores = net.op("Mul", &[&scores, &scale], vec![]);
        let mask: Vec<f32> = (0..256)
            .map(|i| if i % 7 == 3 { -100.0 } else { 0.0 })
            .collect();
        let mask = net.floats(&[16, 16], &mask);
        let scores = net.op("Add", &[&scores, &mask], vec![]);
        let weights = net.op("Softmax", &[&scores], vec![("axis", Attr::Int(-1))]);
        let x = net.op("MatMul", &[&weights, &v], vec![]);
        let x = net.op("Transpose", &[&x], vec![("perm", ints(&[0, 1, 3, 2]))]);
        let joined = net.ints(&[0, 6, 16]);
        (net.op("Reshape", &[&x, &joined], vec![]), 6)
    }),
    ("pooling", 17, |net| {
        let x = net.conv("image", [4, 4, 1, 1], vec![]);
        let window = |more: Vec<(&'static str, Attr)>| {
            let mut all = vec![("kernel_shape", ints(&[3, 3])), ("strides", ints(&[2, 2]))];
            all.extend(more);
            all
        };
        let ceil = || ("ceil_mode", Attr::Int(1));
        let a = net.op("MaxPool", &[&x], window(vec![ceil()]));
        let b = net.op(
            "AveragePool",
            &[&x],
            window(vec![ceil(), ("pads", ints(&[1, 1, 1, 1]))]),
        );
        let c = net.op(
            "AveragePool",
            &[&x],
            window(vec![
                ("count_include_pad", Attr::Int(1)),
                ("pads", ints(&[1, 1, 1, 1])),
            ]),
        );
        let d = net.op(
            "MaxPool",
            &[&x],
            window(vec![("auto_pad", Attr::Str("SAME_UPPER".into()))]),
        );
        let pooled: Vec<String> = [a, b, c, d]
            .iter()
            .map(|map| {
                let squares = net.op("Mul", &[map, map], vec![]);
                net.op("GlobalAveragePool", &[&squares], vec![])
            })
            .collect();
        let names: Vec<&str> = pooled.iter().map(String::as_str).collect();
        (net.op("Concat", &names, vec![("axis", Attr::Int(1))]), 16)
    }),
    ("reductions", 17, |net| {
        let x = net.conv("image", [4, 4, 1, 1], vec![]);
        let norm = net.op("ReduceL2", &[&x], vec![("axes", ints(&[2, 3]))]);
        let mean = net.op("ReduceMean", &[&norm], vec![("axes", ints(&[1]))]);
        let x = net.op("Mul", &[&x, &norm], vec![]);
        let x = net.op("Add", &[&x, &mean], vec![]);
        let axes = net.ints(&[2]);
        let sum = net.op("ReduceSum", &[&x, &axes], vec![("keepdims", Attr::Int(0))]);
        let back = net.ints(&[2]);
        (net.op("Unsqueeze", &[&sum, &back], vec![]), 4)
    }),
    ("padding", 17, |net| {
        let mut x = net.conv("image", [4, 4, 1, 1], vec![]);
        for (mode, pads) in [
            ("constant", [0, 1, 0, -1, 0, 0, 2, 1]),
            ("reflect", [0, 0, 2, 1, 0, 0, 1, 0]),
            ("edge", [0, 0, 1, 0, 0, 0, 0, 3]),
        ] {
            let (pads, value) = (net.ints(&pads), net.floats(&[], &[0.3]));
            let mut inputs = vec![x.as_str(), pads.as_str()];
            if mode == "constant" {
                inputs.push(&value);
            }
            x = net.op("Pad", &inputs, vec![("mode", Attr::Str(mode.into()))]);
        }
        (net.conv(&x, [3, 5, 2, 2], vec![]), 3)
    }),
    ("norms of images and batches", 17, |net| {
        let x = net.conv("image", [6, 4, 1, 1], vec![]);
        let (scale, bias) = (net.weight(&[6]), net.weight(&[6]));
        let x = net.op("InstanceNormalization", &[&x, &scale, &bias], vec![]);
        let square = net.op("Mul", &[&x, &x], vec![]);
        let rows = net.ints(&[0, 6, -1]);
        let x = net.op("Reshape", &[&square, &rows], vec![]);
        let (scale, bias, mean) = (net.weight(&[6]), net.weight(&[6]), net.weight(&[6]));
        let variance = net.floats(&[6], &[0.5, 1.0, 1.5, 2.0, 0.7, 0.9]);
        (
            net.op(
                "BatchNormalization",
                &[&x, &scale, &bias, &mean, &variance],
                vec![],
            ),
            6,
        )
    }),
    ("choice", 17, |net| {
        let x = net.conv("image", [4, 4, 1, 1], vec![]);
        let mask: Vec<bool> = (0..60).map(|i| i % 3 == 0).collect();
        let mask = onnx::Tensor::new(&[10, 6], onnx::TensorData::Bool(mask)).unwrap();
        let mask = net.graph.initializer("mask", &mask);
        let zero = net.floats(&[], &[0.0]);
        let y = net.op("Where", &[&mask, &x, &zero], vec![]);
        let gone = net.op("IsNaN", &[&x], vec![]);
        (net.op("Where", &[&gone, &zero, &y], vec![]), 4)
    }),
    ("clamps after batch norms", 17, |net| {
        let bounds = |net: &mut Net, low, high| [net.floats(&[], &[low]), net.floats(&[], &[high])];
        let mut x = "image".to_owned();
        // From 0, which the batch norm computes itself, and from below.
        for (low, high) in [(0.0, 0.4), (-0.2, 0.6)] {
            x = norm(net, &x);
            let [low, high] = bounds(net, low, high);
            x = net.op("Clip", &[&x, &low, &high], vec![]);
        }
        // One that has another reader.
        let x = norm(net, &x);
        let y = net.op("Relu", &[&x], vec![]);
        let sum = net.op("Add", &[&x, &y], vec![]);
        let x = norm(net, &sum);
        (net.op("Relu", &[&x], vec![]), 4)
    }),
    ("one bias for two layers", 17, |net| {
        let (first, second, bias) = (
            net.weight(&[4, 4, 1, 1]),
            net.weight(&[4, 4, 1, 1]),
            net.weight(&[4]),
        );
        let same = net.op("Identity", &[&bias], vec![]);
        let x = net.op("Conv", &["image", &first, &bias], vec![]);
        let x = net.op("Relu", &[&x], vec![]);
        (net.op("Conv", &[&x, &second, &same], vec![]), 4)
    }),
    ("older opsets", 9, |net| {
        let x = net.conv("image", [4, 4, 1, 1], vec![]);
        let x = net.op(
            "Clip",
            &[&x],
            vec![("min", Attr::Float(-0.5)), ("max", Attr::Float(0.8))],
        );
        let x = net.op(
            "Slice",
            &[&x],
            vec![
                ("axes", ints(&[2])),
                ("starts", ints(&[1])),
                ("ends", ints(&[9])),
            ],
        );
        let x = net.op(
            "Pad",
            &[&x],
            vec![
                ("pads", ints(&[0, 0, 1, 0, 0, 0, 0, 0])),
                ("value", Attr::Float(0.2)),
            ],
        );
        let x = net.op("Unsqueeze", &[&x], vec![("axes", ints(&[1]))]);
        let x = net.op("Squeeze", &[&x], vec![("axes", ints(&[1]))]);
        (net.op("Softmax", &[&x], vec![("axis", Attr::Int(2))]), 4)
    }),
    ("rows", 17, |net| {
        let x = net.conv("image", [4, 4, 1, 1], vec![]);
        let x = net.op("Flatten", &[&x], vec![]);
        let (w, b) = (net.weight(&[6, 240]), net.weight(&[1, 6]));
        let scale = vec![
            ("alpha", Attr::Float(0.3)),
            ("beta", Attr::Float(0.5)),
            ("transB", Attr::Int(1)),
        ];
        let x = net.op("Gemm", &[&x, &w, &b], scale);
        let axes = net.ints(&[2, 3]);
        (net.op("Unsqueeze", &[&x, &axes], vec![]), 6)
    }),
];
