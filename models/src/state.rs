//! State: parameters and running statistics of a module, by name. Knows no file.
//!
//! Not Burn's `store`, which saves a module alone: a checkpoint also holds optimiser and loop, in one
//! file.

use crate::error::{Error, Result};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// Every float tensor of a module by its path, such as `cells.0.conv1.weight`, in module order.
pub(crate) fn read<M: Module>(module: &M) -> Vec<(String, TensorData)> {
    let mut reader = Reader {
        path: Path::default(),
        tensors: vec![],
    };
    module.visit(&mut reader);
    reader.tensors
}

/// The module with the tensors of `state`, which must have exactly its names and shapes. `name` makes names of
/// paths.
pub(crate) fn write<M: Module>(
    module: M,
    state: &BTreeMap<String, TensorData>,
    name: impl Fn(&str) -> String,
) -> Result<M> {
    let own = read(&module).into_iter();
    let own: BTreeMap<_, _> = own
        .map(|(path, data)| (name(&path), (path, data)))
        .collect();
    let mut by_path = BTreeMap::new();
    for (name, (path, tensor)) in &own {
        let reason = match state.get(name) {
            None => format!("`{name}` is missing"),
            Some(found) if found.shape() != tensor.shape() => {
                format!(
                    "`{name}` is {:?} where {:?} is needed",
                    found.shape(),
                    tensor.shape()
                )
            }
            Some(found) => {
                by_path.insert(path.clone(), found);
                continue;
            }
        };
        return Err(Error::state_differs(&reason));
    }
    if let Some(name) = state.keys().find(|name| !own.contains_key(*name)) {
        let reason = format!("it has `{name}`, the network has not");
        return Err(Error::state_differs(&reason));
    }
    Ok(module.map(&mut Writer {
        path: Path::default(),
        state: by_path,
    }))
}

/// Number of parameters, without running statistics. Copies no tensor.
pub(crate) fn count_parameters<M: Module>(module: &M) -> usize {
    let mut counter = Counter {
        path: Path::default(),
        count: 0,
    };
    module.visit(&mut counter);
    counter.count
}

/// The module with parameter ids in module order.
///
/// Burn gives a parameter a random id, by which the optimiser finds its state. Numbers let a later
/// process load that state.
pub(crate) fn number_parameters<M: Module>(module: M) -> M {
    module.map(&mut Numberer { next: 1 })
}

/// Path of the module under traversal. The enum variant's name at the root (`Custom`, `Imported`) is not
/// part of it.
#[derive(Default)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.0.push(if container.starts_with("Enum:") {
            String::new()
        } else {
            name.into()
        });
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    pub(crate) fn name(&self) -> String {
        let parts = self.0.iter().map(String::as_str);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        parts.join(".")
    }
}

/// The methods of a visitor or mapper that keep its `path`.
macro_rules! track_path {
    () => {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
    };
}

pub(crate) use track_path;

struct Reader {
    path: Path,
    tensors: Vec<(String, TensorData)>,
}

impl ModuleVisitor for Reader {
    track_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors
            .push((self.path.name(), param.val().into_data()));
    }
}

struct Counter {
    path: Path,
    count: usize,
}

impl ModuleVisitor for Counter {
    track_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // The visitor sees running statistics, too.
        if !self.path.name().contains("running_") {
            self.count += param.val().shape().num_elements();
        }
    }
}

struct Writer<'a> {
    path: Path,
    state: BTreeMap<String, &'a TensorData>,
}

impl ModuleMapper for Writer<'_> {
    track_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(data) = self.state.get(&self.path.name()) else {
            return param;
        };
        // `map` keeps whether the parameter is configured to be trained, but the new tensor is not on the
        // tape of an autodiff device.
        let requires_grad = param.is_require_grad();
        let param = param.map(|old| Tensor::from_data((*data).clone(), &old.device()));
        if requires_grad {
            param.set_require_grad(true)
        } else {
            param
        }
    }
}

struct Numberer {
    next: u64,
}

impl ModuleMapper for Numberer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // `consume` and not `map`: that would keep the id.
        let (_, tensor, mapper) = param.consume();
        self.next += 1;
        Param::from_mapped_value(ParamId::from(self.next), tensor, mapper)
    }
}
