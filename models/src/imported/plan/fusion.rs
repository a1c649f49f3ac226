//! Steps that are computed in one pass over memory: ReLU with its batch norm, and activations that a file spells out.
//!
//! The last of the steps computes the whole, and those before it nothing.

use super::{Input, Plan, Step};
use crate::imported::operators::{Function, One};
use crate::imported::value::{Call, Outcome, Value};
use kernels::Activation;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

impl Plan {
    pub(super) fn fuse(&mut self) {
        let uses = Uses::of(self);
        for index in 0..self.steps.len() {
            self.clamp_in_norm(index, &uses);
            self.silu(index, &uses);
            self.gelu(index, &uses);
        }
    }

    /// Gives a batch norm the ReLU or ReLU6 that alone reads it.
    fn clamp_in_norm(&mut self, index: usize, uses: &Uses) {
        let step = &self.steps[index];
        let Some(reader) = uses.only_reader(step).filter(|_| step.norm.is_some()) else {
            return;
        };
        let clamp = clamp_from_zero(&self.steps[reader]);
        if clamp.is_some() {
            self.steps[index].clamp = clamp;
            self.steps[reader].function = Function::One(|call| call.take(0));
        }
    }

    /// x · Sigmoid(x).
    fn silu(&mut self, index: usize, uses: &Uses) -> Option<()> {
        let sigmoid = &self.steps[index];
        let x = sigmoid.is("Sigmoid").then(|| sigmoid.value(0))??;
        let product = uses.only_reader(sigmoid)?;
        if !self.is_product(product, [x, sigmoid.output()?]) {
            return None;
        }
        self.skip(&[index]);
        self.activate(product, x, silu)
    }

    /// x · (1 + Erf(x / √2)) / 2. The half stands before the product with x, behind it, or with x.
    fn gelu(&mut self, index: usize, uses: &Uses) -> Option<()> {
        let erf = &self.steps[index];
        let scaled = erf.is("Erf").then(|| erf.value(0))??;
        let scale = uses.only_writer(scaled, index, self)?;
        let x = (self.times(scale, FRAC_1_SQRT_2)).or_else(|| self.divided(scale, SQRT_2))?;
        let sum = uses.only_reader(erf)?;
        self.plus_one(sum, erf.output()?)?;
        let value = self.steps[sum].output()?; // 1 + Erf(x / √2)
        let next = uses.only_reader(&self.steps[sum])?;
        if let Some(half) = self.halved_factor(next, [x, value], uses) {
            self.skip(&[scale, index, sum, half]);
            return self.activate(next, x, gelu);
        }
        let between = self.steps[next].output()?;
        let last = uses.only_reader(&self.steps[next])?;
        let product_first =
            self.is_product(next, [x, value]) && self.times(last, 0.5) == Some(between);
        let half_first =
            self.times(next, 0.5) == Some(value) && self.is_product(last, [x, between]);
        if !(product_first || half_first) {
            return None;
        }
        self.skip(&[scale, index, sum, next]);
        self.activate(last, x, gelu)
    }

    /// The step that computes x / 2, where `product` multiplies that with `value` and nothing else reads it.
    fn halved_factor(&self, product: usize, [x, value]: [usize; 2], uses: &Uses) -> Option<usize> {
        let inputs = [0, 1].map(|slot| self.steps[product].value(slot));
        let other = inputs.into_iter().flatten().find(|input| *input != value)?;
        let half = uses.only_writer(other, product, self)?;
        let fits = self.is_product(product, [other, value]) && self.times(half, 0.5) == Some(x);
        fits.then_some(half)
    }

    fn is_product(&self, index: usize, [a, b]: [usize; 2]) -> bool {
        let step = &self.steps[index];
        let inputs = [step.value(0), step.value(1)];
        step.is("Mul") && (inputs == [Some(a), Some(b)] || inputs == [Some(b), Some(a)])
    }

    /// The value that a step multiplies by a number.
    fn times(&self, index: usize, number: f32) -> Option<usize> {
        let step = &self.steps[index];
        let with = |constant: usize, value: usize| match step.number(constant)? == number {
            true => step.value(value),
            false => None,
        };
        let found = || with(1, 0).or_else(|| with(0, 1));
        step.is("Mul").then(found).flatten()
    }

    fn divided(&self, index: usize, number: f32) -> Option<usize> {
        let step = &self.steps[index];
        (step.is("Div") && step.number(1)? == number).then(|| step.value(0))?
    }

    fn plus_one(&self, index: usize, value: usize) -> Option<()> {
        let step = &self.steps[index];
        let with = |constant: usize, own: usize| {
            step.number(constant) == Some(1.0) && step.value(own) == Some(value)
        };
        (step.is("Add") && (with(1, 0) || with(0, 1))).then_some(())
    }

    fn skip(&mut self, indices: &[usize]) {
        for index in indices {
            let step = &mut self.steps[*index];
            step.inputs.clear();
            step.outputs.clear();
            step.function = Function::Many(|_| Ok(vec![]));
        }
    }

    fn activate(&mut self, index: usize, x: usize, function: One) -> Option<()> {
        let step = &mut self.steps[index];
        step.inputs = vec![Input::Value(x)];
        step.function = Function::One(function);
        Some(())
    }
}

fn silu(call: &mut Call<'_>) -> Outcome {
    Ok(Value::Device(call.device(0)?.activate(Activation::Silu)))
}

fn gelu(call: &mut Call<'_>) -> Outcome {
    Ok(Value::Device(call.device(0)?.activate(Activation::Gelu)))
}

/// Which steps read and write each value.
struct Uses {
    readers: Vec<Vec<usize>>,
    writers: Vec<Option<usize>>,
    /// Is read from outside.
    features: usize,
}

impl Uses {
    fn of(plan: &Plan) -> Self {
        let mut uses = Self {
            readers: vec![vec![]; plan.num_values],
            writers: vec![None; plan.num_values],
            features: plan.output,
        };
        for (index, step) in plan.steps.iter().enumerate() {
            for input in &step.inputs {
                if let Input::Value(value) = input {
                    uses.readers[*value].push(index);
                }
            }
            for output in &step.outputs {
                uses.writers[*output] = Some(index);
            }
        }
        uses
    }

    /// The step that computes a value, which nothing but `reader` reads, once.
    fn only_writer(&self, value: usize, reader: usize, plan: &Plan) -> Option<usize> {
        let writer = self.writers[value]?;
        (self.only_reader(&plan.steps[writer]) == Some(reader)).then_some(writer)
    }

    /// The step that alone reads the only output of this one, once.
    fn only_reader(&self, step: &Step) -> Option<usize> {
        let output = step.output().filter(|output| *output != self.features)?;
        match self.readers[output].as_slice() {
            [reader] => Some(*reader),
            _ => None,
        }
    }
}

impl Step {
    fn is(&self, operator: &str) -> bool {
        self.node.op_type() == operator
    }

    fn output(&self) -> Option<usize> {
        match self.outputs.as_slice() {
            [output] => Some(*output),
            _ => None,
        }
    }

    fn value(&self, slot: usize) -> Option<usize> {
        match self.inputs.get(slot) {
            Some(Input::Value(value)) => Some(*value),
            _ => None,
        }
    }

    /// A constant input of one number, which adds no axis to the other input.
    fn number(&self, slot: usize) -> Option<f32> {
        match self.inputs.get(slot) {
            Some(Input::Constant(tensor)) if tensor.len() == 1 && tensor.dims.len() <= 1 => {
                Some(tensor.as_f32().ok()?[0])
            }
            _ => None,
        }
    }
}

/// The upper bound of a ReLU, ReLU6 or their like.
fn clamp_from_zero(step: &Step) -> Option<f32> {
    let bound = |name: &str, slot: usize, open: f32| match step.inputs.get(slot) {
        Some(Input::Constant(_)) => step.number(slot),
        // Up to operator set 10 the bounds are attributes.
        Some(Input::Absent) | None => {
            let attribute = step.node.attribute.iter().find(|a| a.name() == name);
            Some(attribute.map_or(open, |a| a.f()))
        }
        Some(_) => None,
    };
    match step.node.op_type() {
        "Relu" => Some(f32::INFINITY),
        "Clip" if bound("min", 1, f32::NEG_INFINITY)? == 0.0 => bound("max", 2, f32::INFINITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use onnx::proto::DataType;
    use onnx::{GraphBuilder, ModelInfo, Tensor};
    use std::path::Path;

    /// The operators that are left of these nodes with their inputs. The first computes `v0`, the last the features.
    fn left(nodes: &[(&str, [&str; 2])]) -> Vec<String> {
        let mut graph = GraphBuilder::new("net");
        graph.input("x", DataType::Float, &["batch".into()]);
        let numbers = [
            ("root", SQRT_2),
            ("inverse", FRAC_1_SQRT_2),
            ("one", 1.0),
            ("half", 0.5),
            ("third", 0.3),
        ];
        for (name, number) in numbers {
            let tensor = Tensor::f32(&[], vec![number]).unwrap();
            graph.initializer(name, &tensor);
        }
        let mut value = String::new();
        for (index, (operator, inputs)) in nodes.iter().enumerate() {
            let inputs: Vec<&str> = inputs.iter().copied().filter(|i| !i.is_empty()).collect();
            value = graph.node(operator, &format!("v{index}"), &inputs, vec![]);
        }
        graph.output(&value, "y", DataType::Float, &["batch".into()]);
        let document = graph.finish(&ModelInfo::default()).unwrap();
        let (plan, _) = Plan::read(Path::new("net.onnx"), &document, &Device::flex()).unwrap();
        let computing = plan.steps.iter().filter(|step| !step.outputs.is_empty());
        computing
            .map(|step| step.node.op_type().to_owned())
            .collect()
    }

    #[test]
    fn silu_and_each_spelling_of_gelu_is_one_step() {
        assert_eq!(
            left(&[("Sigmoid", ["x", ""]), ("Mul", ["v0", "x"])]),
            ["Mul"]
        );
        let normal = [
            ("Div", ["x", "root"]),
            ("Erf", ["v0", ""]),
            ("Add", ["v1", "one"]),
        ];
        let ends: [&[(&str, [&str; 2])]; 3] = [
            &[("Mul", ["x", "v2"]), ("Mul", ["v3", "half"])],
            &[("Mul", ["half", "v2"]), ("Mul", ["v3", "x"])],
            &[("Mul", ["x", "half"]), ("Mul", ["v3", "v2"])],
        ];
        for end in ends {
            assert_eq!(left(&[&normal, end].concat()), ["Mul"], "{end:?}");
        }
    }

    #[test]
    fn what_differs_or_is_read_elsewhere_stays() {
        let read_twice = [
            ("Sigmoid", ["x", ""]),
            ("Mul", ["x", "v0"]),
            ("Add", ["v0", "v1"]),
        ];
        let other_scale = [
            ("Mul", ["x", "third"]),
            ("Erf", ["v0", ""]),
            ("Add", ["v1", "one"]),
            ("Mul", ["x", "v2"]),
            ("Mul", ["v3", "half"]),
        ];
        let other_factor = [
            ("Mul", ["x", "inverse"]),
            ("Erf", ["v0", ""]),
            ("Add", ["v1", "one"]),
            ("Mul", ["x", "v2"]),
            ("Mul", ["v3", "third"]),
        ];
        for nodes in [&read_twice[..], &other_scale, &other_factor] {
            let all: Vec<&str> = nodes.iter().map(|(operator, _)| *operator).collect();
            assert_eq!(left(nodes), all);
        }
    }
}
