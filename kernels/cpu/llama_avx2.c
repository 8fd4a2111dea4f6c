/* `llama_cpu.h` for processors with AVX2. */

#define LANES_H "lanes_avx2.h"
#define MODULE _llama_avx2
#include "llama_cpu.h"
