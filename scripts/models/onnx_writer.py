"""Writes small ONNX models with nothing but the standard library: protocol buffers by hand, floats as little-endian.

The field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""
import array
import struct

FLOAT = 1
_INT, _FLOATS, _STRING, _INTS = 2, 1, 3, 7  # AttributeProto.AttributeType


def _varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field, value):
    return _varint(field << 3) + _varint(value)


def _bytes(field, value):
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def floats(values):
    """An array of 32-bit floats as ONNX keeps it."""
    data = array.array("f", values)
    if struct.pack("=I", 1) != struct.pack("<I", 1):
        data.byteswap()
    return data.tobytes()


def tensor(name, dims, values):
    """A constant of 32-bit floats."""
    return b"".join(_number(1, d) for d in dims) + _number(2, FLOAT) + _bytes(8, name) + _bytes(9, floats(values))


def _attribute(name, value):
    head = _bytes(1, name)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, _INT)
    if isinstance(value, str):
        return head + _bytes(4, value) + _number(20, _STRING)
    if isinstance(value, list):
        return head + b"".join(_number(8, v) for v in value) + _number(20, _INTS)
    raise TypeError(f"attribute {name}: {type(value)}")


def node(op, inputs, output, **attributes):
    """One operation with one output, named as its output."""
    out = b"".join(_bytes(1, i) for i in inputs) + _bytes(2, output) + _bytes(3, output) + _bytes(4, op)
    return out + b"".join(_bytes(5, _attribute(k, v)) for k, v in attributes.items())


def _value(name, dims):
    shape = b"".join(_bytes(1, _number(1, d) if isinstance(d, int) else _bytes(2, d)) for d in dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, shape)))


def model(nodes, constants, source, target, opset=13, ir_version=7):
    """A model of one input and one output; `source` and `target` are (name, dims), a dim being a number or a name."""
    graph = b"".join(_bytes(1, n) for n in nodes) + _bytes(2, "graph")
    graph += b"".join(_bytes(5, c) for c in constants)
    graph += _bytes(11, _value(*source)) + _bytes(12, _value(*target))
    return _number(1, ir_version) + _bytes(2, "troupe") + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, opset))
