/* Reading a packed lead, in either form. */
#ifndef LEADSTREAM_READING_H
#define LEADSTREAM_READING_H

#include "lead.h"

SPECIALISED int read_time(Reader *in, int64_t *at) {
    return read_int(in, at) && is_ms(*at);
}

/* A time that lies near the lead's own. */
SPECIALISED int read_when(Reader *in, const Lead *lead, enum Form form, int64_t *at) {
    return read_int(in, at) && (form == IN_FULL || !__builtin_sub_overflow(lead->as_of, *at, at)) && is_ms(*at);
}

/* The place of a text: as it is written in the compact form, where the text itself is put in full. */
SPECIALISED int read_place(Reader *in, Texts *texts, enum Form form, Place *place) {
    Span text;
    int64_t number;
    if (form == IN_FULL)
        return read_text(in, &text) && find_place(texts, text, place);
    if (!read_int(in, &number) || number < 0 || number >= texts->count)
        return 0;
    *place = (Place)number;
    return 1;
}

SPECIALISED int read_place_or_nil(Reader *in, Texts *texts, enum Form form, Place *place) {
    *place = NOWHERE;
    return read_nil(in) || read_place(in, texts, form, place);
}

SPECIALISED int read_names(Reader *in, Texts *names) {
    uint64_t count;
    if (!read_array(in, &count) || count > MOST_TEXTS)
        return 0;
    names->count = (int)count;
    for (int i = 0; i < names->count; i++)
        if (!read_text(in, &names->text[i]))
            return 0;
    return 1;
}

/* Each is written out in `room`, with what it shares with the one before. */
SPECIALISED int read_subjects(Reader *in, Texts *subjects, Writer *room) {
    uint64_t count, two;
    Span before = {room->at, 0};
    if (!read_array(in, &count) || count > MOST_TEXTS)
        return 0;
    subjects->count = (int)count;
    for (int i = 0; i < subjects->count; i++) {
        Span rest, whole = {room->at, 0};
        int64_t shared;
        if (!read_array(in, &two) || two != 2 || !read_int(in, &shared) || shared < 0 || shared > before.size ||
            ends_within(before, shared) || !read_text(in, &rest))
            return 0;
        write_raw(room, (Span){before.at, shared});
        write_raw(room, rest);
        whole.size = room->at - whole.at;
        subjects->text[i] = before = whole;
    }
    return !room->full;
}

SPECIALISED int read_touch(Reader *in, Lead *lead, enum Form form, Touch *touch) {
    uint64_t count;
    touch->known = 0;
    if (read_nil(in))
        return 1;
    if (!read_array(in, &count) || count != TOUCH_TEXTS + 1)
        return 0;
    touch->known = 1;
    for (int i = 0; i < TOUCH_TEXTS; i++)
        if (!read_place_or_nil(in, texts_of_touch(lead, i), form, &touch->text[i]))
            return 0;
    return read_when(in, lead, form, &touch->occurred_at);
}

/* The head of a map in full, of an array of arrays in the compact form; then that of each entry, `parts` long there. */
SPECIALISED int read_entries(Reader *in, enum Form form, uint64_t *count) {
    return form == IN_FULL ? read_map(in, count) : read_array(in, count);
}

SPECIALISED int read_entry(Reader *in, enum Form form, uint64_t parts) {
    uint64_t count;
    return form == IN_FULL || (read_array(in, &count) && count == parts);
}

SPECIALISED int read_groups(Reader *in, enum Form form, Lead *lead) {
    uint64_t count, two;
    if (!read_entries(in, form, &count) || count > MOST_GROUPS)
        return 0;
    lead->groups = (int)count;
    for (int i = 0; i < lead->groups; i++) {
        LeadGroup *group = &lead->group[i];
        if (!read_entry(in, form, 3) || !read_place(in, &lead->names, form, &group->name))
            return 0;
        if (form == IN_FULL && !(read_array(in, &two) && two == 2))
            return 0;
        if (!read_number(in, &group->value) || !read_when(in, lead, form, &group->as_of))
            return 0;
    }
    return 1;
}

SPECIALISED int read_given(Reader *in, Lead *lead, enum Form form, Given *given) {
    uint64_t count;
    Texts *names = &lead->names;
    return read_array(in, &count) && count == 6 && read_place(in, names, form, &given->name) &&
           read_place(in, names, form, &given->kind) &&
           read_place_or_nil(in, &lead->subjects, form, &given->subject) && read_number(in, &given->points) &&
           read_when(in, lead, form, &given->occurred_at) && read_place_or_nil(in, names, form, &given->booking);
}

SPECIALISED int read_strongest(Reader *in, enum Form form, Lead *lead) {
    uint64_t count, contributions;
    if (!read_entries(in, form, &count) || count > MOST_GROUPS)
        return 0;
    lead->strongest = (int)count;
    for (int i = 0; i < lead->strongest; i++) {
        Strongest *one = &lead->strong[i];
        if (!read_entry(in, form, 2) || !read_place(in, &lead->names, form, &one->name) ||
            !read_array(in, &contributions) || contributions > STRONGEST_ROOM)
            return 0;
        one->count = (int)contributions;
        for (int j = 0; j < one->count; j++)
            if (!read_given(in, lead, form, &one->given[j]))
                return 0;
    }
    return 1;
}

SPECIALISED int read_limits(Reader *in, enum Form form, Lead *lead) {
    uint64_t count;
    if (!read_entries(in, form, &count) || count > MOST_LIMITS)
        return 0;
    lead->limits = (int)count;
    for (int i = 0; i < lead->limits; i++) {
        Limit *limit = &lead->limit[i];
        if (!read_entry(in, form, 2) || !read_place(in, &lead->names, form, &limit->name))
            return 0;
        limit->days.at = in->at;
        if (!skip(in))
            return 0;
        limit->days.size = in->at - limit->days.at;
    }
    return 1;
}

SPECIALISED int read_visits(Reader *in, Lead *lead) {
    uint64_t count;
    if (!read_array(in, &count) || count >= MOST_DAYS)
        return 0;
    lead->visits = (int)count;
    for (int i = 0; i < lead->visits; i++)
        if (!read_int(in, &lead->visit[i]))
            return 0;
    return 1;
}

SPECIALISED int read_written(Reader *in, Lead *lead) {
    uint64_t count;
    lead->is_written = 0;
    if (read_nil(in))
        return 1;
    lead->is_written = 1;
    return read_array(in, &count) && count == 6 && read_text(in, &lead->written_stage) &&
           read_text(in, &lead->written_band) && read_text(in, &lead->written_route) && skip(in) && skip(in) &&
           skip(in);
}

/* The field in `role`, up to its end. What is not looked at is passed over. */
SPECIALISED int read_field(Reader *in, int role, enum Form form, Lead *lead) {
    switch (role) {
    case LEAD_ID:
        return read_text(in, &lead->id);
    case AS_OF:
        return read_time(in, &lead->as_of);
    case STAGE:
        return read_text(in, &lead->stage);
    case STAGE_SINCE:
        return read_when(in, lead, form, &lead->stage_since);
    case SEEN:
        return read_binary(in, &lead->seen);
    case LAST_SCORED:
        return read_when(in, lead, form, &lead->last_scored);
    case INACTIVE:
        return read_bool(in, &lead->inactive);
    case LAST_EVENT:
        return read_when(in, lead, form, &lead->last_event);
    case LOW_TOUCH:
        return read_bool(in, &lead->low_touch);
    case JUDGED_BY:
        return read_text(in, &lead->judged_by);
    case FIT:
        return read_number(in, &lead->fit);
    case GROUPS:
        return read_groups(in, form, lead);
    case STRONGEST:
        return read_strongest(in, form, lead);
    case LIMITS:
        return read_limits(in, form, lead);
    case VISITS:
        return read_visits(in, lead);
    case WRITTEN:
        return read_written(in, lead);
    case FIRST_TOUCH:
        return read_touch(in, lead, form, &lead->first);
    case LAST_TOUCH:
        return read_touch(in, lead, form, &lead->last);
    default:
        return skip(in);
    }
}

/* Whether `packed` is a lead in this form that there is room for. `room` takes texts that its spans point to. */
SPECIALISED int read_lead(Span packed, enum Form form, const Layout *layout, Writer *room, Lead *lead) {
    Reader in = {packed.at, packed.at + packed.size};
    uint64_t count;
    int64_t tag;
    int lists = form == COMPACT ? 2 : 0;
    if (!read_array(&in, &count) || count != (uint64_t)(1 + lists + layout->fields) || !read_int(&in, &tag) ||
        tag != (int64_t)form)
        return 0;
    lead->names.count = lead->subjects.count = 0;
    if (form == COMPACT && !(read_names(&in, &lead->names) && read_subjects(&in, &lead->subjects, room)))
        return 0;
    for (int i = 0; i < layout->fields; i++) {
        lead->raw[i].at = in.at;
        if (!read_field(&in, layout->role_of[i], form, lead))
            return 0;
        lead->raw[i].size = in.at - lead->raw[i].at;
    }
    return in.at == in.end;
}

#endif
