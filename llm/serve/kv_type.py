"""How an engine keeps keys and values, and what runs its passes."""

from typing import Literal

KvType = Literal["f32", "int8"]

Kernel = Literal["compiled", "onnxruntime"]
