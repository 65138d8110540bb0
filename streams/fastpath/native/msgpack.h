/* MessagePack, as much of it as a packed lead holds, to be read. Every read is checked against the end; 0 means "not as
 * expected", and then somebody slower looks at it. */
#ifndef LEADSTREAM_MSGPACK_H
#define LEADSTREAM_MSGPACK_H

#include <stdlib.h>

#include "span.h"

/* Big-endian numbers as the machine has them, and back. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define native16(number) __builtin_bswap16(number)
#define native32(number) __builtin_bswap32(number)
#define native64(number) __builtin_bswap64(number)
#else
#define native16(number) (number)
#define native32(number) (number)
#define native64(number) (number)
#endif

typedef struct {
    const uint8_t *at, *end;
} Reader;

static inline uint64_t big(const uint8_t *p, int bytes) {
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (bytes) {
    case 1:
        return *p;
    case 2:
        memcpy(&two, p, 2);
        return native16(two);
    case 4:
        memcpy(&four, p, 4);
        return native32(four);
    default:
        memcpy(&eight, p, 8);
        return native64(eight);
    }
}

static inline int has(const Reader *in, int64_t bytes) {
    return in->end - in->at >= bytes;
}

/* A header whose length stands in `bytes` bytes behind the first. */
static inline int sized(Reader *in, int bytes, uint64_t *size) {
    if (!has(in, 1 + bytes))
        return 0;
    *size = big(in->at + 1, bytes);
    in->at += 1 + bytes;
    return 1;
}

static inline int read_nil(Reader *in) {
    if (!has(in, 1) || *in->at != 0xc0)
        return 0;
    in->at++;
    return 1;
}

static int read_long_int(Reader *in, int64_t *number) {
    uint8_t first = *in->at;
    if (first < 0xcc || first > 0xd3)
        return 0;
    int bytes = 1 << ((first - 0xcc) & 3);
    if (!has(in, 1 + bytes))
        return 0;
    uint64_t raw = big(in->at + 1, bytes);
    in->at += 1 + bytes;
    if (first <= 0xcf) {
        if (raw > INT64_MAX)
            return 0;
        *number = (int64_t)raw;
    } else {
        int shift = 64 - 8 * bytes;
        *number = (int64_t)(raw << shift) >> shift;
    }
    return 1;
}

static inline int read_int(Reader *in, int64_t *number) {
    if (!has(in, 1))
        return 0;
    uint8_t first = *in->at;
    if (first < 0x80 || first >= 0xe0) {
        *number = (int8_t)first;
        in->at++;
        return 1;
    }
    return read_long_int(in, number);
}

static int read_float(Reader *in, double *number) {
    if (!has(in, 9) || *in->at != 0xcb)
        return 0;
    uint64_t raw = big(in->at + 1, 8);
    memcpy(number, &raw, 8);
    in->at += 9;
    return 1;
}

/* A number of a field that holds reals: one without a fraction may be written as an integer. */
static int read_number(Reader *in, double *number) {
    int64_t whole;
    if (read_float(in, number))
        return 1;
    if (!read_int(in, &whole))
        return 0;
    *number = (double)whole;
    return 1;
}

static int read_bool(Reader *in, int *truth) {
    if (!has(in, 1) || (*in->at & 0xfe) != 0xc2)
        return 0;
    *truth = *in->at++ & 1;
    return 1;
}

static int take_bytes(Reader *in, uint64_t size, Span *found) {
    if ((uint64_t)(in->end - in->at) < size)
        return 0;
    *found = (Span){in->at, (int64_t)size};
    in->at += size;
    return 1;
}

static int read_text(Reader *in, Span *text) {
    uint64_t size;
    if (!has(in, 1))
        return 0;
    uint8_t first = *in->at;
    if ((first & 0xe0) == 0xa0) {
        size = first & 0x1f;
        in->at++;
    } else if (first < 0xd9 || first > 0xdb || !sized(in, 1 << (first - 0xd9), &size)) {
        return 0;
    }
    return take_bytes(in, size, text);
}

static int read_binary(Reader *in, Span *bytes) {
    uint64_t size;
    if (!has(in, 1))
        return 0;
    uint8_t first = *in->at;
    return first >= 0xc4 && first <= 0xc6 && sized(in, 1 << (first - 0xc4), &size) && take_bytes(in, size, bytes);
}

static int read_array(Reader *in, uint64_t *count) {
    if (!has(in, 1))
        return 0;
    uint8_t first = *in->at;
    if ((first & 0xf0) == 0x90) {
        *count = first & 0x0f;
        in->at++;
        return 1;
    }
    return (first == 0xdc || first == 0xdd) && sized(in, first == 0xdc ? 2 : 4, count);
}

static int read_map(Reader *in, uint64_t *count) {
    if (!has(in, 1))
        return 0;
    uint8_t first = *in->at;
    if ((first & 0xf0) == 0x80) {
        *count = first & 0x0f;
        in->at++;
        return 1;
    }
    return (first == 0xde || first == 0xdf) && sized(in, first == 0xde ? 2 : 4, count);
}

/* How many bytes a value has that begins with 0xc0 and what follows it; 0 where that is not all to it. */
static const uint8_t FIXED_SIZES[32] = {1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 9, 2, 3, 5, 9,
                                        2, 3, 5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

/* Pass over one value, whatever it is, and over what it holds: `left` counts values still to be passed. */
static int skip(Reader *in) {
    const uint8_t *at = in->at, *end = in->end;
    uint64_t left = 1;
    while (left) {
        if (left > (uint64_t)(end - at))
            return 0;
        uint8_t first = *at;
        uint64_t size;
        left--;
        if (first < 0x80 || first >= 0xe0) {
            size = 1;
        } else if (first < 0x90) {
            size = 1;
            left += 2 * (uint64_t)(first & 0x0f);
        } else if (first < 0xa0) {
            size = 1;
            left += first & 0x0f;
        } else if (first < 0xc0) {
            size = 1 + (uint64_t)(first & 0x1f);
        } else if (!(size = FIXED_SIZES[first - 0xc0])) { /* seldom */
            Reader here = {at, end};
            Span span;
            uint64_t count;
            if (read_array(&here, &count))
                left += count;
            else if (read_map(&here, &count))
                left += 2 * count;
            else if (!read_text(&here, &span) && !read_binary(&here, &span))
                return 0;
            size = (uint64_t)(here.at - at);
        }
        if (size > (uint64_t)(end - at) || (first == 0xcf && at[1] & 0x80)) /* beyond int64 */
            return 0;
        at += size;
    }
    in->at = at;
    return 1;
}

#endif
