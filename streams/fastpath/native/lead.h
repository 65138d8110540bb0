/* A packed lead, taken apart as far as a page view may change it. What is not looked at stays the bytes it was. */
#ifndef LEADSTREAM_LEAD_H
#define LEADSTREAM_LEAD_H

#include "msgpack.h"

#define MOST_LEAD_FIELDS 64
#define MOST_GROUPS 32
#define MOST_LIMITS 64
#define MOST_DAYS 512
#define STRONGEST_ROOM 8

/* The fields of `Lead` that are read or written here; the loader says at which place each stands. */
enum Role {
    LEAD_ID, AS_OF, STAGE, STAGE_SINCE, GROUPS, STRONGEST, LIMITS, SEEN, VISITS, FACTS, BOOKINGS, FIRST_TOUCH,
    LAST_TOUCH, LAST_SCORED, INACTIVE, LAST_EVENT, EPISODE, RESTING_UNTIL, LOW_TOUCH, WRITTEN, JUDGED_BY, FIT, PERSONA,
    ERASED, ROLES
};

static const char *const ROLE_NAMES[ROLES] = {
    "lead_id", "as_of", "stage", "stage_since", "groups", "strongest", "limits", "seen", "visits", "facts", "bookings",
    "first_touch", "last_touch", "last_scored", "inactive", "last_event", "episode", "resting_until", "low_touch",
    "written", "judged_by", "fit", "persona", "erased"};

typedef struct {
    Span name;
    double value;
    int64_t as_of;
    int model_group; /* -1: the model does not know it */
} LeadGroup;

typedef struct {
    Span raw, name;
    double points;
    int64_t occurred_at;
} Given;

/* A group's strongest contributions: `raw` until they are looked at. */
typedef struct {
    Span name, raw;
    int open, count;
    Given given[STRONGEST_ROOM];
} Strongest;

typedef struct {
    Span name, raw;
} Limit;

typedef struct {
    int known, direct;
    int64_t occurred_at;
} TouchFacts;

typedef struct {
    int fields;
    Span raw[MOST_LEAD_FIELDS];
    Span stage, seen, judged_by, written_stage, written_band, written_route;
    int64_t as_of, stage_since, last_scored, last_event;
    int inactive, low_touch, is_written;
    double fit;
    int groups, strongest, limits, visits;
    LeadGroup group[MOST_GROUPS];
    Strongest strong[MOST_GROUPS];
    Limit limit[MOST_LIMITS];
    int64_t visit[MOST_DAYS];
    TouchFacts first, last;
} Lead;

/* Whether it is a time or duration (ms) to reckon with: doubles hold it exactly, and a few of them never overflow. */
static inline int is_ms(int64_t ms) {
    return ms >= 0 && ms <= 1LL << 53;
}

static inline int read_time(Reader *in, int64_t *at) {
    return read_int(in, at) && is_ms(*at);
}

static int read_touch(Span raw, TouchFacts *touch) {
    Reader in = {raw.at, raw.at + raw.size};
    uint64_t count;
    memset(touch, 0, sizeof *touch);
    if (read_nil(&in))
        return 1;
    if (!read_array(&in, &count) || count != 6)
        return 0;
    touch->known = touch->direct = 1;
    for (int i = 0; i < 5; i++) {
        Span text;
        if (!read_text_or_nil(&in, &text))
            return 0;
        if (i < 4 && text.size > 0)
            touch->direct = 0;
    }
    return read_time(&in, &touch->occurred_at);
}

static int read_groups(Span raw, Lead *lead) {
    Reader in = {raw.at, raw.at + raw.size};
    uint64_t count, two;
    if (!read_map(&in, &count) || count > MOST_GROUPS)
        return 0;
    lead->groups = (int)count;
    for (int i = 0; i < lead->groups; i++) {
        LeadGroup *group = &lead->group[i];
        if (!read_text(&in, &group->name) || !read_array(&in, &two) || two != 2 || !read_float(&in, &group->value) ||
            !read_time(&in, &group->as_of) || group->as_of > lead->as_of)
            return 0;
    }
    return 1;
}

static int read_strongest(Span raw, Lead *lead) {
    Reader in = {raw.at, raw.at + raw.size};
    uint64_t count;
    if (!read_map(&in, &count) || count > MOST_GROUPS)
        return 0;
    lead->strongest = (int)count;
    for (int i = 0; i < lead->strongest; i++) {
        Strongest *one = &lead->strong[i];
        one->open = 0;
        if (!read_text(&in, &one->name))
            return 0;
        one->raw.at = in.at;
        if (!skip(&in))
            return 0;
        one->raw.size = in.at - one->raw.at;
    }
    return 1;
}

/* Take the contributions of a group apart, to compare and replace them. */
static int open_strongest(Strongest *one) {
    Reader in = {one->raw.at, one->raw.at + one->raw.size};
    uint64_t count, fields;
    if (one->open)
        return 1;
    if (!read_array(&in, &count) || count > STRONGEST_ROOM)
        return 0;
    one->count = (int)count;
    for (int i = 0; i < one->count; i++) {
        Given *given = &one->given[i];
        Span kind, subject;
        given->raw.at = in.at;
        if (!read_array(&in, &fields) || fields != 6 || !read_text(&in, &given->name) || !read_text(&in, &kind) ||
            !read_text_or_nil(&in, &subject) || !read_float(&in, &given->points) || given->points == 0 ||
            !read_time(&in, &given->occurred_at) || !skip(&in))
            return 0;
        given->raw.size = in.at - given->raw.at;
    }
    one->open = 1;
    return 1;
}

static int read_limits(Span raw, Lead *lead) {
    Reader in = {raw.at, raw.at + raw.size};
    uint64_t count;
    if (!read_map(&in, &count) || count > MOST_LIMITS)
        return 0;
    lead->limits = (int)count;
    for (int i = 0; i < lead->limits; i++) {
        Limit *limit = &lead->limit[i];
        if (!read_text(&in, &limit->name))
            return 0;
        limit->raw.at = in.at;
        if (!skip(&in))
            return 0;
        limit->raw.size = in.at - limit->raw.at;
    }
    return 1;
}

static int read_visits(Span raw, Lead *lead) {
    Reader in = {raw.at, raw.at + raw.size};
    uint64_t count;
    if (!read_array(&in, &count) || count >= MOST_DAYS)
        return 0;
    lead->visits = (int)count;
    for (int i = 0; i < lead->visits; i++)
        if (!read_int(&in, &lead->visit[i]))
            return 0;
    return 1;
}

static int read_written(Span raw, Lead *lead) {
    Reader in = {raw.at, raw.at + raw.size};
    uint64_t count;
    lead->is_written = 0;
    if (read_nil(&in))
        return 1;
    lead->is_written = 1;
    return read_array(&in, &count) && count == 6 && read_text(&in, &lead->written_stage) &&
           read_text(&in, &lead->written_band) && read_text(&in, &lead->written_route);
}

static int is_empty_map(Span raw) {
    return raw.size == 1 && raw.at[0] == 0x80;
}

static int is_empty_array(Span raw) {
    return raw.size == 1 && raw.at[0] == 0x90;
}

static int is_nil(Span raw) {
    return raw.size == 1 && raw.at[0] == 0xc0;
}

static inline Reader within(const Lead *lead, const int *place, enum Role role) {
    Span raw = lead->raw[place[role]];
    return (Reader){raw.at, raw.at + raw.size};
}

/* Whether `packed` is a lead of the kind that is judged here: `place` says where each role stands among `fields`. */
static int read_lead(Span packed, const int *place, int fields, Lead *lead) {
    Reader in = {packed.at, packed.at + packed.size};
    uint64_t count;
    int64_t tag, resting;
    if (!read_array(&in, &count) || count != (uint64_t)fields + 1 || !read_int(&in, &tag) || tag != 0)
        return 0;
    lead->fields = fields;
    for (int i = 0; i < fields; i++) {
        lead->raw[i].at = in.at;
        if (!skip(&in))
            return 0;
        lead->raw[i].size = in.at - lead->raw[i].at;
    }
    if (in.at != in.end)
        return 0;
#define WITHIN(role) within(lead, place, role)
    Reader as_of = WITHIN(AS_OF), stage = WITHIN(STAGE), since = WITHIN(STAGE_SINCE), seen = WITHIN(SEEN),
           scored = WITHIN(LAST_SCORED), inactive = WITHIN(INACTIVE), event = WITHIN(LAST_EVENT),
           low_touch = WITHIN(LOW_TOUCH), judged_by = WITHIN(JUDGED_BY), fit = WITHIN(FIT),
           rests = WITHIN(RESTING_UNTIL);
#undef WITHIN
    return read_time(&as_of, &lead->as_of) && read_text(&stage, &lead->stage) &&
           read_time(&since, &lead->stage_since) && read_binary(&seen, &lead->seen) &&
           read_time(&scored, &lead->last_scored) && read_bool(&inactive, &lead->inactive) &&
           read_time(&event, &lead->last_event) && read_bool(&low_touch, &lead->low_touch) && read_text(&judged_by, &lead->judged_by) &&
           read_float(&fit, &lead->fit) && read_int(&rests, &resting) && resting == 0 &&
           is_nil(lead->raw[place[EPISODE]]) && is_nil(lead->raw[place[PERSONA]]) && is_nil(lead->raw[place[ERASED]]) &&
           read_groups(lead->raw[place[GROUPS]], lead) && read_strongest(lead->raw[place[STRONGEST]], lead) &&
           read_limits(lead->raw[place[LIMITS]], lead) && read_visits(lead->raw[place[VISITS]], lead) &&
           read_written(lead->raw[place[WRITTEN]], lead) && read_touch(lead->raw[place[FIRST_TOUCH]], &lead->first) &&
           read_touch(lead->raw[place[LAST_TOUCH]], &lead->last);
}

#endif
