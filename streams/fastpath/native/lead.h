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

static int read_touch(Reader *in, TouchFacts *touch) {
    uint64_t count;
    memset(touch, 0, sizeof *touch);
    if (read_nil(in))
        return 1;
    if (!read_array(in, &count) || count != 6)
        return 0;
    touch->known = touch->direct = 1;
    for (int i = 0; i < 5; i++) {
        Span text;
        if (!read_text_or_nil(in, &text))
            return 0;
        if (i < 4 && text.size > 0)
            touch->direct = 0;
    }
    return read_time(in, &touch->occurred_at);
}

static int read_groups(Reader *in, Lead *lead) {
    uint64_t count, two;
    if (!read_map(in, &count) || count > MOST_GROUPS)
        return 0;
    lead->groups = (int)count;
    for (int i = 0; i < lead->groups; i++) {
        LeadGroup *group = &lead->group[i];
        if (!read_text(in, &group->name) || !read_array(in, &two) || two != 2 || !read_float(in, &group->value) ||
            !read_time(in, &group->as_of))
            return 0;
    }
    return 1;
}

static int read_strongest(Reader *in, Lead *lead) {
    uint64_t count;
    if (!read_map(in, &count) || count > MOST_GROUPS)
        return 0;
    lead->strongest = (int)count;
    for (int i = 0; i < lead->strongest; i++) {
        Strongest *one = &lead->strong[i];
        one->open = 0;
        if (!read_text(in, &one->name))
            return 0;
        one->raw.at = in->at;
        if (!skip(in))
            return 0;
        one->raw.size = in->at - one->raw.at;
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

static int read_limits(Reader *in, Lead *lead) {
    uint64_t count;
    if (!read_map(in, &count) || count > MOST_LIMITS)
        return 0;
    lead->limits = (int)count;
    for (int i = 0; i < lead->limits; i++) {
        Limit *limit = &lead->limit[i];
        if (!read_text(in, &limit->name))
            return 0;
        limit->raw.at = in->at;
        if (!skip(in))
            return 0;
        limit->raw.size = in->at - limit->raw.at;
    }
    return 1;
}

static int read_visits(Reader *in, Lead *lead) {
    uint64_t count;
    if (!read_array(in, &count) || count >= MOST_DAYS)
        return 0;
    lead->visits = (int)count;
    for (int i = 0; i < lead->visits; i++)
        if (!read_int(in, &lead->visit[i]))
            return 0;
    return 1;
}

static int read_written(Reader *in, Lead *lead) {
    uint64_t count;
    lead->is_written = 0;
    if (read_nil(in))
        return 1;
    lead->is_written = 1;
    return read_array(in, &count) && count == 6 && read_text(in, &lead->written_stage) &&
           read_text(in, &lead->written_band) && read_text(in, &lead->written_route) && skip(in) && skip(in) &&
           skip(in);
}

static int is_empty_map(Span raw) {
    return raw.size == 1 && raw.at[0] == 0x80;
}

static int is_empty_array(Span raw) {
    return raw.size == 1 && raw.at[0] == 0x90;
}

/* The field in `role`, up to its end. What is not looked at is passed over; what must be empty here is checked. */
static int read_field(Reader *in, int role, Lead *lead) {
    int64_t number;
    switch (role) {
    case AS_OF:
        return read_time(in, &lead->as_of);
    case STAGE:
        return read_text(in, &lead->stage);
    case STAGE_SINCE:
        return read_time(in, &lead->stage_since);
    case SEEN:
        return read_binary(in, &lead->seen);
    case LAST_SCORED:
        return read_time(in, &lead->last_scored);
    case INACTIVE:
        return read_bool(in, &lead->inactive);
    case LAST_EVENT:
        return read_time(in, &lead->last_event);
    case LOW_TOUCH:
        return read_bool(in, &lead->low_touch);
    case JUDGED_BY:
        return read_text(in, &lead->judged_by);
    case FIT:
        return read_float(in, &lead->fit);
    case RESTING_UNTIL:
        return read_int(in, &number) && number == 0;
    case EPISODE:
    case PERSONA:
    case ERASED:
        return read_nil(in);
    case GROUPS:
        return read_groups(in, lead);
    case STRONGEST:
        return read_strongest(in, lead);
    case LIMITS:
        return read_limits(in, lead);
    case VISITS:
        return read_visits(in, lead);
    case WRITTEN:
        return read_written(in, lead);
    case FIRST_TOUCH:
        return read_touch(in, &lead->first);
    case LAST_TOUCH:
        return read_touch(in, &lead->last);
    default:
        return skip(in);
    }
}

/* Whether `packed` is a lead of the kind that is judged here: `role_of` says what each of its `fields` is. */
static int read_lead(Span packed, const int *role_of, int fields, Lead *lead) {
    Reader in = {packed.at, packed.at + packed.size};
    uint64_t count;
    int64_t tag;
    if (!read_array(&in, &count) || count != (uint64_t)fields + 1 || !read_int(&in, &tag) || tag != 0)
        return 0;
    lead->fields = fields;
    for (int i = 0; i < fields; i++) {
        lead->raw[i].at = in.at;
        if (!read_field(&in, role_of[i], lead))
            return 0;
        lead->raw[i].size = in.at - lead->raw[i].at;
    }
    for (int i = 0; i < lead->groups; i++)
        if (lead->group[i].as_of > lead->as_of)
            return 0;
    return in.at == in.end;
}

#endif
