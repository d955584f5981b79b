#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mutate.py -- breaks the rules of the cache one by one, and shows which requirement turns red each time.

    mutate.py [WORD]     only the mutations whose description has WORD in it
    mutate.py --check    only whether each text that would be broken stands in the sources, once

Works on a copy of the tree below build/mutate; a rule that stands in two places is broken in both. A mutation that no row
notices is a failure.
"""
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COPY = os.path.join(TOP, 'build', 'mutate')
BUILD = os.path.join(COPY, 'build')
ORDER = ['store', 'fresh', 'age', 'request', 'vary', 'validate', 'update', 'stale', 'invalidate', 'partial', 'flight',
         'fields', 'targeted', 'messages']

F, C, K = 'src/http/fresh.c', 'src/http/cache_control.c', 'src/cache/key.c'
LEAD, FILL, ANSWER = 'src/app/proxy/lead.c', 'src/app/proxy/fill.c', 'src/app/proxy/answer.c'
MUTATIONS = [
    ('fresh as long as lifetime >= age', F, 'if (v.ttl > 0) {', 'if (v.ttl >= 0) {'),
    ('s-maxage does not go before max-age', F, 'if (cc->s_maxage != CC_ABSENT)\n        info->lifetime', 'if (cc->max_age == CC_ABSENT && cc->s_maxage != CC_ABSENT)\n        info->lifetime'),
    ('an unreadable Expires is fresh', F, 'left = at > date ? at - date : 0;\n', 'left = at > date ? at - date : 0;\n        else\n            left = 1000;\n'),
    ('every status is cacheable by itself', F, '!(info->flags & FRESH_EXPLICIT) && !(cc->has & CC_PUBLIC) && !status_heuristic(status)', 'status == 0'),
    ('heuristic of a half', F, 'HEURISTIC_PART = 10', 'HEURISTIC_PART = 2'),
    ('the Age that came is ignored', F, 'age_value(f) * TICK_S + delay', 'delay'),
    ('the time of the answer is ignored', F, 'age_value(f) * TICK_S + delay', 'age_value(f) * TICK_S'),
    ('the apparent age is ignored', F, 'int64_t initial = apparent * TICK_S > corrected ? apparent * TICK_S : corrected', 'int64_t initial = corrected'),
    ('the last Age counts', F, "slice_cut(&rest, ',', &first)", "(first = slice_from(rest, slice_find(rest, ',', 0) == SIZE_MAX ? 0 : slice_find(rest, ',', 0) + 1), true)"),
    ('no-store of the response is ignored', F, '} else if (cc->has & CC_NO_STORE) {', '} else if (cc->has & CC_NO_STORE && cc->has & CC_PRIVATE) {'),
    ('no-store of the request is ignored', F, 'if (r->cc.has & CC_NO_STORE)', 'if (r->cc.has & CC_NO_STORE && r->authorization)'),
    ('private is ignored', F, 'if (cc->has & CC_PRIVATE)\n        return "the', 'if (cc->has & CC_PRIVATE && status == 0)\n        return "the'),
    ('authorized responses are stored', F, 'if (r->authorization && !shared_reuse_allowed(cc))', 'if (r->authorization && !shared_reuse_allowed(cc) && status == 0)'),
    ('must-understand is ignored', F, 'if (!fresh_status_understood(status))', 'if (!fresh_status_understood(status) && status == 0)'),
    ('must-revalidate is ignored', F, 'CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE) || cc->s_maxage', 'CC_PROXY_REVALIDATE) || cc->s_maxage'),
    ('s-maxage may be stale', F, 'CC_PROXY_REVALIDATE) || cc->s_maxage != CC_ABSENT)', 'CC_PROXY_REVALIDATE))'),
    ('no-cache is ignored', F, 'if (info->flags & FRESH_NO_CACHE)\n        return validate', 'if (info->flags & FRESH_NO_CACHE && now_ns == 0)\n        return validate'),
    ('no-cache of the request is ignored', F, 'if (cc->has & CC_NO_CACHE)\n        return "the request', 'if (cc->has & CC_NO_CACHE && ttl < -99999999)\n        return "the request'),
    ('min-fresh is ignored', F, 'ttl < cc->min_fresh', 'ttl < 0'),
    ('max-stale is unlimited', F, 'return staleness <= cc->max_stale;', 'return true;'),
    ('stale-while-revalidate is unlimited', F, '-v.ttl <= info->stale_while_revalidate', 'info->stale_while_revalidate >= 0'),
    ('stale-if-error is unlimited', F, 'return staleness <= info->stale_if_error || staleness <= r->cc.stale_if_error;', 'return true;'),
    ('stale-if-error on every status', F, 'if (status && status != 500 && status != 502 && status != 503 && status != 504)', 'if (status == 1)'),
    ('a 304 brings a Content-Range', F, ' && f->id != F_CONTENT_RANGE', ''),
    ('a 304 with any tag selects', F, 'etag_weak_eq(own, etag) : etag_strong_eq(own, etag);', 'true : true;'),
    ('a HEAD always matches', F, 'return !fields_has(head, F_CONTENT_LENGTH) ||', 'return true ||'),
    ('errors invalidate', F, 'status >= 200 && status < 400', 'status >= 200 && status < 600'),
    ('unknown methods are safe', F, 'return m == M_GET || m == M_HEAD', 'return m == M_OTHER || m == M_GET || m == M_HEAD'),
    ('hop-by-hop fields are stored', F, 'case F_PROXY_AUTHENTICATE:\n', ''),
    ('the larger max-age counts', C, 'if (*v == CC_ABSENT || seconds < *v)', 'if (*v == CC_ABSENT || seconds > *v)'),
    ('quotes end at a comma', C, "i = rest->p[i] == '\"' ? quoted_end(*rest, i) : i + 1;", 'i = i + 1;'),
    ('directives are case-sensitive', C, 'slice_eq_case(directives[i].name, name)', 'slice_eq(directives[i].name, name)'),
    ('numbers wrap', C, 'if (v > CC_SECONDS_MAX)\n            v = CC_SECONDS_MAX;', 'v = (int32_t)v;'),
    ('an unreadable max-age is ignored', C, 'keep_smaller(number, good ? v : 0);', 'if (good)\n            keep_smaller(number, v);'),
    ('a malformed targeted field counts', C, 'if (bad || !any)', 'if (!any)'),
    ('an absent field equals an empty one', K, 'return !present(request, name);', 'return true;'),
    ('the query is no part of the key', K, 'if (u->has_query)\n        at', 'if (u->has_query && u->ipv6)\n        at'),
    ('languages keep their case', K, '*at++ = ascii_lower(v[i].p[k]);', '*at++ = v[i].p[k];'),
    ('Location of another host is invalidated', 'src/app/proxy/store.c', 'if (slice_eq_case(u.host, j->target.host) && ', 'if ('),
    ('the heuristic has no limit of a day', F, 'return part < HEURISTIC_MAX ? part : HEURISTIC_MAX;', 'return part;'),
    ('what sets a cookie is fresh by heuristic', F, ' || fields_has(f, F_SET_COOKIE) ||', ' ||'),
    ('a reload asks for what is immutable', F, 'info->flags & FRESH_IMMUTABLE && ttl > 0;', 'info->flags & FRESH_IMMUTABLE && ttl < 0;'),
    ('immutable outlives freshness', F, 'info->flags & FRESH_IMMUTABLE && ttl > 0;', 'info->flags & FRESH_IMMUTABLE;'),
    ('an age grows past the greatest number', F, 'return age < 0 ? 0 : age > CC_SECONDS_MAX ? CC_SECONDS_MAX : age;', 'return age;'),
    ('Vary: * is stored', F, "if (f->v[i].id == F_VARY && slice_has(f->v[i].value, '*'))", "if (f->v[i].id == F_VARY && f->v[i].value.n == 99)",
     K, 'slice_eq(name, S("*")) || n == max', 'n == max'),  # without the first, the second still refuses it
    ('a POST without freshness is stored', F, 'if (r->method == M_POST && !(info->flags & FRESH_EXPLICIT))', 'if (r->method == M_POST && status == 0)'),
    ('a POST of any status is stored', F, 'if (r->method == M_POST && status != 200)', 'if (r->method == M_POST && status == 0)'),
    ('a POST stands for GET wherever it says its content is', LEAD, 'return slice_eq(j->key.text, named.text);', 'return true;'),
    ('authorized requests share a fetch', LEAD, 'j->ask.authorization || ', ''),
    ('an answer that breaks off is no error', LEAD, 'return broken && can_fall_back', 'return broken && !j && can_fall_back'),
    ('others wait for what could not be shared', LEAD, '        refusal_mark(j);\n    flight_release', '        (void)refusal_mark;\n    flight_release'),
    ('another variant is read along', LEAD, 'if (usable && cache_vary_matches(o->vary, &j->in->fields)) {', 'if (usable) {'),
    ('what is stale at once is read along', LEAD, '&info, &j->ask, wall_now()).use == FRESH_SERVE) {', '&info, &j->ask, wall_now()).use != 99) {'),
    ('a HEAD refreshes nothing', LEAD, '    head_came(j, t);\n    const', '    (void)head_came;\n    const'),
    ('a HEAD that differs changes nothing', LEAD, '                store_purge(j->p, &j->key, true);', '                continue;'),
    ('nothing answers for an origin that is gone', LEAD, "return e != E_CANCELED && can_fall_back(j, stale, 0) ?", 'return e != E_CANCELED && can_fall_back(j, stale, 1) ?'),
    ('what must be validated fails like any other', LEAD, 'if (stale && stale->info.flags & FRESH_STRICT && e != E_CANCELED)', 'if (stale && stale->info.flags & FRESH_STRICT && e == E_CANCELED)'),
    ('a part with a weak tag is completed', LEAD, 'bool strong = o->etag.n && !slice_starts(o->etag, S("W/"));', 'bool strong = o->etag.n;'),
    ('a missing part that may not be stored is passed on', LEAD, '    if (!fill_refused(j, t))\n        return true;', '    if (t)\n        return true;'),
    ('a 416 to a missing part is passed on', LEAD, '(status == 206 || status == 416)', 'status == 206'),
    ('a missing part is read along', FILL, '    if (!completes)\n        flight_publish', '    flight_publish'),
    ('an end that came too soon claims a length', ANSWER, 'o->short_end ? S("*") :', 'o->short_end && age < 0 ? S("*") :'),
    ('a byte that never came is in range', ANSWER, 'return to_the_end || w.v[0].last < o->body->length;', 'return true;'),
    ('an end that came too soon ends the representation', ANSWER, 'return !o->short_end;', 'return true;'),
    ('an end that came too soon is combined', FILL, '!o->short_end && o->body->length == total', 'o->body->length == total'),
    ('a 304 makes an end that came too soon good', FILL, '    o->short_end = old->short_end;\n', ''),
    ('what was on its way before a change is stored', 'src/app/proxy/store.c', '{\n    flights_close(p->flights, key);\n', '{\n'),
    ('what was on its way before a change is joined', 'src/cache/flight.c', ' && !flight_closed(c))', ')'),
    ('what somebody asked alone before a change is stored', 'src/cache/flight.c', ' || (f->alone && flights_closings(f->home, &f->key) != f->since)', ''),
    ('a POST ends the reuse of its own answer', LEAD, 't->since + t->job->closings', 't->since'),
    ('a Vary that is too long is stored', FILL, '    if (!why && !vary_known(j, &r->fields, &t->vary))\n', '    if (!why && !vary_known(j, &r->fields, &t->vary) && t->at)\n'),
    ('a 304 that is for one is shared by those who wait', LEAD, '    if (kept) {\n', '    if (kept || t) {\n'),
    ('a 304 with a Vary that is too long is kept', FILL, '*kept = known && ', '*kept = '),
    ('parts with weak tags are combined', FILL, 'o->body->length == total &&\n            etag_strong_eq(', 'o->body->length == total &&\n            etag_weak_eq('),
    ('a hole is filled with what has another tag', FILL, '           etag_strong_eq(partial->etag, fields_get(f, F_ETAG));', '           partial->etag.n;'),
    ('a 206 that brings more than it claims is cut', FILL, 'if (length != CLIENT_UNKNOWN && length != t->end - t->at)', 'if (length == 12345)'),
    ('objects of any size are kept', FILL, 'total > j->p->o.object_max)', 'total > UINT64_MAX - 9)'),
    ('targeted fields count in a forward proxy', FILL, 'uint64_t total;\n    fresh_rules_of(&t->rules, &r->fields, j->p->o.targets, j->route == ROUTE_REVERSE ? j->p->o.target_count : 0);', 'uint64_t total;\n    fresh_rules_of(&t->rules, &r->fields, j->p->o.targets, j->p->o.target_count);'),
    ('a part stands for the whole', 'src/cache/object.c', 'o->partial = b && !cache_body_complete(b);', 'o->partial = false;'),
    ('the Age that came is stored', 'src/cache/object.c', 'return f->id == F_AGE || (', 'return ('),
    ('If-Range is ignored', ANSWER, ' ||\n        !cond_range_allowed(&j->in->fields, &c, wall_now() / TICK_S))', ' || c.has_modified > 1)'),
    ('a range past the end is the whole', ANSWER, 'if (r == RANGE_UNSATISFIABLE)', 'if (r == RANGE_UNSATISFIABLE && age < 0)'),
    ('without Last-Modified the Date does not stand in', ANSWER, '.modified_s = o->info.date}', '.modified_s = 0}'),
    ('Location is not invalidated', 'src/app/proxy/store.c', '    invalidate_named(j, fields_get(response, F_LOCATION));\n', ''),
    ('Content-Location is not invalidated', 'src/app/proxy/store.c', '    invalidate_named(j, fields_get(response, F_CONTENT_LOCATION));\n', ''),
    ('only-if-cached asks the origin', 'src/app/proxy/proxy.c', 'if (j->ask.cc.has & CC_ONLY_IF_CACHED) {', 'if (j->ask.cc.has & CC_ONLY_IF_CACHED && !j->p) {'),
    ('fields that no-cache and private name stay', 'src/app/proxy/head.c', 'if (slice_eq_case(one, name))\n                return true;', 'if (slice_eq_case(one, name) && !cc)\n                return true;'),
    ('the order of languages matters', K, '    sort(v, n);\n', ''),
    ('lines of a nominated field are not joined', K, '        if (i)\n            TRY(buf_add_char(out, \',\'));\n        TRY(buf_add(out, v[i]));', '        out->n = 0;\n        TRY(buf_add(out, v[i]));'),
    ('a range that is not held is claimed', ANSWER, 'if (!o->partial)\n        return true;', 'if (!o->partial || j->ask.range)\n        return true;'),
]


def copy():
    os.makedirs(COPY, exist_ok=True)
    for name in os.listdir(TOP):
        here, there = os.path.join(TOP, name), os.path.join(COPY, name)
        if name.startswith('.') or (os.path.isdir(here) and name.endswith('build')):
            continue
        if os.path.isdir(here):
            shutil.rmtree(there, ignore_errors=True)
            shutil.copytree(here, there)
        else:
            shutil.copy2(here, there)
    if not os.path.isfile(os.path.join(BUILD, 'build.ninja')):
        subprocess.run(['meson', 'setup', BUILD, COPY, '-Dwerror=false'], check=True, stdout=subprocess.DEVNULL)


def build():
    p = subprocess.run(['ninja', '-C', BUILD, 'tests/sim/cache_player'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if p.returncode == 0 else p.stdout[-2000:]


def first_red():
    for name in ORDER:
        script = os.path.join(COPY, 'tests', 'sim', 'cache', name + '.sim')
        p = subprocess.run([os.path.join(BUILD, 'tests/sim/cache_player'), script], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, timeout=300)
        red = re.findall(r'^not ok \d+ - (.*)', p.stdout, re.M)
        if red:
            return f'{name}.sim: {red[0]}' + (f' (and {len(red) - 1} more there)' if len(red) > 1 else '')
        if p.returncode:
            return f'{name}.sim: ended with {p.returncode}'
    return None


def text_with(what, at, old):
    with open(at) as f:
        text = f.read()
    if text.count(old) != 1:
        raise SystemExit(f'{what}: {at} has the text {text.count(old)} times: {old!r}')
    return text


def check():
    for what, *edits in MUTATIONS:
        for path, old in zip(edits[::3], edits[1::3]):
            text_with(what, os.path.join(TOP, path), old)


def change(what, path, old, new, before):
    at = os.path.join(COPY, path)
    text = text_with(what, at, old)
    before.setdefault(at, text)
    with open(at, 'w') as f:
        f.write(text.replace(old, new))


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ''
    check()
    if only == '--check':
        return
    copy()
    problem = build() or first_red()
    if problem:
        raise SystemExit(f'red before anything was broken: {problem}')
    survivors = 0
    for what, *edits in [m for m in MUTATIONS if only in m[0]]:
        before = {}
        for path, old, new in zip(edits[::3], edits[1::3], edits[2::3]):
            change(what, path, old, new, before)
        red = build() or first_red()
        for at, text in before.items():
            with open(at, 'w') as f:
                f.write(text)
        survivors += not red
        print(f'{what}: {"nobody noticed" if not red else red}', flush=True)
    build()
    raise SystemExit(1 if survivors else 0)


main()
