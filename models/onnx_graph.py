"""A trained network as an ONNX graph: `images (n, 784)` to `logits (n, 10)`, float32."""

import torch
from torch import nn

from models import errors
from models.classifier import Classifier
from models.datasets import CLASSES, IMAGE_PIXELS

OPSET = 20  # the first one with Gelu
OPERATORS = {nn.ReLU: "Relu", nn.Sigmoid: "Sigmoid", nn.GELU: "Gelu"}


def dump(model: Classifier) -> bytes:
    """The file's content; class names and settings are its metadata.

    Raises:
        errors.ModelFileError: the package `onnx` is not installed.
    """
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise errors.ModelFileError(
            "an ONNX graph needs the package onnx: pip install 'optuna-search-service[onnx]'"
        ) from error
    nodes, weights, flow = [], [], "images"
    for number, layer in enumerate(model.network):
        last = number == len(model.network) - 1
        out = "logits" if last else f"layer.{number}"
        if isinstance(layer, nn.Linear):
            for name in ("weight", "bias"):
                tensor: torch.Tensor = getattr(layer, name)
                weights.append(numpy_helper.from_array(tensor.detach().cpu().numpy(), f"{number}.{name}"))
            nodes.append(helper.make_node("Gemm", [flow, f"{number}.weight", f"{number}.bias"], [out], transB=1))
        else:
            nodes.append(helper.make_node(OPERATORS[type(layer)], [flow], [out]))
        flow = out
    images = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", IMAGE_PIXELS])
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", CLASSES])
    graph = helper.make_graph(nodes, "classifier", [images], [logits], weights)
    # the oldest version of the file format that knows the opset: old runtimes read it too
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    helper.set_model_props(whole, {**model.about, "classes": ", ".join(model.classes)})
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString())
