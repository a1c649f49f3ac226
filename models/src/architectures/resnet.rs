//! ResNet (He et al. 2016, arXiv:1512.03385), ResNeXt (arXiv:1611.05431) and wide ResNet (arXiv:1605.07146), with the
//! names of torchvision and timm, which are the same. As in both, the second convolution of a bottleneck has the
//! stride, not the first.

use super::writer::Writer;
use super::{CheckpointOptions, ConvertedCheckpoint};
use crate::checkpoint::Weights;
use crate::error::Result;
use onnx::{GraphBuilder, Window};

/// Epsilon of PyTorch's batch norm.
const EPSILON: f32 = 1e-5;
/// Channels of the first convolution and of the first stage.
const STEM: usize = 64;
/// Channels of a bottleneck's output, as a multiple of those of its stage.
const EXPANSION: usize = 4;

/// What tells the networks of the family apart.
#[derive(Clone, Copy, PartialEq)]
struct Config {
    is_bottleneck: bool,
    /// Blocks of the four stages.
    depths: [usize; 4],
    groups: usize,
    /// Channels of a group in the first stage.
    group_width: usize,
}

const fn basic(depths: [usize; 4]) -> Config {
    Config {
        is_bottleneck: false,
        depths,
        groups: 1,
        group_width: STEM,
    }
}

const fn bottleneck(depths: [usize; 4], groups: usize, group_width: usize) -> Config {
    Config {
        is_bottleneck: true,
        depths,
        groups,
        group_width,
    }
}

const NAMED: [(&str, Config); 14] = [
    ("resnet18", basic([2, 2, 2, 2])),
    ("resnet34", basic([3, 4, 6, 3])),
    ("resnet26", bottleneck([2, 2, 2, 2], 1, 64)),
    ("resnet50", bottleneck([3, 4, 6, 3], 1, 64)),
    ("resnet101", bottleneck([3, 4, 23, 3], 1, 64)),
    ("resnet152", bottleneck([3, 8, 36, 3], 1, 64)),
    ("resnext50_32x4d", bottleneck([3, 4, 6, 3], 32, 4)),
    ("resnext101_32x4d", bottleneck([3, 4, 23, 3], 32, 4)),
    ("resnext101_32x8d", bottleneck([3, 4, 23, 3], 32, 8)),
    ("resnext101_32x16d", bottleneck([3, 4, 23, 3], 32, 16)),
    ("resnext101_32x32d", bottleneck([3, 4, 23, 3], 32, 32)),
    ("resnext101_64x4d", bottleneck([3, 4, 23, 3], 64, 4)),
    ("wide_resnet50_2", bottleneck([3, 4, 6, 3], 1, 128)),
    ("wide_resnet101_2", bottleneck([3, 4, 23, 3], 1, 128)),
];

fn named(name: &str) -> Option<Config> {
    let found = NAMED.iter().find(|(known, _)| *known == name);
    found.map(|(_, config)| *config)
}

pub(super) fn knows(name: &str) -> bool {
    named(name).is_some()
}

pub(super) fn select(weights: &mut Weights) -> Result<bool> {
    weights.select("layer1.0.conv1.weight")
}

impl Config {
    /// The configuration that the tensors have.
    fn of_tensors(weights: &Weights) -> Self {
        let is_bottleneck = weights.has("layer1.0.conv3.weight");
        let dim = |axis| weights.dim("layer1.0.conv2.weight", axis).unwrap_or(STEM);
        let (width, in_group) = (dim(0), dim(1));
        let groups = if is_bottleneck {
            (width / in_group).max(1)
        } else {
            1
        };
        Self {
            is_bottleneck,
            depths: [1, 2, 3, 4].map(|stage| {
                let blocks = weights.count(|block| format!("layer{stage}.{block}.conv1.weight"));
                // A stage without blocks is no stage: its first is missing.
                blocks.max(1)
            }),
            groups,
            group_width: if is_bottleneck {
                (width / groups).max(1)
            } else {
                STEM
            },
        }
    }

    fn name(&self) -> String {
        match NAMED.iter().find(|(_, config)| config == self) {
            Some((name, _)) => (*name).to_owned(),
            None => format!(
                "ResNet of {:?} {}",
                self.depths,
                if self.is_bottleneck {
                    "bottlenecks"
                } else {
                    "basic blocks"
                }
            ),
        }
    }
}

pub(super) fn convert(
    weights: Weights,
    options: &CheckpointOptions,
    hint: &str,
) -> Result<ConvertedCheckpoint> {
    let config = match &options.architecture {
        Some(name) => named(name).expect("the family knows its names"),
        None => Config::of_tensors(&weights),
    };
    let name = config.name();
    let size = options.image_size.unwrap_or(224);
    let channels = weights.dim("conv1.weight", 1).unwrap_or(3);
    let image_shape = [channels, size, size];
    let mut writer = Writer {
        graph: GraphBuilder::new(&name),
        weights,
        hint,
    };
    let x = writer.images(image_shape);
    let x = writer.conv("conv1", &x, [STEM, channels], 1, Window::square(7, 2, 3))?;
    let x = writer.norm("bn1", &x, STEM, EPSILON)?;
    let x = writer.graph.relu("relu", &x);
    let mut x = writer
        .graph
        .max_pool("maxpool", &x, Window::square(3, 2, 1));
    let mut in_channels = STEM;
    for (stage, blocks) in config.depths.into_iter().enumerate() {
        let planes = STEM << stage;
        for block in 0..blocks {
            let block = Block {
                name: format!("layer{}.{block}", stage + 1),
                in_channels,
                planes,
                stride: if stage > 0 && block == 0 { 2 } else { 1 },
            };
            (x, in_channels) = block.write(&config, &mut writer, &x)?;
        }
    }
    let x = writer.graph.global_average_pool("avgpool", &x);
    let x = writer.graph.flatten("flatten", &x);
    let end = writer.head("fc", &x, in_channels)?;
    writer.finish(&name, image_shape, end)
}

struct Block {
    name: String,
    in_channels: usize,
    /// Channels of its stage.
    planes: usize,
    stride: usize,
}

impl Block {
    /// The block's output and its channels.
    fn write(&self, config: &Config, writer: &mut Writer, input: &str) -> Result<(String, usize)> {
        let child = |layer: &str| format!("{}.{layer}", self.name);
        let (planes, stride) = (self.planes, self.stride);
        let point = Window::square(1, 1, 0);
        let width = planes * config.group_width / STEM * config.groups;
        // Input channels of a group, groups and window of each convolution, with its output channels.
        let layers = match config.is_bottleneck {
            false => vec![
                ([planes, self.in_channels], 1, Window::square(3, stride, 1)),
                ([planes, planes], 1, Window::square(3, 1, 1)),
            ],
            true => vec![
                ([width, self.in_channels], 1, point),
                (
                    [width, width / config.groups],
                    config.groups,
                    Window::square(3, stride, 1),
                ),
                ([planes * EXPANSION, width], 1, point),
            ],
        };
        let out_channels = layers[layers.len() - 1].0[0];
        let mut x = input.to_owned();
        for (index, (channels, groups, window)) in layers.into_iter().enumerate() {
            if index > 0 {
                x = writer.graph.relu(&child(&format!("relu{index}")), &x);
            }
            let [conv, norm] = ["conv", "bn"].map(|layer| child(&format!("{layer}{}", index + 1)));
            x = writer.conv(&conv, &x, channels, groups, window)?;
            x = writer.norm(&norm, &x, channels[0], EPSILON)?;
        }
        let mut shortcut = input.to_owned();
        if stride != 1 || self.in_channels != out_channels {
            let channels = [out_channels, self.in_channels];
            let window = Window::square(1, stride, 0);
            shortcut = writer.conv(&child("downsample.0"), &shortcut, channels, 1, window)?;
            shortcut = writer.norm(&child("downsample.1"), &shortcut, out_channels, EPSILON)?;
        }
        let x = writer.graph.add(&child("add"), &x, &shortcut);
        Ok((writer.graph.relu(&child("relu"), &x), out_channels))
    }
}
