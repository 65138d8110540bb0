/* The lead with its changes, packed as Python packs it. */
#ifndef LEADSTREAM_WRITING_H
#define LEADSTREAM_WRITING_H

#include "model.h"

static void write_touch(Writer *out, const Model *model, const View *view, Span referrer) {
    write_array(out, 6);
    write_text(out, cut(view->source, model->longest_text));
    write_text(out, cut(view->medium, model->longest_text));
    write_text(out, cut(view->campaign, model->longest_text));
    write_text(out, cut(referrer, model->longest_text));
    write_text(out, cut(view->url, model->longest_text));
    write_int(out, view->occurred_at);
}

/* memory._remember_touch: sets the raw bytes of the touches that change. */
static int remember_touch(Lead *lead, const Model *model, const View *view, int own_referrer, Writer *room) {
    Span referrer = own_referrer ? NO_SPAN : view->referrer;
    int direct = !(referrer.size > 0 || view->source.size > 0 || view->medium.size > 0 || view->campaign.size > 0);
    int is_first = !lead->first.known || view->occurred_at < lead->first.occurred_at, is_last;
    if (!lead->last.known)
        is_last = 1;
    else if (direct != lead->last.direct)
        is_last = !direct;
    else
        is_last = view->occurred_at >= lead->last.occurred_at;
    if (!is_first && !is_last)
        return 1;
    Span touch = {room->at, 0};
    write_touch(room, model, view, referrer);
    touch.size = room->at - touch.at;
    if (is_first)
        lead->raw[model->place[FIRST_TOUCH]] = touch;
    if (is_last)
        lead->raw[model->place[LAST_TOUCH]] = touch;
    return !room->full;
}

static void write_groups(Writer *out, const Lead *lead) {
    write_map(out, (uint64_t)lead->groups);
    for (int i = 0; i < lead->groups; i++) {
        write_text(out, lead->group[i].name);
        write_array(out, 2);
        write_float(out, lead->group[i].value);
        write_int(out, lead->group[i].as_of);
    }
}

static void write_strongest(Writer *out, const Lead *lead) {
    write_map(out, (uint64_t)lead->strongest);
    for (int i = 0; i < lead->strongest; i++) {
        const Strongest *one = &lead->strong[i];
        write_text(out, one->name);
        if (one->open) {
            write_array(out, (uint64_t)one->count);
            for (int j = 0; j < one->count; j++)
                write_raw(out, one->given[j].raw);
        } else {
            write_raw(out, one->raw);
        }
    }
}

static void write_limits(Writer *out, const Lead *lead) {
    write_map(out, (uint64_t)lead->limits);
    for (int i = 0; i < lead->limits; i++) {
        write_text(out, lead->limit[i].name);
        write_raw(out, lead->limit[i].raw);
    }
}

static void write_seen(Writer *out, const Lead *lead, const Model *model, const uint8_t *digest) {
    Span old = lead->seen;
    int64_t most = (int64_t)model->remembered_events * DIGEST_SIZE, total = old.size + DIGEST_SIZE;
    if (total > most) {
        int64_t dropped = total - most;
        old = (Span){old.at + dropped, old.size - dropped};
        total = most;
    }
    write_binary_head(out, total);
    write_raw(out, old);
    write_raw(out, (Span){digest, DIGEST_SIZE});
}

/* The lead as it is now. `digest` NULL: no event is remembered, and only `as_of` may have changed. */
static int write_lead(Writer *out, const Lead *lead, const Model *model, const View *view, const uint8_t *digest,
                      int is_fresh) {
    write_array(out, (uint64_t)lead->fields + 1);
    write_int(out, 0);
    for (int i = 0; i < lead->fields; i++) {
        int role = model->role_of[i];
        if (role == AS_OF)
            write_int(out, lead->as_of);
        else if (role == JUDGED_BY)
            write_text(out, model->identity);
        else if (!digest)
            write_raw(out, lead->raw[i]);
        else if (role == LEAD_ID && is_fresh)
            write_text(out, view->key);
        else if (role == STAGE_SINCE && is_fresh)
            write_int(out, view->occurred_at);
        else if (role == GROUPS)
            write_groups(out, lead);
        else if (role == STRONGEST)
            write_strongest(out, lead);
        else if (role == LIMITS)
            write_limits(out, lead);
        else if (role == SEEN)
            write_seen(out, lead, model, digest);
        else if (role == VISITS) {
            write_array(out, (uint64_t)lead->visits);
            for (int j = 0; j < lead->visits; j++)
                write_int(out, lead->visit[j]);
        } else if (role == LAST_SCORED)
            write_int(out, lead->last_scored);
        else if (role == INACTIVE)
            write_bool(out, lead->inactive);
        else if (role == LAST_EVENT)
            write_int(out, lead->last_event);
        else
            write_raw(out, lead->raw[i]);
    }
    return !out->full;
}

#endif
