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

static void make_crc_tables(void) {
    make_crc_table(&crc32_ieee, 0xedb88320);
    make_crc_table(&crc32_castagnoli, 0x82f63b78);
}

static uint32_t crc_of(const CrcTable *table, uint32_t before, const uint8_t *p, int64_t size) {
    const uint32_t(*slice)[256] = table->slice;
    uint32_t crc = ~before;
    for (; size >= 8; size -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = slice[7][low & 0xff] ^ slice[6][low >> 8 & 0xff] ^ slice[5][low >> 16 & 0xff] ^ slice[4][low >> 24] ^
              slice[3][p[4]] ^ slice[2][p[5]] ^ slice[1][p[6]] ^ slice[0][p[7]];
    }
    while (size--)
        crc = crc >> 8 ^ slice[0][(crc ^ *p++) & 0xff];
    return ~crc;
}

#endif
