//! Networks of inverted residuals with ReLU6: MobileNetV2 and EfficientNet-Lite.
//!
//! MobileNetV2: Sandler et al. 2018, arXiv:1801.04381. EfficientNet-Lite: EfficientNet (Tan and Le 2019,
//! arXiv:1905.11946) without squeeze-and-excitation and with ReLU6 in place of Swish, as in `efficientnet/lite` of
//! <https://github.com/tensorflow/tpu>. The tensors have the names of torchvision, of timm, or of the port
//! <https://github.com/lukemelas/EfficientNet-PyTorch>.

use super::writer::Writer;
use super::{CheckpointOptions, ConvertedCheckpoint};
use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use onnx::{GraphBuilder, Window};

/// Channels after the first convolution of EfficientNet-Lite; no size of the family scales them.
const STEM: usize = 32;
/// Width `D` of the features; only a MobileNetV2 may have others.
const FEATURES: usize = 1280;

/// Blocks of equal width.
struct Stage {
    repeats: usize,
    kernel_size: usize,
    /// Stride of the first block; the others have 1.
    stride: usize,
    /// Channels inside a block, as a multiple of those that enter it.
    expand: usize,
    channels: usize,
}

const fn stage(
    repeats: usize,
    kernel_size: usize,
    stride: usize,
    expand: usize,
    channels: usize,
) -> Stage {
    Stage {
        repeats,
        kernel_size,
        stride,
        expand,
        channels,
    }
}

/// The stages of EfficientNet-B0.
const EFFICIENT_NET: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(2, 5, 2, 6, 40),
    stage(3, 3, 2, 6, 80),
    stage(3, 5, 1, 6, 112),
    stage(4, 5, 2, 6, 192),
    stage(1, 3, 1, 6, 320),
];

const MOBILE_NET_V2: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(3, 3, 2, 6, 32),
    stage(4, 3, 2, 6, 64),
    stage(3, 3, 1, 6, 96),
    stage(3, 3, 2, 6, 160),
    stage(1, 3, 1, 6, 320),
];

/// A size of EfficientNet-Lite.
#[derive(Clone, Copy)]
struct Lite {
    /// timm's name of it with PyTorch's padding; TensorFlow's has `tf_` before it.
    name: &'static str,
    /// Name of its graph.
    title: &'static str,
    /// Rows and columns of its images.
    image_size: usize,
    /// Multiple of B0's channels.
    width: f64,
    /// Multiple of B0's repeats.
    depth: f64,
}

const LITES: [Lite; 3] = [
    Lite {
        name: "efficientnet_lite0",
        title: "EfficientNet-Lite0",
        image_size: 224,
        width: 1.0,
        depth: 1.0,
    },
    Lite {
        name: "efficientnet_lite1",
        title: "EfficientNet-Lite1",
        image_size: 240,
        width: 1.0,
        depth: 1.1,
    },
    Lite {
        name: "efficientnet_lite2",
        title: "EfficientNet-Lite2",
        image_size: 260,
        width: 1.1,
        depth: 1.2,
    },
];

impl Lite {
    /// Channels as a multiple of 8, never below nine tenths of the exact number.
    fn round_channels(&self, channels: usize) -> usize {
        let exact = channels as f64 * self.width;
        let rounded = (((exact + 4.0) / 8.0) as usize * 8).max(8);
        match (rounded as f64) < 0.9 * exact {
            true => rounded + 8,
            false => rounded,
        }
    }

    /// Blocks of a stage; in this family the first and the last stage are never deeper.
    fn round_repeats(&self, stage: usize) -> usize {
        let repeats = EFFICIENT_NET[stage].repeats;
        match stage == 0 || stage == EFFICIENT_NET.len() - 1 {
            true => repeats,
            false => (repeats as f64 * self.depth).ceil() as usize,
        }
    }

    /// Whether these are tensors of this size: so many blocks, and before the last stage so many channels.
    fn fits(&self, weights: &Weights, dialect: Dialect) -> bool {
        let stages = EFFICIENT_NET.len();
        let repeats: Vec<usize> = (0..stages).map(|stage| self.round_repeats(stage)).collect();
        let blocks: usize = repeats.iter().sum();
        let depthwise = |stage, repeat, index| {
            let names = dialect.block(stage, repeat, index, stage > 0);
            format!("{}.weight", names.depthwise[0])
        };
        let is_deep = match dialect {
            Dialect::Timm => repeats.iter().enumerate().all(|(stage, repeats)| {
                weights.count(|repeat| depthwise(stage, repeat, 0)) == *repeats
            }),
            _ => weights.count(|index| depthwise(1, 0, index)) == blocks,
        };
        let last = dialect.block(stages - 1, 0, blocks - 1, true);
        let in_channels = weights.dim(&format!("{}.weight", last.expand[0]), 1);
        is_deep && in_channels == Some(self.round_channels(EFFICIENT_NET[stages - 2].channels))
    }
}

/// Who named the tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dialect {
    /// The port EfficientNet-PyTorch, whose padding is TensorFlow's.
    EfficientNetPyTorch,
    Timm,
    Torchvision,
}

impl Dialect {
    /// With a tensor that networks of this dialect have.
    const ALL: [(Self, &'static str); 3] = [
        (Self::EfficientNetPyTorch, "_conv_stem.weight"),
        (Self::Timm, "conv_stem.weight"),
        (Self::Torchvision, "features.1.conv.0.0.weight"),
    ];

    fn of_tensors(weights: &Weights) -> Self {
        let found = Self::ALL.iter().find(|(_, anchor)| weights.has(anchor));
        found.map_or(Self::EfficientNetPyTorch, |(dialect, _)| *dialect)
    }

    /// Convolution and batch norm before the blocks.
    fn stem(self) -> [&'static str; 2] {
        match self {
            Self::EfficientNetPyTorch => ["_conv_stem", "_bn0"],
            Self::Timm => ["conv_stem", "bn1"],
            Self::Torchvision => ["features.0.0", "features.0.1"],
        }
    }

    /// Convolution and batch norm after `blocks` blocks, pooling, and classification layer.
    fn head(self, blocks: usize) -> [String; 4] {
        let names = match self {
            Self::EfficientNetPyTorch => ["_conv_head", "_bn1", "_avg_pooling", "_fc"],
            Self::Timm => ["conv_head", "bn2", "global_pool", "classifier"],
            Self::Torchvision => {
                let layer = |part| format!("features.{}.{part}", blocks + 1);
                return [layer(0), layer(1), "pool".into(), "classifier.1".into()];
            }
        };
        names.map(str::to_owned)
    }

    /// Names of a block's layers: block `repeat` of `stage`, or `index` of the whole network.
    fn block(self, stage: usize, repeat: usize, index: usize, expands: bool) -> BlockNames {
        let (name, expand, depthwise, project) = match (self, expands) {
            (Self::EfficientNetPyTorch, _) => (
                format!("_blocks.{index}"),
                ["_expand_conv", "_bn0"],
                ["_depthwise_conv", "_bn1"],
                ["_project_conv", "_bn2"],
            ),
            (Self::Timm, true) => (
                format!("blocks.{stage}.{repeat}"),
                ["conv_pw", "bn1"],
                ["conv_dw", "bn2"],
                ["conv_pwl", "bn3"],
            ),
            (Self::Timm, false) => (
                format!("blocks.{stage}.{repeat}"),
                ["", ""],
                ["conv_dw", "bn1"],
                ["conv_pw", "bn2"],
            ),
            (Self::Torchvision, true) => (
                format!("features.{}.conv", index + 1),
                ["0.0", "0.1"],
                ["1.0", "1.1"],
                ["2", "3"],
            ),
            (Self::Torchvision, false) => (
                format!("features.{}.conv", index + 1),
                ["", ""],
                ["0.0", "0.1"],
                ["1", "2"],
            ),
        };
        let child = |layer: &str| format!("{name}.{layer}");
        BlockNames {
            expand: expand.map(child),
            depthwise: depthwise.map(child),
            project: project.map(child),
            add: child("add"),
        }
    }
}

/// Names of each convolution with its batch norm, and of the sum.
struct BlockNames {
    expand: [String; 2],
    depthwise: [String; 2],
    project: [String; 2],
    add: String,
}

/// A network of the family.
#[derive(Clone, Copy)]
struct Config {
    /// None for MobileNetV2, whose channels are those of the tensors.
    lite: Option<Lite>,
    /// Whether convolutions are padded as TensorFlow does, and batch norms have its epsilon.
    is_tensorflow: bool,
}

pub(super) fn knows(name: &str) -> bool {
    named(name).is_some()
}

fn named(name: &str) -> Option<Config> {
    // timm's names have the width in hundredths, and `d` where the network is deeper.
    let is_mobile_net = name == "mobilenet_v2" || name.starts_with("mobilenetv2_");
    if is_mobile_net {
        return Some(Config {
            lite: None,
            is_tensorflow: false,
        });
    }
    let own = name.strip_prefix("tf_").unwrap_or(name);
    let lite = LITES.iter().find(|lite| lite.name == own)?;
    Some(Config {
        lite: Some(*lite),
        is_tensorflow: own != name,
    })
}

pub(super) fn select(weights: &mut Weights) -> Result<bool> {
    for (_, anchor) in Dialect::ALL {
        if weights.select(anchor)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Config {
    /// The network that has these tensors.
    fn of_tensors(weights: &Weights, dialect: Dialect) -> Result<Self> {
        let kernel = weights.dim("blocks.2.0.conv_dw.weight", 2);
        if dialect == Dialect::Torchvision || dialect == Dialect::Timm && kernel == Some(3) {
            return Ok(Self {
                lite: None,
                is_tensorflow: false,
            });
        }
        let lite = LITES.iter().find(|lite| lite.fits(weights, dialect));
        // EfficientNet itself has these tensors and more.
        let is_plain = !weights.has("blocks.1.0.se.conv_reduce.weight");
        if let (Dialect::Timm, Some(Lite { name, .. }), true) = (dialect, lite, is_plain) {
            return Err(Error::Invalid {
                message: format!(
                    "`{}` has the tensors of `{name}` and of `tf_{name}`, which pad and normalise differently",
                    weights.path().display()
                ),
                hint: Some(format!(
                    "say which it is: `--architecture tf_{name}` for weights of TensorFlow, else `--architecture {name}`"
                )),
            });
        }
        // Where none fits, the tensors that keep the smallest from it are listed.
        let lite = *lite.unwrap_or(&LITES[0]);
        Ok(Self {
            lite: Some(lite),
            is_tensorflow: true,
        })
    }

    fn name(&self) -> String {
        match self.lite {
            None => "mobilenet_v2".into(),
            Some(lite) if self.is_tensorflow => format!("tf_{}", lite.name),
            Some(lite) => lite.name.into(),
        }
    }

    /// Blocks of a stage.
    fn repeats(&self, stage: usize, weights: &Weights, dialect: Dialect) -> usize {
        match self.lite {
            Some(lite) => lite.round_repeats(stage),
            // timm has deeper ones, whose stages can be counted by their names.
            None if dialect == Dialect::Timm => weights
                .count(|block| format!("blocks.{stage}.{block}.conv_dw.weight"))
                .max(1),
            None => MOBILE_NET_V2[stage].repeats,
        }
    }

    /// Channels after a convolution: those of the table for EfficientNet-Lite, those of the tensor for MobileNetV2,
    /// which comes in any width.
    fn channels(&self, table: usize, conv: &str, weights: &Weights) -> usize {
        match self.lite {
            // No size scales these two.
            Some(_) if table == STEM || table == FEATURES => table,
            Some(lite) => lite.round_channels(table),
            None => weights.dim(&format!("{conv}.weight"), 0).unwrap_or(table),
        }
    }
}

pub(super) fn convert(
    weights: Weights,
    options: &CheckpointOptions,
    hint: &str,
) -> Result<ConvertedCheckpoint> {
    let dialect = Dialect::of_tensors(&weights);
    let config = match &options.architecture {
        Some(name) => named(name).expect("the family knows its names"),
        None => Config::of_tensors(&weights, dialect)?,
    };
    let (title, own_size) = match config.lite {
        Some(lite) => (lite.title, lite.image_size),
        None => ("mobilenet_v2", 224),
    };
    let size = options.image_size.unwrap_or(own_size);
    let stem = format!("{}.weight", dialect.stem()[0]);
    let channels = weights.dim(&stem, 1).unwrap_or(3);
    let image_shape = [channels, size, size];
    let mut network = Network {
        writer: Writer {
            graph: GraphBuilder::new(title),
            weights,
            hint,
        },
        config,
        dialect,
        size,
    };
    let end = network.write(image_shape)?;
    network.writer.finish(&config.name(), image_shape, end)
}

struct Network<'a> {
    writer: Writer<'a>,
    config: Config,
    dialect: Dialect,
    /// Rows and columns of the feature map at this point, which static padding depends on.
    size: usize,
}

impl Network<'_> {
    fn write(&mut self, image_shape: [usize; 3]) -> Result<(String, usize, bool)> {
        let x = self.writer.images(image_shape);
        self.writer.scalar("relu6.min", 0.0)?;
        self.writer.scalar("relu6.max", 6.0)?;
        let [conv, norm] = self.dialect.stem();
        let mut in_channels = self.config.channels(STEM, conv, &self.writer.weights);
        let channels = [in_channels, image_shape[0]];
        let mut x = self.conv_norm([conv, norm], &x, channels, (3, 2))?;
        x = self.relu6(norm, &x);
        let mut index = 0;
        let stages = match self.config.lite {
            Some(_) => &EFFICIENT_NET,
            None => &MOBILE_NET_V2,
        };
        for (number, stage) in stages.iter().enumerate() {
            let repeats = self
                .config
                .repeats(number, &self.writer.weights, self.dialect);
            for repeat in 0..repeats {
                let names = self.dialect.block(number, repeat, index, stage.expand > 1);
                let weights = &self.writer.weights;
                let out = self
                    .config
                    .channels(stage.channels, &names.project[0], weights);
                let widths = [in_channels, in_channels * stage.expand, out];
                let stride = if repeat == 0 { stage.stride } else { 1 };
                x = self.block(&names, &x, widths, (stage.kernel_size, stride))?;
                (index, in_channels) = (index + 1, out);
            }
        }
        let [conv, norm, pool, fc] = self.dialect.head(index);
        let width = self.config.channels(FEATURES, &conv, &self.writer.weights);
        let x = self.conv_norm([&conv, &norm], &x, [width, in_channels], (1, 1))?;
        let x = self.relu6(&norm, &x);
        let x = self.writer.graph.global_average_pool(&pool, &x);
        let x = self.writer.graph.flatten("flatten", &x);
        self.writer.head(&fc, &x, width)
    }

    /// Inverted residual: expansion, depthwise convolution, projection; with the input added where the shapes agree.
    fn block(
        &mut self,
        names: &BlockNames,
        input: &str,
        [in_channels, hidden, out_channels]: [usize; 3],
        (kernel_size, stride): (usize, usize),
    ) -> Result<String> {
        let mut x = input.to_owned();
        if hidden != in_channels {
            let [conv, norm] = names.expand.each_ref();
            x = self.conv_norm([conv, norm], &x, [hidden, in_channels], (1, 1))?;
            x = self.relu6(norm, &x);
        }
        let [conv, norm] = names.depthwise.each_ref();
        x = self.conv_norm([conv, norm], &x, [hidden, 1], (kernel_size, stride))?;
        x = self.relu6(norm, &x);
        let [conv, norm] = names.project.each_ref();
        x = self.conv_norm([conv, norm], &x, [out_channels, hidden], (1, 1))?;
        Ok(match stride == 1 && in_channels == out_channels {
            true => self.writer.graph.add(&names.add, &x, input),
            false => x,
        })
    }

    /// A convolution, depthwise where a group has one channel, and its batch norm.
    fn conv_norm(
        &mut self,
        [conv, norm]: [&str; 2],
        x: &str,
        channels: [usize; 2],
        (kernel_size, stride): (usize, usize),
    ) -> Result<String> {
        // The first convolution reads all channels of its image, also of a grey one.
        let is_depthwise = channels[1] == 1 && conv != self.dialect.stem()[0];
        let groups = if is_depthwise { channels[0] } else { 1 };
        let window = match self.config.is_tensorflow {
            true => Window::same(kernel_size, stride, self.size),
            false => Window::square(kernel_size, stride, kernel_size / 2),
        };
        self.size = self.size.div_ceil(stride);
        // Epsilon of TensorFlow's batch norm, and of PyTorch's.
        let epsilon = if self.config.is_tensorflow {
            1e-3
        } else {
            1e-5
        };
        let x = self.writer.conv(conv, x, channels, groups, window)?;
        self.writer.norm(norm, &x, channels[0], epsilon)
    }

    fn relu6(&mut self, norm: &str, x: &str) -> String {
        let name = format!("{norm}.relu6");
        self.writer.graph.clip(&name, x, "relu6.min", "relu6.max")
    }
}
