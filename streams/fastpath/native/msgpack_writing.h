/* MessagePack, as much of it as a packed lead holds, written as msgspec writes it, byte for byte. */
#ifndef LEADSTREAM_MSGPACK_WRITING_H
#define LEADSTREAM_MSGPACK_WRITING_H

#include "msgpack.h"

/* Room of a fixed size to write in; what does not fit sets `full`.
 *
 * What is called and not inlined takes places by value: a compiler that has to suppose that bytes are written over the
 * Writer itself fetches and stores it again with each of them. */
typedef struct {
    uint8_t *start, *at, *end;
    int full;
} Writer;

/* No head is longer. */
#define MOST_HEAD 9

SPECIALISED int has_room(Writer *out, int64_t bytes) {
    if (out->end - out->at >= bytes)
        return 1;
    out->full = 1;
    return 0;
}

static inline uint8_t *claim(Writer *out, int64_t bytes) {
    uint8_t *place = out->at;
    if (!has_room(out, bytes))
        return NULL;
    out->at += bytes;
    return place;
}

SPECIALISED void write_raw(Writer *out, Span bytes) {
    if (bytes.size && has_room(out, bytes.size)) {
        memcpy(out->at, bytes.at, (size_t)bytes.size);
        out->at += bytes.size;
    }
}

SPECIALISED uint8_t *put_head(uint8_t *at, uint8_t first, uint64_t number, int bytes) {
    uint64_t eight = native64(number << (64 - 8 * bytes) % 64);
    *at++ = first;
    memcpy(at, &eight, (size_t)bytes);
    return at + bytes;
}

/* A head whose length stands in as few of 1, 2 or 4 bytes as there are such heads, from `first` on. */
static inline uint8_t *put_sized(uint8_t *at, uint8_t first, uint64_t size) {
    if (size <= 0xff)
        return put_head(at, first, size, 1);
    return size <= 0xffff ? put_head(at, first + 1, size, 2) : put_head(at, first + 2, size, 4);
}

static uint8_t *put_long_int(uint8_t *at, int64_t number) {
    uint64_t raw = (uint64_t)number;
    if (number >= 0) {
        if (number <= 0xff)
            return put_head(at, 0xcc, raw, 1);
        if (number <= 0xffff)
            return put_head(at, 0xcd, raw, 2);
        return number <= 0xffffffffLL ? put_head(at, 0xce, raw, 4) : put_head(at, 0xcf, raw, 8);
    }
    if (number >= INT8_MIN)
        return put_head(at, 0xd0, raw, 1);
    if (number >= INT16_MIN)
        return put_head(at, 0xd1, raw, 2);
    return number >= INT32_MIN ? put_head(at, 0xd2, raw, 4) : put_head(at, 0xd3, raw, 8);
}

SPECIALISED void write_int(Writer *out, int64_t number) {
    if (!has_room(out, MOST_HEAD))
        return;
    if (number >= -32 && number < 0x80)
        *out->at++ = (uint8_t)number;
    else
        out->at = put_long_int(out->at, number);
}

SPECIALISED void write_float(Writer *out, double number) {
    uint64_t raw;
    memcpy(&raw, &number, 8);
    if (has_room(out, MOST_HEAD))
        out->at = put_head(out->at, 0xcb, raw, 8);
}

SPECIALISED void write_byte(Writer *out, uint8_t byte) {
    if (has_room(out, 1))
        *out->at++ = byte;
}

SPECIALISED void write_nil(Writer *out) {
    write_byte(out, 0xc0);
}

SPECIALISED void write_bool(Writer *out, int truth) {
    write_byte(out, truth ? 0xc3 : 0xc2);
}

SPECIALISED void write_text(Writer *out, Span text) {
    if (text.size < 0) {
        write_nil(out);
    } else if (has_room(out, MOST_HEAD)) {
        if (text.size < 32)
            *out->at++ = (uint8_t)(0xa0 | text.size);
        else
            out->at = put_sized(out->at, 0xd9, (uint64_t)text.size);
        write_raw(out, text);
    }
}

SPECIALISED void write_binary(Writer *out, Span bytes) {
    if (has_room(out, MOST_HEAD)) {
        out->at = put_sized(out->at, 0xc4, (uint64_t)bytes.size);
        write_raw(out, bytes);
    }
}

/* Of arrays and maps: short ones have their length in the first byte. */
SPECIALISED void write_count(Writer *out, uint8_t few, uint8_t many, uint64_t count) {
    if (!has_room(out, MOST_HEAD))
        return;
    if (count < 16)
        *out->at++ = (uint8_t)(few | count);
    else
        out->at = count <= 0xffff ? put_head(out->at, many, count, 2) : put_head(out->at, many + 1, count, 4);
}

SPECIALISED void write_array(Writer *out, uint64_t count) {
    write_count(out, 0x90, 0xdc, count);
}

SPECIALISED void write_map(Writer *out, uint64_t count) {
    write_count(out, 0x80, 0xde, count);
}

#endif
