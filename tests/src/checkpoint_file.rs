//! PyTorch checkpoints, written byte by byte: the stream of pickles of PyTorch up to 1.5.

/// A tensor in single precision.
#[derive(Clone)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub values: Vec<f32>,
}

/// `torch.save(OrderedDict(tensors), FILE, _use_new_zipfile_serialization=False)`.
pub fn legacy(tensors: &[Tensor]) -> Vec<u8> {
    let mut bytes = header();
    bytes.extend(dictionary(tensors));
    let mut keys = b"\x80\x02](".to_vec();
    for key in 0..tensors.len() {
        keys.extend(text(&key.to_string()));
    }
    bytes.extend(keys);
    bytes.extend(b"e.");
    for tensor in tensors {
        bytes.extend((tensor.values.len() as u64).to_le_bytes());
        bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

/// The pickles before the dictionary: magic number, version of the format, byte order.
fn header() -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    bytes.extend(b"\x80\x02M\xe9\x03.");
    bytes.extend(b"\x80\x02}");
    bytes.extend(text("little_endian"));
    bytes.extend(b"\x88s.");
    bytes
}

/// The pickle of a dictionary of tensors; storage `i` holds tensor `i`.
fn dictionary(tensors: &[Tensor]) -> Vec<u8> {
    let mut bytes = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (key, tensor) in tensors.iter().enumerate() {
        bytes.extend(text(&tensor.name));
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        bytes.extend(text("storage"));
        bytes.extend(b"ctorch\nFloatStorage\n");
        bytes.extend(text(&key.to_string()));
        bytes.extend(text("cpu"));
        bytes.extend(int(tensor.values.len()));
        bytes.extend(b"NtQK\0(");
        let strides = (1..=tensor.shape.len()).map(|axis| tensor.shape[axis..].iter().product());
        bytes.extend(tensor.shape.iter().copied().flat_map(int));
        bytes.extend(b"t(");
        bytes.extend(strides.flat_map(int));
        bytes.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    bytes.extend(b"u.");
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![b'X'];
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

fn int(value: usize) -> Vec<u8> {
    let mut bytes = vec![b'J'];
    bytes.extend(i32::try_from(value).expect("small tensors").to_le_bytes());
    bytes
}
