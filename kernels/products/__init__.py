"""Products with quantized matrices, and what is fused with them."""
