/* CRC-32 in the two polynomials that are met here, eight bytes at a time (M. Kounavis, F. Berry, "A Systematic Approach to
 * Building High Performance Software-based CRC Generators", 2005). */
#ifndef LEADSTREAM_CRC_H
#define LEADSTREAM_CRC_H

#include <stdint.h>

typedef struct {
    uint32_t slice[8][256];
} CrcTable;

/* zlib's, in envelopes; and Castagnoli's, in Kafka's record batches. */
static CrcTable crc32_ieee, crc32_castagnoli;

static void make_crc_table(CrcTable *table, uint32_t reversed_polynomial) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? reversed_polynomial : 0);
        table->slice[0][i] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (int i = 0; i < 256; i++)
            table->slice[slice][i] = table->slice[slice - 1][i] >> 8 ^ table->slice[0][table->slice[slice - 1][i] & 0xff];
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#define FOLDED_FROM 64
static int can_fold;
#endif

static void make_crc_tables(void) {
    make_crc_table(&crc32_ieee, 0xedb88320);
    make_crc_table(&crc32_castagnoli, 0x82f63b78);
#ifdef FOLDED_FROM
    unsigned a, b, features, d; /* asked of the processor: as Zig has it, __builtin_cpu_supports knows of nothing */
    can_fold = __get_cpuid(1, &a, &b, &features, &d) && features & bit_PCLMUL && features & bit_SSE4_1;
#endif
}

/* Without the inversions at both ends. */
static uint32_t crc_by_tables(const CrcTable *table, uint32_t crc, const uint8_t *p, int64_t size) {
    const uint32_t(*slice)[256] = table->slice;
    for (; size >= 8; size -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = slice[7][low & 0xff] ^ slice[6][low >> 8 & 0xff] ^ slice[5][low >> 16 & 0xff] ^ slice[4][low >> 24] ^
              slice[3][p[4]] ^ slice[2][p[5]] ^ slice[1][p[6]] ^ slice[0][p[7]];
    }
    while (size--)
        crc = crc >> 8 ^ slice[0][(crc ^ *p++) & 0xff];
    return crc;
}

#ifdef FOLDED_FROM
#include <immintrin.h>

/* Of zlib's polynomial, 64 bytes at a time by multiplication without carries (V. Gopal et al., "Fast CRC Computation for
 * Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009, with the constants of its bit-reflected example).
 * `size` is a multiple of 16, and FOLDED_FROM or more. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t crc_by_folding(uint32_t crc, const uint8_t *p, int64_t size) {
    const __m128i by_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4), by_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i by_8 = _mm_set_epi64x(0, 0x0163cd6124), barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i low_32 = _mm_setr_epi32(~0, 0, ~0, 0);
#define LOAD(at) _mm_loadu_si128((const __m128i *)(at))
#define FOLD(sum, by, next)                                                                                    \
    _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(sum, by, 0x00), _mm_clmulepi64_si128(sum, by, 0x11)), next)
    __m128i a = _mm_xor_si128(LOAD(p), _mm_cvtsi32_si128((int)crc)), b = LOAD(p + 16), c = LOAD(p + 32), d = LOAD(p + 48);
    for (p += 64, size -= 64; size >= 64; p += 64, size -= 64) {
        a = FOLD(a, by_64, LOAD(p));
        b = FOLD(b, by_64, LOAD(p + 16));
        c = FOLD(c, by_64, LOAD(p + 32));
        d = FOLD(d, by_64, LOAD(p + 48));
    }
    a = FOLD(a, by_16, b);
    a = FOLD(a, by_16, c);
    a = FOLD(a, by_16, d);
    for (; size >= 16; p += 16, size -= 16)
        a = FOLD(a, by_16, LOAD(p));
    /* from 128 bits to 64, to 32 */
    b = _mm_clmulepi64_si128(a, by_16, 0x10);
    a = _mm_xor_si128(_mm_srli_si128(a, 8), b);
    b = _mm_srli_si128(a, 4);
    a = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(a, low_32), by_8, 0x00), b);
    b = _mm_clmulepi64_si128(_mm_and_si128(a, low_32), barrett, 0x10);
    b = _mm_clmulepi64_si128(_mm_and_si128(b, low_32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(a, b), 1);
#undef LOAD
#undef FOLD
}
#endif

static uint32_t crc_of(const CrcTable *table, uint32_t before, const uint8_t *p, int64_t size) {
    uint32_t crc = ~before;
#ifdef FOLDED_FROM
    if (can_fold && table == &crc32_ieee && size >= FOLDED_FROM) {
        int64_t folded = size & ~(int64_t)15;
        crc = crc_by_folding(crc, p, folded);
        p += folded;
        size -= folded;
    }
#endif
    return ~crc_by_tables(table, crc, p, size);
}

#endif
