((w, d, n) => {
  const tag = d.currentScript, me = tag.dataset, url = new URL(tag.src).origin + "/v1/b", ls = "leadstream_";
  const now = Date.now, hear = (where, what, then) => where.addEventListener(what, then, 1);
  let all = [], on = me.consent != "off", busy, pause = 0, since, at, anon, box = {};
  try { box = localStorage; } catch {}
  const get = k => box[ls + k],
    put = (k, v) => { v ? box[ls + k] = v : delete box[ls + k]; },
    mute = () => !on || n.globalPrivacyControl || n.doNotTrack == 1 || get("optout"),
    keep = () => put("queue", all[0] && JSON.stringify(all.slice(-99))),
    pack = batch => JSON.stringify({ writeKey: me.key, sentAt: new Date, batch }),
    uuid = () => crypto.randomUUID?.() || crypto.getRandomValues(new Uint32Array(4)).join("-");
  const add = (type, event, properties, traits) => {
    if (mute()) return;
    put("id", anon = get("id") || anon || uuid());
    all.push({ type, event, properties, traits, messageId: uuid(), timestamp: new Date,
      anonymousId: anon, userId: get("user"), context: { userAgent: n.userAgent,
        page: { url: location.href, referrer: d.referrer, title: d.title } } });
    keep();
    setTimeout(send);
  };
  const send = async () => {
    const some = all.slice(0, 20);
    if (busy || !some[0] || mute() || now() < pause) return;
    busy = 1;
    let wait = 5;
    try {
      const r = await fetch(url, {method: "POST", keepalive: 1, credentials: "include", body: pack(some)});
      if (r.status != 429 && r.status < 500) wait = 0;
    } catch {}
    if (!wait) { all = all.filter(m => !some.includes(m)); keep(); }
    busy = 0;
    pause = now() + wait * 1e3;
    setTimeout(send, wait * 1e3 + 9);
  };
  // A part of a page is no page of its own; what routes by the hash begins it with / or !.
  const here = () => location.href.replace(/#(?![!/]).*/, ""),
    view = () => { since = now(); at = here(); add("page"); },
    moved = () => { if (here() != at) view(); };
  const leave = () => {
    const value = Math.round((now() - since) / 1e3);
    since = now();
    if (value) add("track", "engaged", { value, url: at });
    if (all[0] && !mute()) n.sendBeacon(url, pack(all.slice(0, 20)));
  };
  const api = {
    page: view,
    track: (event, properties) => add("track", event, properties),
    identify: (id, traits) => { if (id && !mute()) put("user", id); add("identify", "", {}, traits); },
    consent: yes => {
      const was = on;
      on = yes !== false;
      if (!on) { ["id", "user", "queue"].map(k => put(k)); all = []; anon = 0; }
      else if (!was) view();
    },
    optOut: () => { api.consent(false); put("optout", 1); },
    push: call => api[call[0]](...call.slice(1))
  };
  const calls = w.leadstream || [], go = history.pushState;
  w.leadstream = api;
  if (!mute()) try { all = JSON.parse(get("queue")) || all; } catch {}
  hear(d, "click", e => {
    const a = e.target.closest("[data-leadstream],a[download]"), s = a?.dataset;
    if (a) api.track(s.leadstream || "File Downloaded",
      { url: a.href, title: a.textContent.trim(), asset_id: s.asset || a.pathname });
  });
  hear(d, "visibilitychange", () => { d.hidden ? leave() : since = now(); });
  hear(w, "pagehide", leave);
  hear(w, "popstate", moved);
  history.pushState = function () { go.apply(this, arguments); moved(); };
  calls.map(api.push);
  view();
})(window, document, navigator);
