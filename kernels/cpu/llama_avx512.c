/* `llama_cpu.h` for processors with AVX512-VNNI. */

#define LANES_H "lanes_avx512.h"
#define MODULE _llama_avx512
#include "llama_cpu.h"
