/* Table: what is kept under each key, key and value in one block of memory, to be looked up by the thousand.
 *
 * A dict of bytes takes three objects a key, and four places far apart must come from memory, one after the other, before
 * a value can be read. Here it is two, and whoever has many keys at hand can fetch them all before the first is read. A
 * value is replaced where it lies if there is room. Linear probing; keys are removed by moving up what follows. */
#ifndef LEADSTREAM_TABLE_H
#define LEADSTREAM_TABLE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* `room` bytes, of which the key takes the first and the value those behind it. */
typedef struct {
    uint32_t key_size, size, room;
    uint8_t bytes[];
} Block;

/* `block` NULL: nothing is there. */
typedef struct {
    uint64_t hash;
    Block *block;
} Bucket;

typedef struct {
    PyObject_HEAD
    Bucket *bucket;
    size_t mask; /* the number of buckets, less one */
    size_t count;
    uint64_t changes; /* of keys, so that an iteration notices */
    int lent; /* while somebody reads blocks, nothing may change */
} TableObject;

#define LEAST_BUCKETS 8
#define LINE 64
/* Of a block that is fetched beforehand: most have no more. */
#define LINES_AHEAD 8

static inline void fetch_bucket(const TableObject *table, Py_hash_t hash) {
    __builtin_prefetch(&table->bucket[(uint64_t)hash & table->mask]);
}

/* To be called some time after fetch_bucket. */
static inline void fetch_block(const TableObject *table, Py_hash_t hash) {
    const Bucket *bucket = table->bucket;
    size_t at = (uint64_t)hash & table->mask;
    while (bucket[at].block && bucket[at].hash != (uint64_t)hash)
        at = (at + 1) & table->mask;
    if (bucket[at].block)
        for (int line = 0; line < LINES_AHEAD; line++)
            __builtin_prefetch((const uint8_t *)bucket[at].block + line * LINE, 0, 2);
}

/* The key's bucket, or the free one that it would have. */
static inline size_t find_bucket(const TableObject *table, PyObject *key, Py_hash_t hash) {
    const char *bytes = PyBytes_AS_STRING(key);
    size_t size = (size_t)PyBytes_GET_SIZE(key), at = (uint64_t)hash & table->mask;
    for (const Bucket *bucket; (bucket = &table->bucket[at])->block; at = (at + 1) & table->mask)
        if (bucket->hash == (uint64_t)hash && bucket->block->key_size == size &&
            memcmp(bucket->block->bytes, bytes, size) == 0)
            break;
    return at;
}

/* NULL where the key is not known. */
static inline const Block *find_block(const TableObject *table, PyObject *key, Py_hash_t hash) {
    return table->bucket[find_bucket(table, key, hash)].block;
}

#endif
