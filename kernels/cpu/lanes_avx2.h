/* Sixteen numbers in two registers, and products of 8-bit numbers that are added up in 16 bits: AVX2.

   The instruction (vpmaddubsw) adds two products in one lane of 16 bits, and saturates. Of weights of 4 bits, all eight such
   sums of a block fit: 8 * 2 * 15 * 127 = 30480. Those of 8 bits are multiplied as magnitudes, up to 128, by activations
   that have taken on their signs, 2 * 128 * 127 = 32512, and every sum is made a 32-bit one. */

#define HOT __attribute__((target("avx2,fma,f16c"), optimize("O3")))
#define TILE 4 /* rows of activations that share an unpacked weight; as many pairs of sums stay in registers */

static int runs_here(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

typedef struct {
    __m256 lo, hi;
} Floats;

#define OF_TWO(name, f) \
    INLINE HOT Floats name(Floats a, Floats b) { return (Floats){f(a.lo, b.lo), f(a.hi, b.hi)}; }

OF_TWO(add, _mm256_add_ps)
OF_TWO(subtract, _mm256_sub_ps)
OF_TWO(multiply, _mm256_mul_ps)
OF_TWO(divide, _mm256_div_ps)
OF_TWO(larger, _mm256_max_ps)
OF_TWO(smaller, _mm256_min_ps)

INLINE HOT Floats all(float x) { return (Floats){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
INLINE HOT Floats load(const float *from) { return (Floats){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
INLINE HOT void store(float *to, Floats x) { _mm256_storeu_ps(to, x.lo), _mm256_storeu_ps(to + 8, x.hi); }

INLINE HOT Floats multiply_add(Floats a, Floats b, Floats c) {
    return (Floats){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

INLINE HOT Floats magnitude(Floats x) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (Floats){_mm256_andnot_ps(sign, x.lo), _mm256_andnot_ps(sign, x.hi)};
}

INLINE HOT Floats nearest(Floats x) {
    return (Floats){_mm256_round_ps(x.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                    _mm256_round_ps(x.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

INLINE HOT __m256 two_to(__m256 power) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(power), _mm256_set1_epi32(127)), 23));
}

INLINE HOT Floats times_power_of_2(Floats x, Floats power) {
    return multiply(x, (Floats){two_to(power.lo), two_to(power.hi)});
}

INLINE HOT float sum(Floats x) {
    __m256 eight = _mm256_add_ps(x.lo, x.hi);
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE HOT float largest(Floats x) {
    __m256 eight = _mm256_max_ps(x.lo, x.hi);
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

INLINE HOT __m256i first(int n) { /* of 8 lanes */
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE HOT Floats load_first(const float *from, int n) {
    return (Floats){_mm256_maskload_ps(from, first(n)), _mm256_maskload_ps(from + 8, first(n - 8))};
}

INLINE HOT void store_first(float *to, Floats x, int n) {
    _mm256_maskstore_ps(to, first(n), x.lo), _mm256_maskstore_ps(to + 8, first(n - 8), x.hi);
}

INLINE HOT Floats load_half(const uint16_t *from) {
    return (Floats){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)),
                    _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + 8)))};
}

INLINE HOT Floats load_int8(const int8_t *from) {
    __m128i x = _mm_loadu_si128((const __m128i *)from);
    return (Floats){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(x, 8)))};
}

INLINE HOT void store_int8(int8_t *to, Floats x) {
    __m256i both = _mm256_packs_epi32(_mm256_cvtps_epi32(x.lo), _mm256_cvtps_epi32(x.hi)); /* 0-3, 8-11, 4-7, 12-15 */
    both = _mm256_permute4x64_epi64(both, 0xd8);
    _mm_storeu_si128((__m128i *)to, _mm_packs_epi16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
}

INLINE HOT void four_sums(Floats a, Floats b, Floats c, Floats e, float *to) {
    __m256 a8 = _mm256_add_ps(a.lo, a.hi), b8 = _mm256_add_ps(b.lo, b.hi);
    __m256 c8 = _mm256_add_ps(c.lo, c.hi), e8 = _mm256_add_ps(e.lo, e.hi);
    __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a8, b8), _mm256_unpackhi_ps(a8, b8));
    __m256 ce = _mm256_add_ps(_mm256_unpacklo_ps(c8, e8), _mm256_unpackhi_ps(c8, e8));
    __m256 abce = _mm256_add_ps(_mm256_shuffle_ps(ab, ce, 0x44), _mm256_shuffle_ps(ab, ce, 0xee));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(abce), _mm256_extractf128_ps(abce, 1)));
}

INLINE HOT __m256i broadcast4(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm256_set1_epi32(four);
}

/* Sums of 16 rows, for each of a tile's rows of activations. */
typedef struct {
    __m256i lo, hi;
} Sums;

#define EACH_ROW _Pragma("GCC unroll 4") for (int t = 0; t < tile; t++)
/* Left alone, the compiler adds up in an order of its own, for which there are not registers enough. */
#define IN_ORDER(s) __asm__("" : "+x"((s).lo), "+x"((s).hi))

INLINE HOT void add_pairs(Sums *s, __m256i lo, __m256i hi, const int8_t *activations) { /* in 16 bits */
    __m256i x = broadcast4(activations);
    s->lo = _mm256_add_epi16(s->lo, _mm256_maddubs_epi16(lo, x));
    s->hi = _mm256_add_epi16(s->hi, _mm256_maddubs_epi16(hi, x));
    IN_ORDER(*s);
}

/* A block of 32 columns in 4 bits, by the same of `tile` rows of activations. */
INLINE HOT void block_of_4_bits(const uint8_t *codes, const int8_t *a, int k, const int tile, Sums *s) {
    const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    EACH_ROW s[t].lo = s[t].hi = _mm256_setzero_si256();
    _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) {
        __m256i lo = _mm256_loadu_si256((const __m256i *)(codes + j * 64));
        __m256i hi = _mm256_loadu_si256((const __m256i *)(codes + j * 64 + 32));
        __m256i low = _mm256_and_si256(lo, nibble), high = _mm256_and_si256(hi, nibble);
        EACH_ROW add_pairs(&s[t], low, high, a + (size_t)t * k + 4 * j);
        low = _mm256_and_si256(_mm256_srli_epi16(lo, 4), nibble), high = _mm256_and_si256(_mm256_srli_epi16(hi, 4), nibble);
        EACH_ROW add_pairs(&s[t], low, high, a + (size_t)t * k + 16 + 4 * j);
    }
    EACH_ROW s[t].lo = _mm256_madd_epi16(s[t].lo, ones), s[t].hi = _mm256_madd_epi16(s[t].hi, ones);
}

INLINE HOT __m256i signed_products(__m256i magnitudes, __m256i w, __m256i x) { /* in 32 bits */
    return _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(x, w)), _mm256_set1_epi16(1));
}

/* The same in 8 bits, 128 too high. */
INLINE HOT void block_of_8_bits(const uint8_t *codes, const int8_t *a, int k, const int tile, Sums *s) {
    const __m256i high = _mm256_set1_epi8(-128);
    EACH_ROW s[t].lo = s[t].hi = _mm256_setzero_si256();
    _Pragma("GCC unroll 8") for (int j = 0; j < 8; j++) {
        __m256i lo = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(codes + j * 64)), high);
        __m256i hi = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(codes + j * 64 + 32)), high);
        __m256i lo_magnitudes = _mm256_abs_epi8(lo), hi_magnitudes = _mm256_abs_epi8(hi);
        EACH_ROW {
            __m256i x = broadcast4(a + (size_t)t * k + 4 * j);
            s[t].lo = _mm256_add_epi32(s[t].lo, signed_products(lo_magnitudes, lo, x));
            s[t].hi = _mm256_add_epi32(s[t].hi, signed_products(hi_magnitudes, hi, x));
            IN_ORDER(s[t]);
        }
    }
}

/* 16 outputs, the rows of `group`, for `tile` rows of activations from `row` on; weights of `bits`, minima only with 4. */
INLINE HOT void dot_of(const Matrix *w, int group, const Quantized *x, int row, const int tile, Floats *acc, const int bits) {
    const int blocks = w->k / BLOCK, numbers = bits == 4 ? 2 * LANES : LANES;
    const uint8_t *codes = w->codes + (size_t)group * blocks * LANES * BLOCK * bits / 8;
    const uint16_t *scales = w->scales + (size_t)group * blocks * numbers;
    const int8_t *a = x->codes + (size_t)row * x->k;
    const float *as = x->scales + (size_t)row * blocks, *sums = x->sums + (size_t)row * blocks;
    EACH_ROW acc[t] = all(0.0f);
    for (int b = 0; b < blocks; b++) {
        Sums s[TILE];
        if (bits == 4)
            block_of_4_bits(codes, a, x->k, tile, s);
        else
            block_of_8_bits(codes, a, x->k, tile, s);
        Floats d = load_half(scales);
        EACH_ROW {
            Floats products = {_mm256_cvtepi32_ps(s[t].lo), _mm256_cvtepi32_ps(s[t].hi)};
            acc[t] = multiply_add(products, multiply(d, all(as[t * blocks + b])), acc[t]);
            if (bits == 4) acc[t] = multiply_add(load_half(scales + LANES), all(sums[t * blocks + b]), acc[t]);
        }
        codes += LANES * BLOCK * bits / 8, scales += numbers, a += BLOCK;
    }
}

INLINE HOT void dot(const Matrix *w, int group, const Quantized *x, int row, const int tile, Floats *acc) {
    if (w->bits == 4)
        dot_of(w, group, x, row, tile, acc, 4);
    else
        dot_of(w, group, x, row, tile, acc, 8);
}
