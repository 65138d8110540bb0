/* The two hashes of the hot path: BLAKE2b of 8 bytes (RFC 7693) for event ids, murmur2 for keys. */
#ifndef LEADSTREAM_DIGESTS_H
#define LEADSTREAM_DIGESTS_H

#include "span.h"

static const uint64_t BLAKE2B_IV[8] = {
    0x6a09e667f3bcc908ULL, 0xbb67ae8584caa73bULL, 0x3c6ef372fe94f82bULL, 0xa54ff53a5f1d36f1ULL,
    0x510e527fade682d1ULL, 0x9b05688c2b3e6c1fULL, 0x1f83d9abfb41bd6bULL, 0x5be0cd19137e2179ULL};

static const uint8_t BLAKE2B_SIGMA[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

static inline uint64_t little64(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

#define BLAKE2B_ROTATE(word, by) ((word) >> (by) | (word) << (64 - (by)))
#define BLAKE2B_MIX(a, b, c, d, x, y)      \
    do {                                   \
        a += b + (x);                      \
        d = BLAKE2B_ROTATE(d ^ a, 32);     \
        c += d;                            \
        b = BLAKE2B_ROTATE(b ^ c, 24);     \
        a += b + (y);                      \
        d = BLAKE2B_ROTATE(d ^ a, 16);     \
        c += d;                            \
        b = BLAKE2B_ROTATE(b ^ c, 63);     \
    } while (0)

static void blake2b_compress(uint64_t h[8], const uint8_t block[128], uint64_t counted, int last) {
    uint64_t m[16], v[16];
    for (int i = 0; i < 16; i++)
        m[i] = little64(block + 8 * i);
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = BLAKE2B_IV[i];
    }
    v[12] ^= counted;
    if (last)
        v[14] = ~v[14];
    for (int round = 0; round < 12; round++) {
        const uint8_t *s = BLAKE2B_SIGMA[round];
        BLAKE2B_MIX(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
        BLAKE2B_MIX(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
        BLAKE2B_MIX(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
        BLAKE2B_MIX(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
        BLAKE2B_MIX(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
        BLAKE2B_MIX(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
        BLAKE2B_MIX(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
        BLAKE2B_MIX(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

#define DIGEST_SIZE 8

/* hashlib.blake2b(text, digest_size=8) */
static void event_digest(Span text, uint8_t digest[DIGEST_SIZE]) {
    uint64_t h[8];
    uint8_t block[128];
    int64_t done = 0;
    memcpy(h, BLAKE2B_IV, sizeof h);
    h[0] ^= 0x01010000 ^ DIGEST_SIZE;
    for (; text.size - done > 128; done += 128)
        blake2b_compress(h, text.at + done, (uint64_t)done + 128, 0);
    memset(block, 0, sizeof block);
    memcpy(block, text.at + done, (size_t)(text.size - done));
    blake2b_compress(h, block, (uint64_t)text.size, 1);
    for (int i = 0; i < DIGEST_SIZE; i++)
        digest[i] = (uint8_t)(h[0] >> (8 * i));
}

/* As streams.partitioning.murmur2 */
static uint32_t murmur2(Span data) {
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)data.size;
    const uint8_t *p = data.at;
    int64_t left = data.size;
    for (; left >= 4; left -= 4, p += 4) {
        uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = h * m ^ k * m;
    }
    if (left) {
        uint32_t tail = 0;
        for (int64_t i = left - 1; i >= 0; i--)
            tail = tail << 8 | p[i];
        h = (h ^ tail) * m;
    }
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

#endif
