"""`python -m llm.bench`: the CPU engine beside llama.cpp, on the same file and the same cores."""
