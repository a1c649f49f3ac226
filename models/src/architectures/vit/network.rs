//! Graph of a vision transformer.

use super::super::position;
use super::super::writer::Writer;
use super::{Activation, Config, Table};
use crate::error::Result;
use onnx::{Attr, Tensor, Window};

pub(super) struct Network<'a> {
    pub(super) writer: Writer<'a>,
    pub(super) config: Config,
}

impl Network<'_> {
    /// The last value of the graph, its width, and whether a classification layer gives it.
    pub(super) fn write(
        &mut self,
        image_shape: [usize; 3],
        table: &Table,
    ) -> Result<(String, usize, bool)> {
        let Config {
            width,
            depth,
            epsilon,
            ..
        } = self.config;
        let images = self.writer.images(image_shape);
        self.constants()?;
        let mut x = self.embed(&images, image_shape[0], table)?;
        if self.writer.weights.has("norm_pre.weight") {
            x = self.writer.layer_norm("norm_pre", &x, width, epsilon)?;
        }
        for block in 0..depth {
            x = self.block(&format!("blocks.{block}"), &x)?;
        }
        self.end(&x)
    }

    /// Numbers that every block uses.
    fn constants(&mut self) -> Result<()> {
        let head_width = self.config.width / self.config.num_heads;
        self.writer
            .scalar("attn.scale", (head_width as f32).sqrt().recip())?;
        match self.config.activation {
            Activation::Gelu => {
                self.writer.scalar("gelu.sqrt2", std::f32::consts::SQRT_2)?;
                self.writer.scalar("gelu.one", 1.0)?;
                self.writer.scalar("gelu.half", 0.5)?;
            }
            Activation::QuickGelu => {
                self.writer.scalar("quick_gelu.factor", 1.702)?;
            }
        }
        let heads = self.config.num_heads as i64;
        let mut shape = |name, dims: Vec<i64>| -> Result<()> {
            let tensor = Tensor::i64(&[dims.len()], dims)?;
            self.writer.graph.initializer(name, &tensor);
            Ok(())
        };
        // A zero keeps the axis of the input: batch, and tokens.
        shape("heads.shape", vec![0, 0, heads, head_width as i64])?;
        shape("tokens.shape", vec![0, 0, self.config.width as i64])?;
        shape("patches.shape", vec![0, self.config.width as i64, -1])
    }

    /// Images `[N, C, H, W]` to tokens `[N, T, D]`: class token and its kin, then the patches, each with its position.
    fn embed(&mut self, images: &str, channels: usize, table: &Table) -> Result<String> {
        let Config {
            width, patch, grid, ..
        } = self.config;
        let window = Window::square(patch, patch, 0);
        let shape = [width, channels, patch, patch];
        let weight = self.writer.constant("patch_embed.proj.weight", &shape)?;
        // CLIP's has none.
        let bias = match self.writer.weights.has("patch_embed.proj.bias") {
            true => Some(self.writer.constant("patch_embed.proj.bias", &[width])?),
            false => None,
        };
        let graph = &mut self.writer.graph;
        let x = graph.conv("patch_embed.proj", images, &weight, bias.as_deref(), window);
        let x = graph.node("Reshape", "patches.flat", &[&x, "patches.shape"], vec![]);
        let mut x = graph.node("Transpose", "patches", &[&x], perm(&[0, 2, 1])); // [N, T, D]
        let before: usize = self.config.tokens.iter().map(|(_, rows)| rows).sum();
        let Some(rows) = self.positions(table)? else {
            return Ok(x);
        };
        let count = before + grid * grid;
        let positions = Tensor::f32(&[1, count, width], rows)?;
        let graph = &mut self.writer.graph;
        graph.initializer("pos_embed", &positions);
        if before > 0 {
            // Rows of zeros for the tokens, whose values are in the table: no shape has to be computed for a batch.
            let pads = Tensor::i64(&[6], vec![0, before as i64, 0, 0, 0, 0])?;
            graph.initializer("tokens.pads", &pads);
            x = graph.node("Pad", "tokens.padded", &[&x, "tokens.pads"], vec![]);
        }
        Ok(graph.add("tokens", &x, "pos_embed"))
    }

    /// What is added to each token `[T, D]`: its position, and for those before the patches their value; none where
    /// a tensor does not fit.
    fn positions(&mut self, table: &Table) -> Result<Option<Vec<f32>>> {
        let width = self.config.width;
        let mut rows = vec![];
        for (token, count) in self.config.tokens.clone() {
            rows.push(self.rows(token, count)?);
        }
        let count = table.embedded + table.side * table.side;
        let own = self.rows("pos_embed", count)?;
        let (Some(rows), Some(own)) = (rows.into_iter().collect::<Option<Vec<_>>>(), own) else {
            return Ok(None);
        };
        let mut rows = rows.concat();
        let (tokens, patches) = own.split_at(table.embedded * width);
        for (row, position) in rows.iter_mut().zip(tokens) {
            *row += position;
        }
        rows.extend(position::resample(
            patches,
            table.side,
            self.config.grid,
            width,
        ));
        Ok(Some(rows))
    }

    /// Rows of a tensor that may have axes of one before them; none where it does not fit, which is reported.
    fn rows(&mut self, name: &str, count: usize) -> Result<Option<Vec<f32>>> {
        let width = self.config.width;
        let found = self.writer.weights.shape(name).map(<[usize]>::to_vec);
        let fits = |shape: &Vec<usize>| {
            shape.iter().product::<usize>() == count * width && shape.last() == Some(&width)
        };
        let shape = found.filter(fits).unwrap_or_else(|| vec![1, count, width]);
        self.values(name, &shape)
    }

    /// Attention and two layers, each behind a layer norm and added to what it reads.
    fn block(&mut self, name: &str, input: &str) -> Result<String> {
        let child = |layer: &str| format!("{name}.{layer}");
        let (width, epsilon) = (self.config.width, self.config.epsilon);
        let hidden = self
            .writer
            .weights
            .dim(&child("mlp.fc1.weight"), 0)
            .unwrap_or(4 * width);
        let x = self
            .writer
            .layer_norm(&child("norm1"), input, width, epsilon)?;
        let x = self.attention(&child("attn"), &x)?;
        let x = self.scaled(&child("ls1"), &x)?;
        let middle = self.writer.graph.add(&child("add1"), input, &x);
        let x = self
            .writer
            .layer_norm(&child("norm2"), &middle, width, epsilon)?;
        let x = self.linear(&child("mlp.fc1"), &x, [hidden, width])?;
        let x = self.activate(&child("mlp.act"), &x);
        let x = self.linear(&child("mlp.fc2"), &x, [width, hidden])?;
        let x = self.scaled(&child("ls2"), &x)?;
        Ok(self.writer.graph.add(&child("add2"), &middle, &x))
    }

    /// Multi-head self-attention: `softmax(q kᵀ / √d) v` of each head.
    fn attention(&mut self, name: &str, x: &str) -> Result<String> {
        let child = |layer: &str| format!("{name}.{layer}");
        let width = self.config.width;
        let qkv = self.queries_keys_values(name, x)?;
        let graph = &mut self.writer.graph;
        let parts = ["q", "k", "v"].map(&child);
        let outputs = parts.each_ref().map(String::as_str);
        let axis = vec![("axis", Attr::Int(-1))];
        graph.push(onnx::node(
            "Split",
            &child("split"),
            &[&qkv],
            &outputs,
            axis,
        ));
        // Keys are turned: their product with the queries is [N, heads, T, T].
        let perms = [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]];
        let mut heads = outputs.iter().zip(perms).map(|(part, axes)| {
            let split = format!("{part}.heads");
            let x = graph.node("Reshape", &split, &[part, "heads.shape"], vec![]);
            graph.node("Transpose", &format!("{part}.turned"), &[&x], perm(&axes))
        });
        let mut next = || heads.next().expect("queries, keys and values");
        let (q, k, v) = (next(), next(), next());
        drop(heads);
        let q = graph.node("Mul", &child("scaled"), &[&q, "attn.scale"], vec![]);
        let x = graph.node("MatMul", &child("scores"), &[&q, &k], vec![]);
        let x = graph.node(
            "Softmax",
            &child("softmax"),
            &[&x],
            vec![("axis", Attr::Int(-1))],
        );
        let x = graph.node("MatMul", &child("mixed"), &[&x, &v], vec![]);
        let x = graph.node("Transpose", &child("tokens"), &[&x], perm(&[0, 2, 1, 3]));
        let x = graph.node("Reshape", &child("joined"), &[&x, "tokens.shape"], vec![]);
        self.linear(&child("proj"), &x, [width, width])
    }

    /// Queries, keys and values side by side `[N, T, 3 D]`; transformers keeps their weights apart.
    fn queries_keys_values(&mut self, name: &str, x: &str) -> Result<String> {
        let width = self.config.width;
        let qkv = format!("{name}.qkv");
        if !self.writer.weights.has(&format!("{name}.q.weight")) {
            return self.linear(&qkv, x, [3 * width, width]);
        }
        let (mut weights, mut biases) = (vec![], vec![]);
        for part in ["q", "k", "v"] {
            let name = format!("{name}.{part}");
            weights.push(self.values(&format!("{name}.weight"), &[width, width])?);
            biases.push(self.bias(&name, width)?);
        }
        let joined = |parts: Vec<Option<Vec<f32>>>| {
            let parts: Option<Vec<Vec<f32>>> = parts.into_iter().collect();
            parts.map(|parts| parts.concat())
        };
        self.product(&qkv, x, [3 * width, width], joined(weights), joined(biases))
    }

    /// A fully connected layer on tokens; some networks have none of the biases of their attention.
    fn linear(&mut self, name: &str, x: &str, shape: [usize; 2]) -> Result<String> {
        let weight = self.values(&format!("{name}.weight"), &shape)?;
        let bias = self.bias(name, shape[0])?;
        self.product(name, x, shape, weight, bias)
    }

    /// The bias of a fully connected layer, where it has one.
    fn bias(&mut self, name: &str, width: usize) -> Result<Option<Vec<f32>>> {
        let name = format!("{name}.bias");
        match self.writer.weights.has(&name) {
            true => self.values(&name, &[width]),
            false => Ok(None),
        }
    }

    /// `x Wᵀ + b`, with the weight `[out, in]` stored as `[in, out]`.
    fn product(
        &mut self,
        name: &str,
        x: &str,
        [outputs, inputs]: [usize; 2],
        weight: Option<Vec<f32>>,
        bias: Option<Vec<f32>>,
    ) -> Result<String> {
        let graph = &mut self.writer.graph;
        let Some(weight) = weight else {
            return Ok(name.to_owned());
        };
        let turned = (0..inputs).flat_map(|input| weight.iter().skip(input).step_by(inputs));
        let turned = Tensor::f32(&[inputs, outputs], turned.copied().collect())?;
        let weight = graph.initializer(&format!("{name}.weight"), &turned);
        let Some(bias) = bias else {
            return Ok(graph.node("MatMul", name, &[x, &weight], vec![]));
        };
        let bias = Tensor::f32(&[outputs], bias)?;
        let bias = graph.initializer(&format!("{name}.bias"), &bias);
        let product = format!("{name}.product");
        let x = graph.node("MatMul", &product, &[x, &weight], vec![]);
        Ok(graph.add(name, &x, &bias))
    }

    /// The values of a tensor; none where it does not fit, which is reported.
    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let tensor = self.writer.weights.take(name, shape)?;
        let values = tensor.map(|tensor| Ok(tensor.as_f32()?.into_owned()));
        values.transpose()
    }

    /// LayerScale, where the network has it.
    fn scaled(&mut self, name: &str, x: &str) -> Result<String> {
        let gamma = format!("{name}.gamma");
        if !self.writer.weights.has(&gamma) {
            return Ok(x.to_owned());
        }
        let gamma = self.writer.constant(&gamma, &[self.config.width])?;
        Ok(self.writer.graph.node("Mul", name, &[x, &gamma], vec![]))
    }

    fn activate(&mut self, name: &str, x: &str) -> String {
        let graph = &mut self.writer.graph;
        let mut node = |op: &str, part: &str, inputs: &[&str]| {
            graph.node(op, &format!("{name}.{part}"), inputs, vec![])
        };
        match self.config.activation {
            // In the order of PyTorch's exporter, which ONNX Runtime fuses.
            Activation::Gelu => {
                let y = node("Div", "scaled", &[x, "gelu.sqrt2"]);
                let y = node("Erf", "erf", &[&y]);
                let y = node("Add", "shifted", &[&y, "gelu.one"]);
                let y = node("Mul", "product", &[x, &y]);
                node("Mul", "gelu", &[&y, "gelu.half"])
            }
            Activation::QuickGelu => {
                let y = node("Mul", "scaled", &[x, "quick_gelu.factor"]);
                let y = node("Sigmoid", "sigmoid", &[&y]);
                node("Mul", "quick_gelu", &[x, &y])
            }
        }
    }

    /// Tokens `[N, T, D]` to the last value, its width, and whether a classification layer gives it.
    fn end(&mut self, tokens: &str) -> Result<(String, usize, bool)> {
        let Config { width, epsilon, .. } = self.config;
        if self.config.averages_patches {
            // Without `fc_norm` the norm comes before the mean.
            let mut x = tokens.to_owned();
            if self.writer.weights.has("norm.weight") {
                x = self.writer.layer_norm("norm", &x, width, epsilon)?;
            }
            let mut x = self.mean_of_patches(&x)?;
            if self.writer.weights.has("fc_norm.weight") {
                x = self.writer.layer_norm("fc_norm", &x, width, epsilon)?;
            }
            return self.writer.head("head", &x, width);
        }
        let normalized = self.writer.layer_norm("norm", tokens, width, epsilon)?;
        let class = self.token("class", &normalized, 0)?;
        if self.writer.weights.has("head_dist.weight") {
            return self.two_heads(&normalized, &class);
        }
        if self.writer.weights.dim("head.weight", 1) == Some(2 * width) {
            // DINOv2's classifier in transformers reads the class token and the mean of the patches.
            let mean = self.mean_of_patches(&normalized)?;
            let graph = &mut self.writer.graph;
            let axis = vec![("axis", Attr::Int(1))];
            let x = graph.node("Concat", "class_and_mean", &[&class, &mean], axis);
            return self.writer.head("head", &x, 2 * width);
        }
        self.writer.head("head", &class, width)
    }

    /// The mean of the logits from the class token and from the distillation token.
    fn two_heads(&mut self, normalized: &str, class: &str) -> Result<(String, usize, bool)> {
        let width = self.config.width;
        let distilled = self.token("distilled", normalized, 1)?;
        let (one, classes, _) = self.writer.head("head", class, width)?;
        let (two, ..) = self.writer.head("head_dist", &distilled, width)?;
        let half = self.writer.scalar("heads.half", 0.5)?;
        let graph = &mut self.writer.graph;
        let sum = graph.add("heads.sum", &one, &two);
        let mean = graph.node("Mul", "heads.mean", &[&sum, &half], vec![]);
        Ok((mean, classes, true))
    }

    /// One token `[N, D]`.
    fn token(&mut self, name: &str, tokens: &str, index: i64) -> Result<String> {
        let graph = &mut self.writer.graph;
        let index = Tensor::i64(&[], vec![index])?;
        let index = graph.initializer(&format!("{name}.index"), &index);
        let axis = vec![("axis", Attr::Int(1))];
        Ok(graph.node("Gather", name, &[tokens, &index], axis))
    }

    fn mean_of_patches(&mut self, tokens: &str) -> Result<String> {
        let before: usize = self.config.tokens.iter().map(|(_, rows)| rows).sum();
        let graph = &mut self.writer.graph;
        let mut bound = |name: &str, value: i64| -> Result<String> {
            let tensor = Tensor::i64(&[1], vec![value])?;
            Ok(graph.initializer(name, &tensor))
        };
        let starts = bound("patches.begin", before as i64)?;
        let ends = bound("patches.end", i64::MAX)?;
        let axes = bound("patches.axis", 1)?;
        let inputs = [tokens, &starts, &ends, &axes];
        let patches = graph.node("Slice", "patches.last", &inputs, vec![]);
        let attributes = vec![("axes", Attr::Ints(vec![1])), ("keepdims", Attr::Int(0))];
        Ok(graph.node("ReduceMean", "patches.mean", &[&patches], attributes))
    }
}

fn perm(axes: &[i64]) -> Vec<(&'static str, Attr)> {
    vec![("perm", Attr::Ints(axes.to_vec()))]
}
