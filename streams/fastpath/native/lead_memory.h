/* What a lead remembers of a page view beside its points: `streams.qualification.memory`, operation by operation. */
#ifndef LEADSTREAM_LEAD_MEMORY_H
#define LEADSTREAM_LEAD_MEMORY_H

#include "digests.h"
#include "model.h"

static int is_duplicate(const Lead *lead, const uint8_t digest[DIGEST_SIZE]) {
    for (int64_t i = 0; i + DIGEST_SIZE <= lead->seen.size; i += DIGEST_SIZE)
        if (memcmp(lead->seen.at + i, digest, DIGEST_SIZE) == 0)
            return 1;
    return 0;
}

/* memory.remember_visit, without the touch. False when there is no room. */
static int remember_day(Lead *lead, int64_t day, int64_t oldest) {
    int place = 0, kept = 0;
    for (int i = 0; i < lead->visits; i++) {
        if (lead->visit[i] == day)
            return 1;
        if (i && lead->visit[i] < lead->visit[i - 1])
            return 0;
    }
    for (int i = 0; i < lead->visits; i++)
        if (lead->visit[i] >= oldest)
            lead->visit[kept++] = lead->visit[i];
    if (kept + 1 >= MOST_DAYS)
        return 0;
    while (place < kept && lead->visit[place] < day)
        place++;
    memmove(&lead->visit[place + 1], &lead->visit[place], sizeof lead->visit[0] * (size_t)(kept - place));
    lead->visit[place] = day;
    lead->visits = kept + 1;
    return 1;
}

static int is_direct(const Lead *lead, const Touch *touch) {
    return text_at(&lead->names, touch->text[0]).size <= 0 && text_at(&lead->names, touch->text[1]).size <= 0 &&
           text_at(&lead->names, touch->text[2]).size <= 0 && text_at(&lead->subjects, touch->text[3]).size <= 0;
}

/* memory._remember_touch. False: there is no room. */
static int remember_touch(Lead *lead, const Model *model, const View *view, int own_referrer) {
    const Span texts[TOUCH_TEXTS] = {view->source, view->medium, view->campaign,
                                     own_referrer ? NO_SPAN : view->referrer, view->url};
    Touch touch = {.known = 1, .occurred_at = view->occurred_at};
    int direct = texts[0].size <= 0 && texts[1].size <= 0 && texts[2].size <= 0 && texts[3].size <= 0;
    int is_first = !lead->first.known || touch.occurred_at < lead->first.occurred_at, is_last;
    if (!lead->last.known)
        is_last = 1;
    else if (direct != is_direct(lead, &lead->last))
        is_last = !direct;
    else
        is_last = touch.occurred_at >= lead->last.occurred_at;
    if (!is_first && !is_last)
        return 1;
    for (int i = 0; i < TOUCH_TEXTS; i++)
        if (!find_place(texts_of_touch(lead, i), cut(texts[i], model->longest_text), &touch.text[i]))
            return 0;
    if (is_first)
        lead->first = touch;
    if (is_last)
        lead->last = touch;
    return 1;
}

/* memory.remember_event: the digests of the last events, oldest first, in `room`. */
static void remember_event(Lead *lead, const Model *model, const uint8_t digest[DIGEST_SIZE], Writer *room) {
    Span kept = lead->seen;
    int64_t surplus = kept.size + DIGEST_SIZE - (int64_t)model->remembered_events * DIGEST_SIZE;
    if (surplus > 0)
        kept = (Span){kept.at + surplus, kept.size - surplus};
    lead->seen.at = room->at;
    write_raw(room, kept);
    write_raw(room, (Span){digest, DIGEST_SIZE});
    lead->seen.size = room->at - lead->seen.at;
}

#endif
