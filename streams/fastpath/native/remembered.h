/* Answers of Python's by the bytes they were asked about: kept here, so that they can be read without Python. */
#ifndef LEADSTREAM_REMEMBERED_H
#define LEADSTREAM_REMEMBERED_H

#include <stdlib.h>

#include "span.h"

#define MOST_MATCHES 16

/* Some small numbers: the rules that give, by their places; of a yes or no, one. */
typedef struct {
    int count, number[MOST_MATCHES];
} Answer;

typedef struct {
    Py_hash_t hash;
    uint8_t *key; /* NULL: nothing is here */
    int64_t size;
    Answer answer;
} Known;

/* A table with room for twice as many as there are; all are forgotten when there are `most`. */
typedef struct {
    Known *table;
    size_t room, count, most;
} Remembered;

/* As Python hashes bytes, keyed: nobody can make keys that meet in one place. */
static Py_hash_t hash_of(Span key) {
#if PY_VERSION_HEX >= 0x030E0000
    return Py_HashBuffer(key.at, (Py_ssize_t)key.size);
#else
    return _Py_HashBytes(key.at, (Py_ssize_t)key.size);
#endif
}

/* Where the key is, or would be. There is room. */
static Known *place_of(const Remembered *of, Span key, Py_hash_t hash) {
    size_t at = (size_t)hash & (of->room - 1);
    while (of->table[at].key && (of->table[at].hash != hash || of->table[at].size != key.size ||
                                 memcmp(of->table[at].key, key.at, (size_t)key.size) != 0))
        at = (at + 1) & (of->room - 1);
    return &of->table[at];
}

static const Answer *recall(const Remembered *of, Span key, Py_hash_t hash) {
    if (!of->room)
        return NULL;
    const Known *known = place_of(of, key, hash);
    return known->key ? &known->answer : NULL;
}

static void forget(Remembered *of) {
    for (size_t i = 0; i < of->room; i++)
        free(of->table[i].key);
    free(of->table);
    of->table = NULL;
    of->room = of->count = 0;
}

/* Where there is no memory for it, it is not remembered. */
static void remember(Remembered *of, Span key, Py_hash_t hash, const Answer *answer) {
    if (of->count >= of->most)
        forget(of);
    if (2 * of->count >= of->room) {
        Remembered grown = {NULL, of->room ? 2 * of->room : 64, of->count, of->most};
        if (!(grown.table = calloc(grown.room, sizeof(Known))))
            return;
        for (size_t i = 0; i < of->room; i++) {
            const Known *known = &of->table[i];
            if (known->key)
                *place_of(&grown, (Span){known->key, known->size}, known->hash) = *known;
        }
        free(of->table);
        *of = grown;
    }
    Known *place = place_of(of, key, hash);
    uint8_t *copy = place->key ? NULL : malloc((size_t)key.size + 1);
    if (!copy)
        return;
    if (key.size)
        memcpy(copy, key.at, (size_t)key.size);
    *place = (Known){hash, copy, key.size, *answer};
    of->count++;
}

#endif
