/* A stretch of bytes that somebody else owns, and what is asked of text in one. */
#ifndef LEADSTREAM_SPAN_H
#define LEADSTREAM_SPAN_H

#include <stdint.h>
#include <string.h>

/* For what has a branch for each form of a lead, of which each caller needs one; and for writers, which can stay in
 * registers then. */
#if defined(__GNUC__)
#define SPECIALISED static inline __attribute__((always_inline))
#else
#define SPECIALISED static inline
#endif

/* size < 0: null */
typedef struct {
    const uint8_t *at;
    int64_t size;
} Span;

static const Span NO_SPAN = {NULL, -1};

static inline int same(Span one, Span other) {
    return one.size == other.size &&
           (one.at == other.at || one.size <= 0 || memcmp(one.at, other.at, (size_t)one.size) == 0);
}

static int is_text(Span text, const char *name) {
    return same(text, (Span){(const uint8_t *)name, (int64_t)strlen(name)});
}

/* Order of valid UTF-8 by bytes is order by code points, as Python compares texts. */
static inline int compare(Span one, Span other) {
    int64_t least = one.size < other.size ? one.size : other.size;
    int order = least > 0 ? memcmp(one.at, other.at, (size_t)least) : 0;
    return order ? order : (one.size > other.size) - (one.size < other.size);
}

/* Whether it is UTF-8 by RFC 3629: no surrogates, nothing overlong, as Python's strict decoder has it. */
static int is_utf8(Span text) {
    const uint8_t *p = text.at, *end = text.at + text.size;
    while (p < end) {
        if (end - p >= 8) {
            uint64_t eight;
            memcpy(&eight, p, 8);
            if (!(eight & 0x8080808080808080ULL)) {
                p += 8;
                continue;
            }
        }
        uint8_t lead = *p++;
        if (lead < 0x80)
            continue;
        int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead < 0xC2 || lead > 0xF4 || end - p < more)
            return 0;
        uint8_t next = *p;
        if ((lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F) || (lead == 0xF0 && next < 0x90) ||
            (lead == 0xF4 && next > 0x8F))
            return 0;
        while (more--)
            if ((*p++ & 0xC0) != 0x80)
                return 0;
    }
    return 1;
}

/* Whether so many bytes of valid UTF-8 end within a character. */
static inline int ends_within(Span text, int64_t bytes) {
    return bytes < text.size && (text.at[bytes] & 0xC0) == 0x80;
}

/* The first `most` characters of valid UTF-8; null stays null. */
static Span cut(Span text, int64_t most) {
    if (text.size <= most)
        return text;
    const uint8_t *p = text.at, *end = text.at + text.size;
    while (p < end) {
        if ((*p & 0xC0) != 0x80 && most-- == 0)
            break;
        p++;
    }
    return (Span){text.at, p - text.at};
}

#endif
