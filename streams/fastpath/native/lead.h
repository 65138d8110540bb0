/* A packed lead, taken apart as far as a page view may change it. What is not looked at stays the bytes it was. */
#ifndef LEADSTREAM_LEAD_H
#define LEADSTREAM_LEAD_H

#include "msgpack_writing.h"

#define MOST_LEAD_FIELDS 64
#define MOST_GROUPS 32
#define MOST_LIMITS 64
#define MOST_DAYS 512
#define MOST_TEXTS 256
#define STRONGEST_ROOM 8
#define TOUCH_TEXTS 5

/* The forms in which a lead is packed, by their tags: as msgspec has it, and that of `streams.qualification.compact`. */
enum Form { IN_FULL = 0, COMPACT = 2 };

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

/* Which field has which role; ROLES for those that are passed over. */
typedef struct {
    int fields, place[ROLES], role_of[MOST_LEAD_FIELDS];
} Layout;

/* The place of a text among the lead's names or subjects; NOWHERE for null. */
typedef int Place;
#define NOWHERE (-1)

typedef struct {
    int count;
    Span text[MOST_TEXTS];
} Texts;

typedef struct {
    Place name;
    double value;
    int64_t as_of;
    int model_group; /* -1: the model does not know it */
} LeadGroup;

typedef struct {
    Place name, kind, subject, booking;
    double points;
    int64_t occurred_at;
} Given;

/* A group's strongest contributions. */
typedef struct {
    Place name;
    int count;
    Given given[STRONGEST_ROOM];
} Strongest;

typedef struct {
    Place name;
    Span days;
} Limit;

/* `text`: source, medium, campaign, referrer, address. */
typedef struct {
    int known;
    Place text[TOUCH_TEXTS];
    int64_t occurred_at;
} Touch;

typedef struct {
    Span raw[MOST_LEAD_FIELDS];
    Span id, stage, seen, judged_by, written_stage, written_band, written_route;
    int64_t as_of, stage_since, last_scored, last_event;
    int inactive, low_touch, is_written;
    double fit;
    int groups, strongest, limits, visits;
    LeadGroup group[MOST_GROUPS];
    Strongest strong[MOST_GROUPS];
    Limit limit[MOST_LIMITS];
    int64_t visit[MOST_DAYS];
    Touch first, last;
    Texts names, subjects; /* what is not needed any more may be among them */
} Lead;

/* Whether it is a time or duration (ms) to reckon with: doubles hold it exactly, and a few of them never overflow. */
static inline int is_ms(int64_t ms) {
    return ms >= 0 && ms <= 1LL << 53;
}

/* Of a touch, the last two texts are subjects. */
static inline int is_subject(int text) {
    return text >= 3;
}

static inline Texts *texts_of_touch(Lead *lead, int text) {
    return is_subject(text) ? &lead->subjects : &lead->names;
}

static inline Span text_at(const Texts *texts, Place place) {
    return place < 0 ? NO_SPAN : texts->text[place];
}

/* The text's place, where it may have to be put. False: there is no room. */
static inline int find_place(Texts *texts, Span text, Place *place) {
    *place = NOWHERE;
    if (text.size < 0)
        return 1;
    for (int i = 0; i < texts->count; i++)
        if (same(texts->text[i], text)) {
            *place = i;
            return 1;
        }
    if (texts->count == MOST_TEXTS)
        return 0;
    texts->text[*place = texts->count++] = text;
    return 1;
}

static inline const Span *raw_of(const Lead *lead, const Layout *layout, enum Role role) {
    return &lead->raw[layout->place[role]];
}

#endif
