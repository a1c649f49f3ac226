#!/usr/bin/env python3
"""Writes onnx/tests/every_field.onnx: a model in which every field of onnx.proto is set.

The onnx package's own descriptors say which fields there are. Reading the file and writing it again
must give the same bytes. It is no valid model. Needs onnx (made with 1.23, IR version 14).

    python3 scripts/reference/onnx_every_field.py
"""
import pathlib

import onnx

OUT = pathlib.Path(__file__).resolve().parents[2] / "onnx/tests/every_field.onnx"


def scalar(field):
    # Absent and zero differ: odd field numbers are set to zero.
    zero = field.number % 2 == 1
    kind = field.cpp_type
    if kind == field.CPPTYPE_STRING:
        text = "" if zero else f"{field.name}ü"
        return text if field.type == field.TYPE_STRING else text.encode()
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return 0.0 if zero else -1.5
    if kind == field.CPPTYPE_ENUM:
        return field.enum_type.values[0 if zero else -1].number
    if kind == field.CPPTYPE_UINT64:
        return 0 if zero else 2**63
    return 0 if zero else -7


def variants(descriptor):
    """The choices of a message's one `oneof`, or None."""
    return [f.name for f in descriptor.oneofs[0].fields] if descriptor.oneofs else [None]


def fill(message, path, choice):
    descriptor = message.DESCRIPTOR
    path = path + [descriptor.full_name]
    chosen = descriptor.fields_by_name[choice].number if choice else 0
    for field in descriptor.fields:
        if field.containing_oneof and field.name != choice:
            continue
        if descriptor.name == "TypeProto" and field.name == "denotation" and chosen > field.number:
            continue  # writers differ in the order of these two
        if field.message_type is None:
            value = scalar(field)
            if field.is_repeated:
                getattr(message, field.name).extend([value, value])
            else:
                setattr(message, field.name, value)
            continue
        # A type holds types (of sequences, maps): one level of them. No other message holds itself.
        if path.count(field.message_type.full_name) > (field.message_type.name == "TypeProto"):
            continue
        if field.is_repeated:
            for variant in variants(field.message_type):
                fill(getattr(message, field.name).add(), path, variant)
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
            fill(inner, path, variants(field.message_type)[0])


model = onnx.ModelProto()
fill(model, [], None)
OUT.write_bytes(model.SerializeToString(deterministic=True))
print(OUT.name, OUT.stat().st_size)
