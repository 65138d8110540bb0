/* The body of a flat Avro record of texts and longs, read into a table of its fields: nothing is copied. */
#ifndef LEADSTREAM_AVRO_H
#define LEADSTREAM_AVRO_H

#include "span.h"

#define MOST_FIELDS 24

/* What a field may hold. `least` and `most`: of a number, or of a text's size in bytes. */
typedef struct {
    int is_text, nullable;
    int64_t least, most;
} FieldShape;

/* A text; or a number in `size`, with `at` set when there is one. `at` NULL: null. */
typedef Span Field;

static int read_varint(const uint8_t **at, const uint8_t *end, int64_t *number) {
    uint64_t raw = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (*at >= end)
            return 0;
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1)
            return 0;
        raw |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *number = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
            return 1;
        }
    }
    return 0;
}

/* Whether the body from `at` to `end` is one record whose fields all keep to their shapes. */
static int read_record(const uint8_t *at, const uint8_t *end, const FieldShape *shapes, int count, Field *fields) {
    for (int i = 0; i < count; i++) {
        const FieldShape *shape = &shapes[i];
        int64_t number;
        if (shape->nullable) {
            if (at >= end || (*at != 0 && *at != 2))
                return 0;
            if (*at++ == 0) {
                fields[i] = NO_SPAN;
                continue;
            }
        }
        if (!read_varint(&at, end, &number) || number < shape->least || number > shape->most)
            return 0;
        fields[i] = (Field){at, number};
        if (shape->is_text) {
            if (number < 0 || number > end - at || !is_utf8(fields[i]))
                return 0;
            at += number;
        }
    }
    return at == end;
}

#endif
