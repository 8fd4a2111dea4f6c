"""llama, qwen2 and qwen3 in plain torch, which faster engines are compared with."""
