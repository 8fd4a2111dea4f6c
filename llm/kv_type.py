"""How an engine keeps keys and values."""

from typing import Literal

KvType = Literal["f32", "int8"]
