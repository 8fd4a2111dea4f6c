/* One pass of a llama-like model over a few rows or a long prompt, for x86 processors.

   Bytes moved: every weight once a pass, in the bits of its file (Q4_1: 5, Q8_0: 8.5 a weight), and the keys and
   values of the tokens attended to. That, at the memory's speed, is what a token takes; everything else hides behind it.

   Weights lie in groups of 16 rows by 32 columns, 4 columns of the 16 rows side by side: a vector of them is multiplied by 4
   activations, broadcast, and added up in one lane a row. So there is no sum across lanes, and the float scales of a block
   are applied to 16 rows at once. Activations are int8 in blocks of 32.

   A row's result does not depend on the rows beside it, to the bit: drafts can be verified in one pass. So each row may
   have a low-rank adapter of its own: y += b (a x), where `a` is a matrix as the others are, and `b` is float16. What a
   product needs of `a x` is computed by its first tickets: who takes a later one multiplies first, and waits then, if at all.

   Threads share the work by taking tickets, so that a core that another program holds delays a pass by little.

   The file that includes this one names its MODULE, and in LANES_H the file that says what 16 lanes are on its processors: the
   type Floats, what is done with it here, `dot`, TILE, HOT for functions and whether the processor `runs_here`. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(_WIN32)

#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 16
#define BLOCK 32
#define MAX_THREADS 16
#define MOST_RANKS 768 /* of an adapter, together in one product */

/* ---- the interface, mirrored in llama_cpu.py ---- */

typedef struct {
    const uint8_t *codes;   /* [n / 16, k / 32, 16 * 32 * bits / 8] */
    const uint16_t *scales; /* float16 [n / 16, k / 32, 16], 4 bits: scales, then minima, [.., 2, 16] */
    int32_t n, k, bits;     /* n is the number of rows that count; the last group may have more */
} Matrix;

typedef struct {
    Matrix q, k, v, out, gate, up, down;
    const float *attn_norm, *ffn_norm;
    const float *q_bias, *k_bias, *v_bias; /* or NULL */
    const float *q_norm, *k_norm;          /* or NULL */
    void *keys, *values;                   /* [slots, kv heads, context, head dim], float or int8 */
    const float *key_scales, *value_scales; /* [kv heads, head dim] of int8, or NULL */
} Layer;

typedef struct { /* what an adapter adds to the matrices of a product, which read the same input */
    Matrix a;             /* 8 bits, of all of them one below the other: n is the sum of their ranks, or 0 */
    const float *scales;  /* [n, rounded up to whole groups]: of what comes out of `a` */
    const uint16_t *b[3]; /* float16 [rows / 16, rank, 16] */
    int32_t rank[3];      /* or 0 */
} LowRank;

enum { QKV, OUT, GATE_UP, DOWN, HEAD };

typedef struct {
    LowRank of[HEAD];
} Adapter; /* of one layer */

typedef struct {
    int32_t layers, width, heads, kv_heads, head_dim, hidden, vocabulary, context, interleaved, int8_kv, max_rows;
    float norm_eps;
    const Layer *layer;
    Matrix embedding, head;
    const float *output_norm, *cos, *sin; /* [width]; [context, head dim / 2] */
} Model;

/* ---- threads ---- */

typedef struct Pool Pool;
typedef void (*Work)(void *context, int item, int thread);

struct Pool {
    atomic_ullong state; /* epoch << 40 | items << 20 | next ticket */
    char apart[56];
    atomic_int done;
    Work work;
    void *context;
    atomic_int asleep, quit, ready;
    int threads;
    pthread_t thread[MAX_THREADS];
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

#define TICKETS 0xfffffULL
#define SPINS 4000 /* about 50 us: longer than the serial part of a pass, shorter than a user's patience */

static int take(Pool *p) { /* an item, or -1 */
    unsigned long long s = atomic_load_explicit(&p->state, memory_order_acquire);
    if ((s & TICKETS) >= ((s >> 20) & TICKETS)) return -1;
    s = atomic_fetch_add_explicit(&p->state, 1, memory_order_acq_rel);
    return (s & TICKETS) < ((s >> 20) & TICKETS) ? (int)(s & TICKETS) : -1;
}

static void *serve(void *argument) {
    Pool *p = argument;
    int self = atomic_fetch_add(&p->ready, 1) + 1, idle = 0;
    while (!atomic_load_explicit(&p->quit, memory_order_relaxed)) {
        int item = take(p);
        if (item >= 0) {
            p->work(p->context, item, self);
            atomic_fetch_add_explicit(&p->done, 1, memory_order_release);
            idle = 0;
        } else if (++idle < SPINS) {
            _mm_pause();
        } else {
            pthread_mutex_lock(&p->mutex);
            atomic_fetch_add(&p->asleep, 1);
            unsigned long long s = atomic_load(&p->state);
            if ((s & TICKETS) >= ((s >> 20) & TICKETS) && !atomic_load(&p->quit))
                pthread_cond_wait(&p->wake, &p->mutex);
            atomic_fetch_sub(&p->asleep, 1);
            pthread_mutex_unlock(&p->mutex);
            idle = 0;
        }
    }
    return NULL;
}

static void parallel(Pool *p, Work work, void *context, int items) {
    if (p->threads == 1 || items == 1) {
        for (int i = 0; i < items; i++) work(context, i, 0);
        return;
    }
    p->work = work;
    p->context = context;
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    unsigned long long epoch = (atomic_load_explicit(&p->state, memory_order_relaxed) >> 40) + 1;
    atomic_store(&p->state, epoch << 40 | (unsigned long long)items << 20);
    if (atomic_load(&p->asleep)) {
        pthread_mutex_lock(&p->mutex);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->mutex);
    }
    int item, spins = 0;
    while ((item = take(p)) >= 0) {
        work(context, item, 0);
        atomic_fetch_add_explicit(&p->done, 1, memory_order_release);
    }
    while (atomic_load_explicit(&p->done, memory_order_acquire) < items) {
        _mm_pause();
        if (++spins > SPINS) sched_yield(); /* the core may be needed by the thread that is waited for */
    }
}

/* ---- arithmetic ---- */

/* int8 activations of `rows`: codes [k], then for each block its scale and its scaled sum. */
typedef struct {
    int8_t *codes;
    float *scales, *sums; /* [rows, k / 32] */
    int k;
} Quantized;

#include LANES_H

INLINE HOT Floats exponential(Floats x) { /* relative error below 2e-7 from -87 to 88; Cephes' polynomial */
    x = larger(smaller(x, all(88.0f)), all(-87.0f));
    Floats n = nearest(multiply(x, all(1.44269504f)));
    Floats r = multiply_add(n, all(-0.693359375f), x);
    r = multiply_add(n, all(2.12194440e-4f), r);
    Floats y = all(1.9875691500e-4f);
    y = multiply_add(y, r, all(1.3981999507e-3f));
    y = multiply_add(y, r, all(8.3334519073e-3f));
    y = multiply_add(y, r, all(4.1665795894e-2f));
    y = multiply_add(y, r, all(1.6666665459e-1f));
    y = multiply_add(y, r, all(5.0000001201e-1f));
    y = add(multiply_add(y, multiply(r, r), r), all(1.0f));
    return times_power_of_2(y, n);
}

HOT static void quantize(const float *x, Quantized q, int row) {
    int blocks = q.k / BLOCK;
    for (int b = 0; b < blocks; b++) {
        Floats lo = load(x + b * BLOCK), hi = load(x + b * BLOCK + LANES);
        float most = largest(larger(magnitude(lo), magnitude(hi)));
        float scale = most / 127.0f;
        Floats inverse = all(most > 0 ? 127.0f / most : 0.0f);
        lo = nearest(multiply(lo, inverse)), hi = nearest(multiply(hi, inverse));
        int8_t *to = q.codes + (size_t)row * q.k + b * BLOCK;
        store_int8(to, lo), store_int8(to + LANES, hi);
        q.scales[row * blocks + b] = scale;
        q.sums[row * blocks + b] = scale * sum(add(lo, hi));
    }
}

HOT static void rms_norm(const float *x, const float *weight, float eps, int n, float *out) {
    Floats squares = all(0.0f);
    for (int i = 0; i < n; i += LANES) squares = multiply_add(load(x + i), load(x + i), squares);
    Floats factor = all(1.0f / sqrtf(sum(squares) / (float)n + eps));
    for (int i = 0; i < n; i += LANES) store(out + i, multiply(multiply(load(x + i), factor), load(weight + i)));
}

/* ---- matrix products, in parallel over groups of rows ---- */

enum { STORE, ADD, GATE };

typedef struct {
    int row, rows, group; /* of the adapter's `a` that these rows share */
} LowItem;

typedef struct {
    const Matrix *matrix[3];
    const float *bias[3];
    float *out[3];
    int stride[3]; /* of `out`, from one row of activations to the next */
    int matrices, mode, rows, per_item;
    Quantized x;
    const Adapter *const *adapters; /* [rows], of this layer on, each NULL if the row has none; or NULL */
    int layer, kind, lows;
    float *low; /* [rows, MOST_RANKS]: a x */
    LowItem *low_items;
    atomic_int lows_done;
} Product;

INLINE const LowRank *low_of(const Product *p, int row) { /* NULL: nothing is added */
    if (!p->lows || !p->adapters[row]) return NULL;
    const LowRank *low = &p->adapters[row][p->layer].of[p->kind];
    return low->a.n ? low : NULL;
}

/* y[tile] += b (a x), of rows that have the same adapter */
INLINE HOT void add_low(const Product *p, const LowRank *low, int i, int group, int row, const int tile, Floats *y) {
    const int rank = low->rank[i];
    const uint16_t *b = low->b[i] + (size_t)group * rank * LANES;
    const float *x = p->low + (size_t)row * MOST_RANKS;
    for (int j = 0; j < i; j++) x += low->rank[j];
    Floats odd[TILE]; /* two sums, as each waits for itself */
    for (int t = 0; t < tile; t++) odd[t] = all(0.0f);
    int r = 0;
    for (; r + 2 <= rank; r += 2) {
        Floats first = load_half(b + r * LANES), second = load_half(b + (r + 1) * LANES);
        _Pragma("GCC unroll 8") for (int t = 0; t < tile; t++) {
            y[t] = multiply_add(first, all(x[t * MOST_RANKS + r]), y[t]);
            odd[t] = multiply_add(second, all(x[t * MOST_RANKS + r + 1]), odd[t]);
        }
    }
    for (int t = 0; t < tile; t++) {
        if (r < rank) y[t] = multiply_add(load_half(b + r * LANES), all(x[t * MOST_RANKS + r]), y[t]);
        y[t] = add(y[t], odd[t]);
    }
}

static void wait_for_lows(Product *p) {
    for (int spins = 0; atomic_load_explicit(&p->lows_done, memory_order_acquire) < p->lows;) {
        _mm_pause();
        if (++spins > SPINS) sched_yield();
    }
}

/* What adapters add to matrix `i`, for each of the rows that have one. */
INLINE HOT void adapt(const Product *p, int i, int group, int row, const int tile, Floats *y) {
    const LowRank *low = low_of(p, row);
    int same = 1;
    for (int t = 1; t < tile; t++) same &= low_of(p, row + t) == low;
    if (same && low && low->rank[i]) add_low(p, low, i, group, row, tile, y);
    for (int t = 0; !same && t < tile; t++)
        if ((low = low_of(p, row + t)) && low->rank[i]) add_low(p, low, i, group, row + t, 1, y + t);
}

INLINE HOT void finish(Product *p, int i, int group, int row, const int tile, Floats *acc, Floats *up) {
    int from = group * LANES, left = p->matrix[i]->n - from, n = left < LANES ? left : LANES;
    if (p->lows) {
        wait_for_lows(p);
        adapt(p, i, group, row, tile, acc);
        if (p->mode == GATE) adapt(p, 1, group, row, tile, up);
    }
    for (int t = 0; t < tile; t++) {
        float *to = p->out[i] + (size_t)(row + t) * p->stride[i] + from;
        Floats y = acc[t];
        if (p->bias[i]) y = add(y, load_first(p->bias[i] + from, n));
        if (p->mode == ADD) y = add(y, load_first(to, n));
        if (p->mode == GATE) { /* silu(gate) * up */
            Floats e = exponential(subtract(all(0.0f), y));
            y = multiply(divide(y, add(e, all(1.0f))), up[t]);
        }
        store_first(to, y, n);
    }
}

#define LOW_TILE(T)                                                                                       \
    {                                                                                                     \
        Floats acc[T];                                                                                    \
        dot(&low->a, item->group, &p->x, row, T, acc);                                                    \
        for (int t = 0; t < T; t++)                                                                       \
            store(p->low + (size_t)(row + t) * MOST_RANKS + item->group * LANES, multiply(acc[t], scales)); \
        row += T;                                                                                         \
    }

HOT static void low_item(Product *p, const LowItem *item) {
    const LowRank *low = low_of(p, item->row);
    Floats scales = load(low->scales + item->group * LANES);
    int row = item->row, end = item->row + item->rows;
    while (end - row >= TILE) LOW_TILE(TILE)
    while (row < end) LOW_TILE(1)
    atomic_fetch_add_explicit(&p->lows_done, 1, memory_order_release);
}

#define WITH_TILE(T)                                                          \
    {                                                                         \
        Floats acc[T], up[T];                                                 \
        dot(p->matrix[i], group, &p->x, row, T, acc);                         \
        if (p->mode == GATE)                                                  \
            dot(p->matrix[1], group, &p->x, row, T, up);                      \
        else                                                                  \
            memset(up, 0, sizeof up);                                         \
        finish(p, i, group, row, T, acc, up);                                 \
        row += T;                                                             \
    }

HOT static void product_item(void *context, int item, int thread) {
    Product *p = context;
    (void)thread;
    if (item < p->lows) {
        low_item(p, &p->low_items[item]);
        return;
    }
    int group = (item - p->lows) * p->per_item, i = 0;
    for (int end = group + p->per_item; group < end; group++) {
        int at = group;
        for (i = 0; i < p->matrices; i++) {
            int groups = (p->matrix[i]->n + LANES - 1) / LANES;
            if (at < groups) break;
            at -= groups;
        }
        if (i == p->matrices) return;
        int row = 0, global = group;
        group = at;
        while (p->rows - row >= TILE) WITH_TILE(TILE)
#if TILE > 4
        while (p->rows - row >= 4) WITH_TILE(4)
#endif
        while (p->rows - row >= 2) WITH_TILE(2)
        while (row < p->rows) WITH_TILE(1)
        group = global;
    }
}

/* The work of `a x`: neighbouring rows of one adapter together, up to so many, 16 ranks at a time. */
#define LOW_ROWS 32
static void find_lows(Product *p) {
    int count = 0;
    p->lows = 1; /* for low_of */
    for (int row = 0, rows; row < p->rows; row += rows) {
        const LowRank *low = low_of(p, row);
        for (rows = 1; rows < LOW_ROWS && row + rows < p->rows && p->adapters[row + rows] == p->adapters[row];) rows++;
        for (int group = 0; low && group * LANES < low->a.n; group++) p->low_items[count++] = (LowItem){row, rows, group};
    }
    p->lows = count;
}

static void product(Pool *pool, Product *p) {
    int groups = 0;
    if (p->adapters) find_lows(p);
    if (p->mode == GATE) p->matrices = 1; /* the second is read beside the first */
    for (int i = 0; i < p->matrices; i++) groups += (p->matrix[i]->n + LANES - 1) / LANES;
    p->per_item = groups / (pool->threads * 4);
    if (p->per_item < 1) p->per_item = 1;
    if (p->per_item > 64) p->per_item = 64;
    parallel(pool, product_item, p, p->lows + (groups + p->per_item - 1) / p->per_item);
}

/* ---- a pass ---- */

typedef struct {
    const Model *m;
    Pool *pool;
    float *x, *normed, *q, *k, *v, *attention, *gated, *scores; /* [rows, ..]; scores [threads, heads / kv heads, context] */
    Quantized quantized[3];                                     /* of `normed`, `attention`, `gated` */
    const Adapter *const *adapters;                             /* see Product */
    float *low;
    LowItem *low_items;
} State;

typedef struct {
    State *s;
    const Layer *layer;
    const int64_t *tokens;
    const int32_t *slots, *positions;
    const float *weight, *from;
    Quantized to;
    int per_row;
} Rows;

HOT static void embed_row(const Matrix *e, int64_t token, float *out) {
    int blocks = e->k / BLOCK, group = (int)(token / LANES), lane = (int)(token % LANES), four = e->bits == 4;
    for (int b = 0; b < blocks; b++) {
        size_t at = (size_t)group * blocks + b;
        const uint8_t *codes = e->codes + at * (four ? 256 : 512);
        const uint16_t *scales = e->scales + at * (four ? 2 * LANES : LANES) + lane;
        float d = _cvtsh_ss(scales[0]), m = four ? _cvtsh_ss(scales[LANES]) : -128.0f * d;
        for (int i = 0; i < BLOCK; i++) {
            int half = four ? i % 16 : i;
            int code = codes[half / 4 * 64 + lane * 4 + half % 4];
            if (four) code = i < 16 ? code & 15 : code >> 4;
            out[b * BLOCK + i] = d * (float)code + m;
        }
    }
}

static void embed_item(void *context, int row, int thread) {
    Rows *r = context;
    (void)thread;
    embed_row(&r->s->m->embedding, r->tokens[row], r->s->x + (size_t)row * r->s->m->width);
}

static void norm_item(void *context, int row, int thread) { /* norm, then int8 */
    Rows *r = context;
    const Model *m = r->s->m;
    float *out = r->s->normed + (size_t)row * m->width;
    (void)thread;
    rms_norm(r->from + (size_t)row * m->width, r->weight, m->norm_eps, m->width, out);
    quantize(out, r->to, row);
}

static void quantize_item(void *context, int row, int thread) {
    Rows *r = context;
    (void)thread;
    quantize(r->from + (size_t)row * r->to.k, r->to, row);
}

static void rotate(float *head, const float *cos, const float *sin, int half, int interleaved) {
    for (int i = 0; i < half; i++) {
        float *a = head + (interleaved ? 2 * i : i), *b = head + (interleaved ? 2 * i + 1 : i + half);
        float x = *a * cos[i] - *b * sin[i], y = *b * cos[i] + *a * sin[i];
        *a = x, *b = y;
    }
}

HOT static void keep(const float *from, void *to, const float *scales, int n) { /* into the cache, as float or int8 */
    if (!scales) {
        memcpy(to, from, (size_t)n * sizeof(float));
        return;
    }
    for (int i = 0; i < n; i += LANES) store_int8((int8_t *)to + i, divide(load(from + i), load(scales + i)));
}

/* Rotate q and k of one row, and put k and v where they belong. */
static void write_item(void *context, int row, int thread) {
    Rows *r = context;
    const Model *m = r->s->m;
    const Layer *l = r->layer;
    int d = m->head_dim, half = d / 2, pos = r->positions[row];
    const float *cos = m->cos + (size_t)pos * half, *sin = m->sin + (size_t)pos * half;
    float *q = r->s->q + (size_t)row * m->heads * d, *k = r->s->k + (size_t)row * m->kv_heads * d;
    float *v = r->s->v + (size_t)row * m->kv_heads * d;
    size_t element = m->int8_kv ? 1 : sizeof(float);
    (void)thread;
    for (int h = 0; h < m->heads; h++) {
        if (l->q_norm) rms_norm(q + h * d, l->q_norm, m->norm_eps, d, q + h * d);
        rotate(q + h * d, cos, sin, half, m->interleaved);
    }
    for (int h = 0; h < m->kv_heads; h++) {
        if (l->k_norm) rms_norm(k + h * d, l->k_norm, m->norm_eps, d, k + h * d);
        rotate(k + h * d, cos, sin, half, m->interleaved);
        size_t at = (((size_t)r->slots[row] * m->kv_heads + h) * m->context + pos) * d * element;
        keep(k + h * d, (char *)l->keys + at, m->int8_kv ? l->key_scales + h * d : NULL, d);
        keep(v + h * d, (char *)l->values + at, m->int8_kv ? l->value_scales + h * d : NULL, d);
    }
}

INLINE HOT Floats load_kv(const void *base, size_t i, const int int8) {
    return int8 ? load_int8((const int8_t *)base + i) : load((const float *)base + i);
}

/* scores[t] = q . keys[t], four tokens at a time */
INLINE HOT void score(const float *q, const void *keys, int tokens, int d, float *scores, const int int8) {
    int t = 0;
    for (; t + 4 <= tokens; t += 4) {
        Floats a = all(0.0f), b = a, c = a, e = a;
        for (int i = 0; i < d; i += LANES) {
            Floats x = load(q + i);
            a = multiply_add(x, load_kv(keys, (size_t)t * d + i, int8), a);
            b = multiply_add(x, load_kv(keys, (size_t)(t + 1) * d + i, int8), b);
            c = multiply_add(x, load_kv(keys, (size_t)(t + 2) * d + i, int8), c);
            e = multiply_add(x, load_kv(keys, (size_t)(t + 3) * d + i, int8), e);
        }
        four_sums(a, b, c, e, scores + t);
    }
    for (; t < tokens; t++) {
        Floats a = all(0.0f);
        for (int i = 0; i < d; i += LANES) a = multiply_add(load(q + i), load_kv(keys, (size_t)t * d + i, int8), a);
        scores[t] = sum(a);
    }
}

/* Exponentials in place; returns their sum. Scores behind the last, up to whole vectors, are written over. */
HOT static float softmax(float *scores, int tokens) {
    Floats high = all(-INFINITY), total = all(0.0f);
    for (int t = tokens; t % LANES; t++) scores[t] = -INFINITY;
    for (int t = 0; t < tokens; t += LANES) high = larger(high, load(scores + t));
    high = all(largest(high));
    for (int t = 0; t < tokens; t += LANES) {
        Floats e = exponential(subtract(load(scores + t), high));
        total = add(total, e);
        store(scores + t, e);
    }
    return sum(total);
}

/* out[d] = sum over tokens of p[t] * values[t], 64 channels at a time */
INLINE HOT void mix(const float *p, const void *values, int tokens, int d, float factor, const float *scales, float *out, const int int8) {
    for (int i = 0; i < d; i += 4 * LANES) {
        int wide = (d - i) / LANES < 4 ? (d - i) / LANES : 4;
        Floats acc[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
        if (wide == 4)
            for (int t = 0; t < tokens; t++)
                _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++)
                    acc[j] = multiply_add(all(p[t]), load_kv(values, (size_t)t * d + i + j * LANES, int8), acc[j]);
        else
            for (int t = 0; t < tokens; t++)
                for (int j = 0; j < wide; j++)
                    acc[j] = multiply_add(all(p[t]), load_kv(values, (size_t)t * d + i + j * LANES, int8), acc[j]);
        for (int j = 0; j < wide; j++) {
            Floats y = multiply(acc[j], all(factor));
            if (int8) y = multiply(y, load(scales + i + j * LANES));
            store(out + i + j * LANES, y);
        }
    }
}

static size_t whole_lanes(int n) { return ((size_t)n + LANES - 1) / LANES * LANES; }

HOT static void attend_item(void *context, int item, int thread) { /* one query head of one row */
    Rows *r = context;
    const Model *m = r->s->m;
    const Layer *l = r->layer;
    int d = m->head_dim, row = item / m->heads, h = item % m->heads, kv = h / (m->heads / m->kv_heads);
    int tokens = r->positions[row] + 1;
    size_t at = ((size_t)r->slots[row] * m->kv_heads + kv) * m->context * d * (m->int8_kv ? 1 : sizeof(float));
    const char *keys = (const char *)l->keys + at, *values = (const char *)l->values + at;
    float *scores = r->s->scores + (size_t)thread * whole_lanes(m->context);
    float *q = r->s->q + ((size_t)row * m->heads + h) * d, *out = r->s->attention + ((size_t)row * m->heads + h) * d;
    Floats scale = all(1.0f / sqrtf((float)d));
    for (int i = 0; i < d; i += LANES) { /* the scales of int8 keys go into the query */
        Floats x = multiply(load(q + i), scale);
        if (m->int8_kv) x = multiply(x, load(l->key_scales + kv * d + i));
        store(q + i, x);
    }
    if (m->int8_kv) {
        score(q, keys, tokens, d, scores, 1);
        float sum = softmax(scores, tokens);
        mix(scores, values, tokens, d, 1.0f / sum, l->value_scales + kv * d, out, 1);
    } else {
        score(q, keys, tokens, d, scores, 0);
        float sum = softmax(scores, tokens);
        mix(scores, values, tokens, d, 1.0f / sum, NULL, out, 0);
    }
}

static void each_row(Pool *pool, Work work, Rows *rows, int count) {
    if (count < 4)
        for (int i = 0; i < count; i++) work(rows, i, 0);
    else
        parallel(pool, work, rows, count);
}

static void adapted(State *s, Product *p, const Layer *l, int kind) {
    p->adapters = s->adapters, p->layer = (int)(l - s->m->layer), p->kind = kind;
    p->low = s->low, p->low_items = s->low_items;
    product(s->pool, p);
}

static void block(State *s, const Layer *l, Rows *r, int rows) {
    const Model *m = s->m;
    int qd = m->heads * m->head_dim, kd = m->kv_heads * m->head_dim;
    r->layer = l;
    r->from = s->x, r->weight = l->attn_norm, r->to = s->quantized[0];
    each_row(s->pool, norm_item, r, rows);
    Product qkv = {{&l->q, &l->k, &l->v}, {l->q_bias, l->k_bias, l->v_bias}, {s->q, s->k, s->v}, {qd, kd, kd}, 3, STORE, rows, 0, s->quantized[0]};
    adapted(s, &qkv, l, QKV);
    each_row(s->pool, write_item, r, rows);
    parallel(s->pool, attend_item, r, rows * m->heads);
    r->from = s->attention, r->to = s->quantized[1];
    each_row(s->pool, quantize_item, r, rows);
    Product out = {{&l->out}, {NULL}, {s->x}, {m->width}, 1, ADD, rows, 0, s->quantized[1]};
    adapted(s, &out, l, OUT);
    r->from = s->x, r->weight = l->ffn_norm, r->to = s->quantized[0];
    each_row(s->pool, norm_item, r, rows);
    Product gate = {{&l->gate, &l->up}, {NULL}, {s->gated}, {m->hidden}, 1, GATE, rows, 0, s->quantized[0]};
    adapted(s, &gate, l, GATE_UP);
    r->from = s->gated, r->to = s->quantized[2];
    each_row(s->pool, quantize_item, r, rows);
    Product down = {{&l->down}, {NULL}, {s->x}, {m->width}, 1, ADD, rows, 0, s->quantized[2]};
    adapted(s, &down, l, DOWN);
}

/* ---- exported ---- */

int llama_supported(void) { return runs_here(); }

static void *floats(size_t n) { return aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64); }

void llama_close(State *s) {
    if (!s) return;
    if (s->pool) {
        pthread_mutex_lock(&s->pool->mutex);
        atomic_store(&s->pool->quit, 1);
        pthread_cond_broadcast(&s->pool->wake);
        pthread_mutex_unlock(&s->pool->mutex);
        for (int i = 1; i < s->pool->threads; i++) pthread_join(s->pool->thread[i], NULL);
        free(s->pool);
    }
    float *all[] = {s->x, s->normed, s->q, s->k, s->v, s->attention, s->gated, s->scores, s->low};
    free(s->low_items);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    for (int i = 0; i < 3; i++) free(s->quantized[i].codes), free(s->quantized[i].scales), free(s->quantized[i].sums);
    free(s);
}

State *llama_open(const Model *m, int threads) { /* NULL: no memory, or too many threads */
    State *s = calloc(1, sizeof(State));
    if (!s || threads < 1 || threads > MAX_THREADS) return free(s), NULL;
    size_t rows = (size_t)m->max_rows, qd = (size_t)m->heads * m->head_dim, kd = (size_t)m->kv_heads * m->head_dim;
    s->m = m;
    s->x = floats(rows * m->width), s->normed = floats(rows * m->width);
    s->q = floats(rows * qd), s->k = floats(rows * kd), s->v = floats(rows * kd), s->attention = floats(rows * qd);
    s->gated = floats(rows * m->hidden), s->scores = floats((size_t)threads * whole_lanes(m->context));
    s->low = floats(rows * MOST_RANKS); /* no memory until an adapter is used */
    s->low_items = malloc(rows * (MOST_RANKS / LANES) * sizeof(LowItem));
    int widths[] = {m->width, (int)qd, m->hidden}, ok = s->low && s->low_items && s->x && s->normed && s->q && s->k && s->v && s->attention && s->gated && s->scores;
    for (int i = 0; i < 3; i++) {
        size_t n = rows * widths[i];
        s->quantized[i] = (Quantized){floats(n / 4 + 1), floats(n / BLOCK), floats(n / BLOCK), widths[i]};
        ok = ok && s->quantized[i].codes && s->quantized[i].scales && s->quantized[i].sums;
    }
    Pool *p = s->pool = ok ? aligned_alloc(64, (sizeof(Pool) + 63) / 64 * 64) : NULL;
    if (!p) return llama_close(s), NULL;
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (p->threads = 1; p->threads < threads; p->threads++)
        if (pthread_create(&p->thread[p->threads], NULL, serve, p)) break; /* fewer will do */
    return s;
}

/* Read `rows` tokens, each at a position of a slot, and write logits [wanted, vocabulary] of the rows in `which`.
   `adapters` [rows] has the first layer of each row's adapter, or NULL; or is NULL. */
void llama_pass(State *s, int rows, const int64_t *tokens, const int32_t *slots, const int32_t *positions,
                const Adapter *const *adapters, int wanted, const int32_t *which, float *logits) {
    const Model *m = s->m;
    s->adapters = adapters;
    Rows r = {s, NULL, tokens, slots, positions, NULL, NULL, s->quantized[0], 0};
    each_row(s->pool, embed_item, &r, rows);
    for (int i = 0; i < m->layers; i++) block(s, &m->layer[i], &r, rows);
    for (int i = 0; i < wanted; i++) /* in ascending order, so none is overwritten before it is moved */
        memmove(s->x + (size_t)i * m->width, s->x + (size_t)which[i] * m->width, m->width * sizeof(float));
    if (!wanted) return;
    r.from = s->x, r.weight = m->output_norm, r.to = s->quantized[0];
    each_row(s->pool, norm_item, &r, wanted);
    Product head = {{&m->head}, {NULL}, {logits}, {m->vocabulary}, 1, STORE, wanted, 0, s->quantized[0]};
    product(s->pool, &head);
}

#else

int llama_supported(void) { return 0; }

#endif

#define INITIALIZER_(name) PyInit_##name
#define INITIALIZER(name) INITIALIZER_(name)
#define NAME_(name) #name
#define NAME(name) NAME_(name)

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, NAME(MODULE), NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC INITIALIZER(MODULE)(void) { return PyModule_Create(&module); }
