/* Writing a lead, in either form, as Python writes it. */
#ifndef LEADSTREAM_WRITING_H
#define LEADSTREAM_WRITING_H

#include <math.h>

#include "lead.h"

/* Of the texts of a lead those that are needed, in the order in which they are: `anew` has their new places. */
typedef struct {
    const Texts *texts;
    int count;
    Place kept[MOST_TEXTS], anew[MOST_TEXTS];
} Needed;

/* Where a lead is written: of the compact form the fields first, elsewhere, as the texts that they need stand before
 * them. */
typedef struct {
    enum Form form;
    const Lead *lead;
    Writer *out;
    Needed names, subjects;
} Target;

static inline void begin_needed(Needed *needed, const Texts *texts) {
    needed->texts = texts;
    needed->count = 0;
    for (int i = 0; i < texts->count; i++)
        needed->anew[i] = NOWHERE;
}

SPECIALISED void write_place(Target *to, Needed *needed, Place place) {
    if (to->form == IN_FULL || place < 0) {
        write_text(to->out, text_at(needed->texts, place));
        return;
    }
    if (needed->anew[place] < 0) {
        needed->anew[place] = needed->count;
        needed->kept[needed->count++] = place;
    }
    write_int(to->out, needed->anew[place]);
}

SPECIALISED void write_when(Target *to, int64_t at) {
    write_int(to->out, to->form == IN_FULL ? at : to->lead->as_of - at);
}

SPECIALISED void write_points(Target *to, double points) {
    int is_whole = fabs(points) <= 0x1p53 && points == (double)(int64_t)points && (points != 0 || !signbit(points));
    if (to->form == COMPACT && is_whole)
        write_int(to->out, (int64_t)points);
    else
        write_float(to->out, points);
}

SPECIALISED void write_entries(Target *to, int count) {
    if (to->form == IN_FULL)
        write_map(to->out, (uint64_t)count);
    else
        write_array(to->out, (uint64_t)count);
}

SPECIALISED void write_entry(Target *to, uint64_t parts) {
    if (to->form == COMPACT)
        write_array(to->out, parts);
}

SPECIALISED void write_touch(Target *to, const Touch *touch) {
    if (!touch->known) {
        write_nil(to->out);
        return;
    }
    write_array(to->out, TOUCH_TEXTS + 1);
    for (int i = 0; i < TOUCH_TEXTS; i++)
        write_place(to, is_subject(i) ? &to->subjects : &to->names, touch->text[i]);
    write_when(to, touch->occurred_at);
}

SPECIALISED void write_groups(Target *to) {
    write_entries(to, to->lead->groups);
    for (int i = 0; i < to->lead->groups; i++) {
        const LeadGroup *group = &to->lead->group[i];
        write_entry(to, 3);
        write_place(to, &to->names, group->name);
        if (to->form == IN_FULL)
            write_array(to->out, 2);
        write_points(to, group->value);
        write_when(to, group->as_of);
    }
}

SPECIALISED void write_given(Target *to, const Given *given) {
    write_array(to->out, 6);
    write_place(to, &to->names, given->name);
    write_place(to, &to->names, given->kind);
    write_place(to, &to->subjects, given->subject);
    write_points(to, given->points);
    write_when(to, given->occurred_at);
    write_place(to, &to->names, given->booking);
}

SPECIALISED void write_strongest(Target *to) {
    write_entries(to, to->lead->strongest);
    for (int i = 0; i < to->lead->strongest; i++) {
        const Strongest *one = &to->lead->strong[i];
        write_entry(to, 2);
        write_place(to, &to->names, one->name);
        write_array(to->out, (uint64_t)one->count);
        for (int j = 0; j < one->count; j++)
            write_given(to, &one->given[j]);
    }
}

SPECIALISED void write_limits(Target *to) {
    write_entries(to, to->lead->limits);
    for (int i = 0; i < to->lead->limits; i++) {
        write_entry(to, 2);
        write_place(to, &to->names, to->lead->limit[i].name);
        write_raw(to->out, to->lead->limit[i].days);
    }
}

SPECIALISED void write_visits(Target *to) {
    write_array(to->out, (uint64_t)to->lead->visits);
    for (int i = 0; i < to->lead->visits; i++)
        write_int(to->out, to->lead->visit[i]);
}

SPECIALISED void write_field(Target *to, int place, int role) {
    const Lead *lead = to->lead;
    switch (role) {
    case LEAD_ID:
        write_text(to->out, lead->id);
        break;
    case AS_OF:
        write_int(to->out, lead->as_of);
        break;
    case STAGE_SINCE:
        write_when(to, lead->stage_since);
        break;
    case GROUPS:
        write_groups(to);
        break;
    case STRONGEST:
        write_strongest(to);
        break;
    case LIMITS:
        write_limits(to);
        break;
    case SEEN:
        write_binary(to->out, lead->seen);
        break;
    case VISITS:
        write_visits(to);
        break;
    case FIRST_TOUCH:
        write_touch(to, &lead->first);
        break;
    case LAST_TOUCH:
        write_touch(to, &lead->last);
        break;
    case LAST_SCORED:
        write_when(to, lead->last_scored);
        break;
    case INACTIVE:
        write_bool(to->out, lead->inactive);
        break;
    case LAST_EVENT:
        write_when(to, lead->last_event);
        break;
    case JUDGED_BY:
        write_text(to->out, lead->judged_by);
        break;
    case FIT:
        write_points(to, lead->fit);
        break;
    default:
        write_raw(to->out, lead->raw[place]);
    }
}

SPECIALISED void write_names(Writer *out, const Needed *names) {
    write_array(out, (uint64_t)names->count);
    for (int i = 0; i < names->count; i++)
        write_text(out, names->texts->text[names->kept[i]]);
}

/* How many bytes of UTF-8 two texts share at their beginnings, in whole characters. */
static inline int64_t shared_bytes(Span one, Span other) {
    int64_t least = one.size < other.size ? one.size : other.size, shared = 0;
    for (uint64_t a, b; least - shared >= 8; shared += 8) {
        memcpy(&a, one.at + shared, 8);
        memcpy(&b, other.at + shared, 8);
        if (a != b)
            break;
    }
    while (shared < least && one.at[shared] == other.at[shared])
        shared++;
    while (shared && ends_within(other, shared))
        shared--;
    return shared;
}

SPECIALISED void write_subjects(Writer *out, const Needed *subjects) {
    Span before = {NULL, 0};
    write_array(out, (uint64_t)subjects->count);
    for (int i = 0; i < subjects->count; i++) {
        Span text = subjects->texts->text[subjects->kept[i]];
        int64_t shared = shared_bytes(before, text);
        write_array(out, 2);
        write_int(out, shared);
        write_text(out, (Span){text.at + shared, text.size - shared});
        before = text;
    }
}

/* The lead as it is now. False: there is no room. `aside` takes the fields meanwhile. */
SPECIALISED int write_lead(Writer *where, Writer *aside, enum Form form, const Layout *layout, const Lead *lead) {
    Writer out = *where, body = *aside; /* which nothing else can reach */
    Target to;
    to.form = form;
    to.lead = lead;
    to.out = form == COMPACT ? &body : &out;
    begin_needed(&to.names, &lead->names);
    begin_needed(&to.subjects, &lead->subjects);
    write_array(&out, (uint64_t)(1 + (form == COMPACT ? 2 : 0) + layout->fields));
    write_int(&out, form);
    for (int i = 0; i < layout->fields; i++)
        write_field(&to, i, layout->role_of[i]);
    if (form == COMPACT) {
        write_names(&out, &to.names);
        write_subjects(&out, &to.subjects);
        write_raw(&out, (Span){aside->at, body.at - aside->at});
    }
    *where = out;
    return !out.full && !body.full;
}

#endif
