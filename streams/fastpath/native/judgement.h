/* Whether a lead stays what it is, and when to look again: `streams.qualification.lifecycle`, `.due`, `.crossing`. */
#ifndef LEADSTREAM_JUDGEMENT_H
#define LEADSTREAM_JUDGEMENT_H

#include "interest.h"

static Span band_of(const Model *model, double fit) {
    for (int i = 0; i < model->bands; i++)
        if (fit >= model->band[i].cut_off)
            return model->band[i].name;
    return model->lowest_band;
}

/* lifecycle.judge, as far as it changes nothing. False: it may change something. */
static int judged_unchanged(const Lead *lead, const Model *model, int64_t at, int is_visitor, int knows_facts) {
    double interest = interest_at(lead, model, at), fit = lead->fit;
    for (int i = 0; i < model->paths; i++) {
        const Path *path = &model->path[i];
        if ((path->has_fit && fit < path->fit) || (path->has_fact && !knows_facts))
            continue;
        if (path->has_fact || !path->has_interest || interest >= path->interest)
            return 0;
    }
    if (fit >= model->mql_fit && interest >= model->mql_interest)
        return 0;
    const enum Route *row = model->cells[fit >= model->high_fit ? 0 : 1];
    enum Route route = row[interest >= model->hot ? 2 : interest >= model->warm ? 1 : 0];
    if (route == ROUTE_SALES)
        route = ROUTE_NURTURE;
    if (lead->low_touch ? route != ROUTE_LOW_TOUCH : route == ROUTE_LOW_TOUCH && !is_visitor)
        return 0;
    Span band = band_of(model, fit);
    if (!lead->is_written)
        return is_visitor && route == ROUTE_NONE && same(band, band_of(model, 0.0));
    return same(lead->written_stage, lead->stage) && is_text(lead->written_route, ROUTE_NAMES[route]) &&
           same(lead->written_band, band);
}

static inline int64_t later(int64_t one, int64_t other) {
    return one > other ? one : other;
}

/* due.look_again_at. False when an exact search is called for. */
static int look_again_at(const Lead *lead, const Model *model, int64_t after, int is_visitor, const double *thresholds,
                         int count, int64_t *due) {
    int64_t at = lead->as_of;
    *due = 0;
#define EARLIER(time)                       \
    do {                                    \
        int64_t instant = (time);           \
        if (!*due || instant < *due)        \
            *due = instant;                 \
    } while (0)
    if (model->has_inactivity && !lead->inactive && lead->last_scored)
        EARLIER(later(lead->last_scored + model->inactive_after, at));
    if (is_visitor)
        EARLIER(later(lead->last_event + model->visitor_ttl, at));
    double up = 0.0, down = 0.0, up_half_life = 0.0, down_half_life = 0.0;
    int parts = 0;
    for (int i = 0; i < lead->groups; i++) {
        const LeadGroup *one = &lead->group[i];
        if (one->model_group < 0)
            continue;
        const Group *group = &model->group[one->model_group];
        double read = clamped(value_at(one->value, one->as_of, at, group), group);
        parts = 1;
        if (read > 0) {
            up += read;
            if (!up_half_life || group->half_life < up_half_life)
                up_half_life = group->half_life;
        } else if (read < 0) {
            down -= read;
            if (!down_half_life || group->half_life < down_half_life)
                down_half_life = group->half_life;
        }
    }
    for (int i = 0; parts && i < count; i++) {
        double threshold = thresholds[i], wait;
        if (up - down >= threshold)
            wait = up_half_life * log2(up / (threshold + down));
        else if (up <= threshold || !down)
            continue;
        else
            wait = down_half_life * log2(down / (up - threshold));
        if (!(fabs(wait) < 4e18))
            return 0;
        int64_t quiet = at + (int64_t)wait - 1;
        if (quiet <= after)
            return 0;
        EARLIER(quiet);
    }
#undef EARLIER
    return 1;
}

#endif
