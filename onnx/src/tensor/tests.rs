use super::*;
use crate::proto::DataLocation;

fn one_of_each() -> Vec<Tensor> {
    use TensorData as D;
    let raw = |elem_type, bytes: &[u8]| D::Raw(elem_type, bytes.to_vec());
    vec![
        Tensor::new(&[2, 1], D::F32(vec![1.5, -0.0])).unwrap(),
        Tensor::new(&[2], D::F64(vec![f64::MAX, 1e-300])).unwrap(),
        Tensor::new(&[2], D::F16(vec![0x3c00, 0xfc00])).unwrap(),
        Tensor::new(&[1], D::BF16(vec![0x3f80])).unwrap(),
        Tensor::new(&[2], D::I8(vec![-128, 127])).unwrap(),
        Tensor::new(&[2], D::I16(vec![-32768, 1])).unwrap(),
        Tensor::new(&[2], D::I32(vec![i32::MIN, 1])).unwrap(),
        Tensor::new(&[], D::I64(vec![i64::MIN])).unwrap(),
        Tensor::new(&[2], D::U8(vec![255, 0])).unwrap(),
        Tensor::new(&[2], D::U16(vec![65535, 1])).unwrap(),
        Tensor::new(&[2], D::U32(vec![u32::MAX, 1])).unwrap(),
        Tensor::new(&[2], D::U64(vec![u64::MAX, 1])).unwrap(),
        Tensor::new(&[3], D::Bool(vec![true, false, true])).unwrap(),
        Tensor::new(&[2], D::String(vec![b"ants".to_vec(), vec![]])).unwrap(),
        Tensor::new(&[1], raw(DataType::Complex64, &[0; 8])).unwrap(),
        Tensor::new(&[1], raw(DataType::Complex128, &[0; 16])).unwrap(),
        Tensor::new(&[3], raw(DataType::Uint4, &[0x21, 0x03])).unwrap(),
        Tensor::new(&[5], raw(DataType::Int2, &[0xe4, 0x01])).unwrap(),
        Tensor::new(&[2], raw(DataType::Float8e5m2, &[1, 2])).unwrap(),
        Tensor::new(&[0, 4], D::F32(vec![])).unwrap(),
    ]
}

#[test]
fn every_type_comes_back_from_its_message() {
    for tensor in one_of_each() {
        let proto = tensor.to_proto("t");
        assert_eq!(proto.data_type, Some(tensor.elem_type() as i32));
        assert_eq!(Tensor::from_proto(&proto).unwrap(), tensor);
    }
}

/// A message without values.
fn message(elem_type: DataType, len: usize) -> TensorProto {
    TensorProto {
        dims: vec![len as i64],
        data_type: Some(elem_type as i32),
        ..Default::default()
    }
}

fn ints(elem_type: DataType, values: &[i32]) -> TensorProto {
    let int32_data = values.to_vec();
    TensorProto {
        int32_data,
        ..message(elem_type, values.len())
    }
}

#[test]
fn typed_fields_are_read_as_the_schema_says() {
    use TensorData as D;
    let (float_data, double_data) = (vec![2.5, -1.0], vec![2.5]);
    let (int64_data, uint64_data) = (vec![-5], vec![5]);
    let cases = [
        (
            D::F32(float_data.clone()),
            TensorProto {
                float_data,
                ..message(DataType::Float, 2)
            },
        ),
        (
            D::F64(vec![2.5]),
            TensorProto {
                double_data,
                ..message(DataType::Double, 1)
            },
        ),
        (
            D::I64(vec![-5]),
            TensorProto {
                int64_data,
                ..message(DataType::Int64, 1)
            },
        ),
        (
            D::U32(vec![5]),
            TensorProto {
                uint64_data: uint64_data.clone(),
                ..message(DataType::Uint32, 1)
            },
        ),
        (
            D::U64(vec![5]),
            TensorProto {
                uint64_data,
                ..message(DataType::Uint64, 1)
            },
        ),
        (D::F16(vec![0xbc00]), ints(DataType::Float16, &[0xbc00])),
        (D::BF16(vec![0xbf80]), ints(DataType::Bfloat16, &[0xbf80])),
        (D::I8(vec![-128]), ints(DataType::Int8, &[-128])),
        (D::U8(vec![200]), ints(DataType::Uint8, &[200])),
        (D::I16(vec![-2]), ints(DataType::Int16, &[-2])),
        (D::U16(vec![65535]), ints(DataType::Uint16, &[65535])),
        (D::I32(vec![-2, 3]), ints(DataType::Int32, &[-2, 3])),
        (D::Bool(vec![true, false]), ints(DataType::Bool, &[1, 0])),
        (
            D::Raw(DataType::Float8e4m3fn, vec![255]),
            ints(DataType::Float8e4m3fn, &[255]),
        ),
    ];
    for (data, proto) in cases {
        assert_eq!(Tensor::from_proto(&proto).unwrap().data, data);
    }
    let complex = TensorProto {
        float_data: vec![1.0, 2.0],
        ..message(DataType::Complex64, 1)
    };
    assert_eq!(Tensor::from_proto(&complex).unwrap().len(), 1);
}

/// What is expected of a message, and how it is broken.
type Broken = (&'static str, fn(&mut TensorProto));

#[test]
fn what_does_not_go_together_is_refused() {
    let good = Tensor::f32(&[2, 3], vec![0.0; 6]).unwrap().to_proto("w");
    let broken: [Broken; 9] = [
        ("shape [2, 4] asks for 8 values, found 6", |p| p.dims[1] = 4),
        ("negative size in shape [2, -3]", |p| p.dims[1] = -3),
        ("is too large", |p| p.dims = vec![i64::MAX, i64::MAX]),
        ("asks for", |p| p.dims = vec![i64::MAX]),
        ("no whole number of 4-byte values", |p| {
            p.raw_data = Some(vec![0; 23].into())
        }),
        ("unknown element type 0", |p| p.data_type = None),
        ("unknown element type 99", |p| p.data_type = Some(99)),
        ("strings cannot be raw data", |p| {
            p.data_type = Some(DataType::String as i32)
        }),
        ("value 70000 is out of range", |p| {
            *p = TensorProto {
                raw_data: None,
                int32_data: vec![70000; 6],
                ..p.clone()
            };
            p.data_type = Some(DataType::Uint16 as i32);
        }),
    ];
    for (expected, break_it) in broken {
        let mut proto = good.clone();
        break_it(&mut proto);
        let error = Tensor::from_proto(&proto).unwrap_err().to_string();
        assert!(
            error.starts_with("tensor `w` is damaged") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn values_elsewhere_are_not_taken_for_none() {
    let mut proto = Tensor::f32(&[0], vec![]).unwrap().to_proto("w");
    proto.data_location = Some(DataLocation::External as i32);
    let error = Tensor::from_proto(&proto).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("keeps its values in another file"), "{text}");
}

#[test]
fn conversions_keep_values_and_refuse_the_rest() {
    let ints = Tensor::i64(&[2], vec![3, -4]).unwrap();
    assert!(ints.as_f32().is_err());
    assert!(matches!(ints.as_i64().unwrap(), Cow::Borrowed([3, -4])));
    for data in [
        TensorData::F64(vec![0.5, -2.0]),
        TensorData::F16(vec![0x3800, 0xc000]),
        TensorData::BF16(vec![0x3f00, 0xc000]),
    ] {
        assert_eq!(
            *Tensor::new(&[2], data).unwrap().as_f32().unwrap(),
            [0.5, -2.0]
        );
    }
    for data in [
        TensorData::I8(vec![7]),
        TensorData::I16(vec![7]),
        TensorData::I32(vec![7]),
        TensorData::U8(vec![7]),
        TensorData::U16(vec![7]),
        TensorData::U32(vec![7]),
    ] {
        assert_eq!(*Tensor::new(&[1], data).unwrap().as_i64().unwrap(), [7]);
    }
}
