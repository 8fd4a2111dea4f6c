/* Sixteen numbers in one register, and products of 8-bit numbers by one instruction: AVX512 with VNNI.

   A 512-bit register holds 4 columns of 16 rows of weights, so that one instruction (vpdpbusd) multiplies them with 4
   activations, broadcast, and adds up in one lane a row. */

#define HOT __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c"), optimize("O3")))
#define TILE 8 /* rows of activations that share an unpacked weight; as many sums stay in registers */

static int runs_here(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

typedef __m512 Floats;

INLINE HOT Floats all(float x) { return _mm512_set1_ps(x); }
INLINE HOT Floats load(const float *from) { return _mm512_loadu_ps(from); }
INLINE HOT void store(float *to, Floats x) { _mm512_storeu_ps(to, x); }
INLINE HOT Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
INLINE HOT Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
INLINE HOT Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
INLINE HOT Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
INLINE HOT Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
INLINE HOT Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
INLINE HOT Floats smaller(Floats a, Floats b) { return _mm512_min_ps(a, b); }
INLINE HOT Floats magnitude(Floats x) { return _mm512_abs_ps(x); }
INLINE HOT Floats nearest(Floats x) { return _mm512_roundscale_ps(x, 0); }
INLINE HOT Floats times_power_of_2(Floats x, Floats power) { return _mm512_scalef_ps(x, power); }
INLINE HOT float sum(Floats x) { return _mm512_reduce_add_ps(x); }
INLINE HOT float largest(Floats x) { return _mm512_reduce_max_ps(x); }

INLINE HOT __mmask16 first(int n) { return n >= LANES ? 0xffff : (__mmask16)((1u << n) - 1); }
INLINE HOT Floats load_first(const float *from, int n) { return _mm512_maskz_loadu_ps(first(n), from); }
INLINE HOT void store_first(float *to, Floats x, int n) { _mm512_mask_storeu_ps(to, first(n), x); }

INLINE HOT Floats load_half(const uint16_t *from) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from)); }

INLINE HOT Floats load_int8(const int8_t *from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from)));
}

INLINE HOT void store_int8(int8_t *to, Floats x) {
    _mm_storeu_si128((__m128i *)to, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
}

INLINE HOT void four_sums(Floats a, Floats b, Floats c, Floats e, float *to) {
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    __m512 ce = _mm512_add_ps(_mm512_unpacklo_ps(c, e), _mm512_unpackhi_ps(c, e));
    __m512 abce = _mm512_add_ps(_mm512_shuffle_ps(ab, ce, 0x44), _mm512_shuffle_ps(ab, ce, 0xee));
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(abce), _mm512_extractf32x8_ps(abce, 1));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
}

INLINE HOT __m512i broadcast4(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
}

/* 16 outputs, the rows of `group`, for `tile` rows of activations from `row` on. */
INLINE HOT void dot(const Matrix *w, int group, const Quantized *x, int row, const int tile, Floats *acc) {
    const int blocks = w->k / BLOCK, four = w->bits == 4;
    const uint8_t *codes = w->codes + (size_t)group * blocks * (four ? 256 : 512);
    const uint16_t *scales = w->scales + (size_t)group * blocks * (four ? 2 * LANES : LANES);
    const int8_t *a = x->codes + (size_t)row * x->k;
    const float *as = x->scales + (size_t)row * blocks, *sums = x->sums + (size_t)row * blocks;
    const __m512i nibble = _mm512_set1_epi8(15);
    _Pragma("GCC unroll 8") for (int t = 0; t < tile; t++) acc[t] = _mm512_setzero_ps();
    for (int b = 0; b < blocks; b++) {
        __m512i q[8];
        __m512 d, m;
        if (four) {
            _Pragma("GCC unroll 8") for (int j = 0; j < 4; j++) {
                __m512i both = _mm512_loadu_si512(codes + j * 64);
                q[j] = _mm512_and_si512(both, nibble);
                q[j + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
            }
            d = load_half(scales), m = load_half(scales + LANES);
            codes += 256, scales += 2 * LANES;
        } else { /* codes are 128 too high */
            _Pragma("GCC unroll 8") for (int j = 0; j < 8; j++) q[j] = _mm512_loadu_si512(codes + j * 64);
            d = load_half(scales), m = _mm512_mul_ps(d, _mm512_set1_ps(-128.0f));
            codes += 512, scales += LANES;
        }
        _Pragma("GCC unroll 8") for (int t = 0; t < tile; t++) {
            const int8_t *at = a + (size_t)t * x->k + b * BLOCK;
            __m512i s = _mm512_setzero_si512(), u = _mm512_setzero_si512();
            _Pragma("GCC unroll 8") for (int j = 0; j < 8; j += 2) {
                s = _mm512_dpbusd_epi32(s, q[j], broadcast4(at + 4 * j));
                u = _mm512_dpbusd_epi32(u, q[j + 1], broadcast4(at + 4 * j + 4));
            }
            __m512 product = _mm512_cvtepi32_ps(_mm512_add_epi32(s, u));
            acc[t] = _mm512_fmadd_ps(product, _mm512_mul_ps(d, _mm512_set1_ps(as[t * blocks + b])), acc[t]);
            acc[t] = _mm512_fmadd_ps(m, _mm512_set1_ps(sums[t * blocks + b]), acc[t]);
        }
    }
}
