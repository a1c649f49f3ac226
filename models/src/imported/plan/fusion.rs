//! Steps that are computed in one pass over memory: ReLU with its batch norm, and activations that a file spells out.
//!
//! The last of the steps computes the whole, and those before it nothing.

use super::{Input, Plan, Step};
use crate::imported::operators::Function;
use crate::imported::value::Value;
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
        self.is_product(product, [x, sigmoid.output()?])?;
        self.skip(&[index]);
        self.activate(product, x, |call| {
            let x = call.device(0)?;
            Ok(Value::Device(x.activate(Activation::Silu)))
        });
        Some(())
    }

    /// x · (1 + Erf(x / √2)) / 2, with the half at any place.
    fn gelu(&mut self, index: usize, uses: &Uses) -> Option<()> {
        let erf = &self.steps[index];
        let scaled = erf.is("Erf").then(|| erf.value(0))??;
        let scale = *uses.writers.get(scaled)?.as_ref()?;
        if uses.only_reader(&self.steps[scale])? != index {
            return None;
        }
        let x = (self.times(scale, FRAC_1_SQRT_2)).or_else(|| self.divided(scale, SQRT_2))?;
        let sum = uses.only_reader(erf)?;
        self.plus_one(sum, erf.output()?)?;
        let mut skipped = vec![scale, index, sum];
        // The half, before or after the product with x, or with x itself.
        let mut last = sum;
        let mut is_halved = false;
        let mut is_multiplied = false;
        while !(is_halved && is_multiplied) {
            let value = self.steps[last].output()?;
            let next = uses.only_reader(&self.steps[last])?;
            if !is_halved && self.times(next, 0.5) == Some(value) {
                is_halved = true;
            } else if !is_multiplied && self.is_product(next, [x, value]).is_some() {
                is_multiplied = true;
            } else if !is_multiplied && !is_halved {
                let half = self.half_of(x, next, value, uses)?;
                skipped.push(half);
                (is_halved, is_multiplied) = (true, true);
            } else {
                return None;
            }
            skipped.push(last);
            last = next;
        }
        self.skip(&skipped);
        self.activate(last, x, |call| {
            let x = call.device(0)?;
            Ok(Value::Device(x.activate(Activation::Gelu)))
        });
        Some(())
    }

    /// The step that computes x / 2, where `product` multiplies that with `value` and nothing else reads it.
    fn half_of(&self, x: usize, product: usize, value: usize, uses: &Uses) -> Option<usize> {
        let inputs = [0, 1].map(|slot| self.steps[product].value(slot));
        let other = inputs.into_iter().flatten().find(|input| *input != value)?;
        self.is_product(product, [other, value])?;
        let half = *uses.writers.get(other)?.as_ref()?;
        (self.times(half, 0.5) == Some(x)).then_some(())?;
        (uses.only_reader(&self.steps[half]) == Some(product)).then_some(half)
    }

    fn is_product(&self, index: usize, factors: [usize; 2]) -> Option<()> {
        let step = &self.steps[index];
        let inputs = [step.value(0)?, step.value(1)?];
        let [a, b] = factors;
        (step.is("Mul") && (inputs == [a, b] || inputs == [b, a])).then_some(())
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

    fn activate(&mut self, index: usize, x: usize, function: One) {
        let step = &mut self.steps[index];
        step.inputs = vec![Input::Value(x)];
        step.function = Function::One(function);
    }
}

type One = fn(&mut crate::imported::value::Call<'_>) -> crate::imported::value::Outcome;

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

    /// A constant input of one number.
    fn number(&self, slot: usize) -> Option<f32> {
        match self.inputs.get(slot) {
            Some(Input::Constant(tensor)) if tensor.len() == 1 => Some(tensor.as_f32().ok()?[0]),
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
