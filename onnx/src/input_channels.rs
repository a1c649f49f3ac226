//! Images of another number of channels: the convolution that reads them is replaced by one that mixes the new channels
//! into those that it was made for. Knows no colours.

use std::fmt;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{DataType, NodeProto, is_standard_domain};
use crate::surgery;
use crate::tensor::Tensor;
use crate::value::Dim;

/// Channels that a network was made for, from those that it is to take: `own = weights · new + shifts`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelMix {
    /// `[own][new]`
    pub weights: Vec<Vec<f64>>,
    /// `[own]`
    pub shifts: Vec<f64>,
}

impl ChannelMix {
    /// The number of channels that the network is to take.
    pub fn num_channels(&self) -> usize {
        self.weights.first().map_or(0, Vec::len)
    }

    /// Gives the network its new input: every convolution that reads the images mixes their channels itself.
    ///
    /// Without padding the values are those of the mixed images. The padding of a convolution is zero before as after
    /// the mix, and its shift is that of a pixel: where padding is read, shifts other than zero make a difference.
    ///
    /// # Errors
    /// Something else than a plain convolution with stored weights reads the images.
    pub fn apply(&self, document: &mut Document) -> Result<()> {
        let inputs = document.inputs();
        let [input] = inputs.as_slice() else {
            return Err(refused("the graph has not one input"));
        };
        if input.dims.len() != 4 {
            return Err(refused(&format!("its input is `{input}`")));
        }
        let (mut images, mut num_replaced) = (vec![input.name.clone()], 0);
        while let Some(value) = images.pop() {
            for index in surgery::consumers(document.graph(), &value) {
                let node = &document.graph().node[index];
                match node.op_type() {
                    // It is asked for height and width, or for the batch.
                    "Shape" => continue,
                    "Pad" if pads_with_zero(document, node) => {
                        let padded = node.output[0].clone();
                        let infos = &mut document.graph_mut().value_info;
                        infos.retain(|info| info.name() != padded);
                        images.push(padded);
                        continue;
                    }
                    _ => {}
                }
                let mixed = self.mixed(document, node, &value).map_err(|problem| {
                    let name = match node.name() {
                        "" => node.output.first().map_or("", String::as_str),
                        name => name,
                    };
                    let op = node.op_type();
                    refused(&format!(
                        "node `{name}` ({op}) reads its images and {problem}"
                    ))
                })?;
                self.replace(document, index, mixed);
                num_replaced += 1;
            }
        }
        if num_replaced == 0 {
            return Err(refused("no convolution reads its images"));
        }
        let mut input = input.clone();
        input.dims[1] = Dim::Fixed(self.num_channels() as i64);
        let graph = document.graph_mut();
        let own = graph.input.iter_mut().find(|own| own.name() == input.name);
        *own.expect("it is one of the graph's") = input.to_proto();
        surgery::prune(graph);
        Ok(())
    }

    /// Weight `[out, new, h, w]` and bias `[out]` of a convolution for the new channels, or the predicate that says why
    /// there are none.
    fn mixed(&self, document: &Document, node: &NodeProto, images: &str) -> Result<Mixed, String> {
        if node.op_type() != "Conv" || !is_standard_domain(node.domain()) {
            return Err("is no convolution".to_owned());
        }
        let group = node.attribute.iter().find(|a| a.name() == "group");
        if let Some(group) = group.filter(|group| group.i() != 1) {
            return Err(format!("has {} groups", group.i()));
        }
        let stored = |index: usize| {
            let name = node.input.get(index).filter(|name| !name.is_empty())?;
            let tensor = document.tensor(name).ok();
            Some(tensor.filter(|tensor| tensor.elem_type() == DataType::Float))
        };
        let (weight, bias) = match (stored(1), stored(2)) {
            (Some(Some(weight)), None) => (weight, None),
            (Some(Some(weight)), Some(Some(bias))) => (weight, Some(bias)),
            _ => return Err("has weights that are not stored in single precision".to_owned()),
        };
        let own = self.weights.len();
        if node.input[0] != images || weight.dims.len() != 4 || weight.dims[1] != own {
            let dims = &weight.dims;
            return Err(format!("has weights {dims:?}, not [out, {own}, h, w]"));
        }
        if let Some(bias) = bias.as_ref().filter(|b| b.dims != [weight.dims[0]]) {
            return Err(format!(
                "has a bias {:?} for weights {:?}",
                bias.dims, weight.dims
            ));
        }
        self.mix(&weight, bias.as_ref())
            .map_err(|error| error.to_string())
    }

    fn mix(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Mixed> {
        let (num_out, num_new) = (weight.dims[0], self.num_channels());
        let size = weight.dims[2] * weight.dims[3];
        let values = weight.as_f32()?;
        let mut mixed = vec![0.0_f64; num_out * num_new * size];
        let mut biases = match bias {
            Some(bias) => bias.as_f32()?.iter().map(|b| f64::from(*b)).collect(),
            None => vec![0.0; num_out],
        };
        let kernels = values.chunks_exact((self.weights.len() * size).max(1));
        for (out, kernel) in kernels.enumerate() {
            for ((own, weights), shift) in self.weights.iter().enumerate().zip(&self.shifts) {
                for (at, &value) in kernel[own * size..][..size].iter().enumerate() {
                    let value = f64::from(value);
                    for (new, weight) in weights.iter().enumerate() {
                        mixed[(out * num_new + new) * size + at] += weight * value;
                    }
                    biases[out] += shift * value;
                }
            }
        }
        let floats = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let dims = [num_out, num_new, weight.dims[2], weight.dims[3]];
        let has_bias = bias.is_some() || self.shifts.iter().any(|shift| *shift != 0.0);
        let bias = has_bias.then(|| Tensor::f32(&[num_out], floats(biases)));
        Ok(Mixed {
            weight: Tensor::f32(&dims, floats(mixed))?,
            bias: bias.transpose()?,
        })
    }

    fn replace(&self, document: &mut Document, index: usize, mixed: Mixed) {
        let graph = document.graph_mut();
        let base = format!("{}_mixed", graph.node[index].input[1]);
        // New names: another node may share the old constants.
        let weight = surgery::unique_name(graph, &base);
        graph.initializer.push(mixed.weight.to_proto(&weight));
        graph.node[index].input.truncate(1);
        graph.node[index].input.push(weight);
        if let Some(bias) = mixed.bias {
            let name = surgery::unique_name(graph, &format!("{base}_bias"));
            graph.initializer.push(bias.to_proto(&name));
            graph.node[index].input.push(name);
        }
    }
}

/// The mix as a part of a cache's key.
impl fmt::Display for ChannelMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channels {:?} + {:?}", self.weights, self.shifts)
    }
}

struct Mixed {
    weight: Tensor,
    /// None where the convolution has none.
    bias: Option<Tensor>,
}

/// Whether a `Pad` adds zeros, or pixels of the image.
fn pads_with_zero(document: &Document, node: &NodeProto) -> bool {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
    if attribute("mode").is_some_and(|mode| mode.s() != b"constant") {
        return true;
    }
    let is_zero = |name: &String| {
        let value = document.tensor(name);
        value.is_ok_and(|value| value.as_f32().is_ok_and(|value| value[..] == [0.0]))
    };
    let input = node.input.get(2).filter(|name| !name.is_empty());
    // Before opset 11 the value is an attribute.
    input.is_none_or(is_zero) && attribute("value").is_none_or(|value| value.f() == 0.0)
}

fn refused(problem: &str) -> Error {
    Error::unusable(
        &format!("the number of channels cannot be changed: {problem}"),
        "export the network itself for that number of channels",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphBuilder, ModelInfo, Window};

    #[test]
    fn a_bias_of_another_length_is_refused() {
        let mut graph = GraphBuilder::new("net");
        let dims = [1, 3, 8, 8].map(Dim::Fixed);
        let x = graph.input("image", DataType::Float, &dims);
        let weight = Tensor::f32(&[5, 3, 3, 3], vec![0.5; 135]).unwrap();
        let weight = graph.initializer("conv.weight", &weight);
        let bias = Tensor::f32(&[2], vec![0.0; 2]).unwrap();
        let bias = graph.initializer("conv.bias", &bias);
        let x = graph.conv("conv", &x, &weight, Some(&bias), Window::square(3, 1, 1));
        graph.output(&x, "y", DataType::Float, &[1, 5, 8, 8].map(Dim::Fixed));
        let mut document = graph.finish(&ModelInfo::default()).unwrap();
        let mix = ChannelMix {
            weights: vec![vec![1.0]; 3],
            shifts: vec![0.0; 3],
        };
        let message = mix.apply(&mut document).unwrap_err().to_string();
        assert!(
            message.ends_with("has a bias [2] for weights [5, 3, 3, 3]"),
            "{message}"
        );
    }
}
